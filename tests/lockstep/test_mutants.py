"""The judge under test: right lowerings with one thing corrupted.

Every mutant that computes another function must be refuted, at the cell that has the corrupted operator. A mutant that
is proved must compute the same function, which is tried on drawn inputs. docs/lab-notes.md lists these, with the reason
for each.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

from fuseguard_testkit.mutant_judge import Subject  # noqa: E402
from fuseguard_testkit.mutating import Network, mutants  # noqa: E402
from lockstep import mutant_campaign  # noqa: E402


@pytest.fixture(scope="module")
def small() -> Subject:
    return Subject.of(Network(0), 0)


def test_the_lowering_is_proved_before_it_is_corrupted(small: Subject) -> None:
    assert {cell.status for cell in small.right.cells} == {"proved"}, small.right.cells


def test_mutants_are_refuted_in_their_place(small: Subject) -> None:
    counts: Counter[str] = Counter()
    for mutant in islice(mutants(small.lowering, 0), 20):
        verdict = small.judge(mutant)
        assert verdict.placed, (str(mutant), verdict)
        assert "results" not in verdict.reason, f"not caught: {mutant}"
        counts[verdict.outcome] += 1
    assert counts["proved"] + counts["sampled"] <= 2


def test_a_wrong_table_entry_is_refuted_where_its_value_is_not_found_any_more() -> None:
    """The cell that the value is joined with ends with an average, in which random codes hide the entry."""
    subject = Subject.of(Network(1), 1)
    entries = (mutant for mutant in mutants(subject.lowering, 2) if mutant.kind == "table entry")
    mutant = next(item for item in entries if "[116] 82 -> 18" in item.what)
    verdict = subject.judge(mutant, briefly=True)
    assert verdict.outcome == "refuted"
    assert verdict.placed


@pytest.mark.campaign
def test_five_hundred_mutants(tmp_path: Path) -> None:
    out = tmp_path / "mutants.jsonl"
    mutant_campaign.campaign(out, 500)
    found = mutant_campaign.records(out)
    print(mutant_campaign.table(found))
    assert len(found) >= 500
    assert not mutant_campaign.faults(found)
