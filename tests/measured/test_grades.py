"""The grade of a finding: measured, inferred, or stated by its row.

Protects: "measured" said of a release, a case or a profile that nobody measured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fuseguard.engine import Effect, EffectRow, Evidence
from fuseguard.engine.housekeeping import HOUSEKEEPING
from fuseguard.engine.row_evidence import evidence_of
from fuseguard.ir.graph import SourceLine
from fuseguard.measured.announced import Concern
from fuseguard.report.effects import evidence_text
from fuseguard_testkit.grading import Coarse, found, seen
from fuseguard_testkit.recordings import case, recording, recordings


def test_measured_is_what_the_recording_of_exactly_that_release_shows(record: Any) -> None:
    record(_1_5_1=(seen("wrong"), seen("exact", "INT+FP", cpu=1)))
    finding = found("1.5.1")
    assert (finding.case, finding.evidence, finding.evidence_release) == ("kept", Evidence.MEASURED, "1.5.1")
    assert evidence_text(finding) == "measured (a third pass)"
    assert found("1.5.1", "INT+FP").evidence is Evidence.MEASURED
    assert found("1.5.1+cpu").evidence is Evidence.MEASURED
    for other in ("1.5.0", "1.6.0", "1.5.1rc1", "1.5.1.post1", "1.6.0a0"):
        assert found(other).evidence is Evidence.INFERRED, other


@pytest.mark.parametrize(
    "shown",
    [
        (),
        (seen("exact"),),
        (seen("wrong", "INT+FP"),),
        (case("ZZ100", "odd", "wrong"),),
        (case("ZZ200", "kept", "wrong"),),
        (case("ZZ200", "kept", "wrong", found=(("ZZ100", "kept"),)),),
    ],
    ids=["nothing", "another effect", "another profile", "another case", "another rule", "another rule's example"],
)
def test_what_shows_something_else_is_no_measurement(record: Any, shown: tuple[Any, ...]) -> None:
    record(_1_5_1=shown)
    finding = found("1.5.1")
    assert (finding.evidence, finding.evidence_release) == (Evidence.INFERRED, "")
    assert evidence_text(finding) == "inferred, in no recording (a third pass)"


def test_a_fallback_is_only_shown_where_something_was_left_on_the_cpu(record: Any) -> None:
    record(_1_5_1=(seen("exact", "INT+FP", cpu=0),))
    assert found("1.5.1", "INT+FP").evidence is Evidence.INFERRED
    record(_1_5_1=(seen("exact", "INT+FP", cpu=2),))
    assert found("1.5.1", "INT+FP").evidence is Evidence.MEASURED


def test_one_example_that_shows_it_is_enough(record: Any) -> None:
    record(_1_5_1=(seen("exact", example="a"), seen("wrong", example="b")))
    assert found("1.5.1").evidence is Evidence.MEASURED


@pytest.mark.parametrize(
    ("release", "source"),
    [("1.5.0", "1.5.1"), ("1.6.0", "1.5.1"), ("1.4.0", "1.4.1"), ("1.4.2", "1.4.1"), ("1.3.0", "1.2.0")],
)
def test_inferred_names_the_nearest_release_that_shows_the_effect(record: Any, release: str, source: str) -> None:
    record(_1_2_0=(seen("exact"),), _1_4_1=(seen("bounded"),), _1_5_1=(seen("wrong"),))
    finding = found(release)
    assert (finding.evidence, finding.evidence_release) == (Evidence.INFERRED, source)
    assert f"inferred from {source}" in evidence_text(finding)


def test_a_release_that_shows_another_effect_is_passed_over(record: Any) -> None:
    """1.5.1 is nearer to 1.4.9 than nothing, but its table row is another one."""
    record(_1_2_0=(seen("exact"),), _1_5_1=(seen("wrong"),))
    assert (found("1.4.9").effect, found("1.4.9").evidence_release) == (Effect.EXACT, "1.2.0")


def test_a_case_that_a_measured_release_does_not_show_is_inferred_too(record: Any) -> None:
    record(_1_4_1=(seen("exact"),), _1_3_1=())
    assert (found("1.3.1").evidence, found("1.3.1").evidence_release) == (Evidence.INFERRED, "1.4.1")


def test_the_rules_of_a_pack_are_graded_by_the_recordings_that_it_brings(record: Any, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()

    class Packed(Coarse):
        recordings = recordings(tmp_path / "pack", recording("1.5.1", [seen("wrong")]))

    record()
    assert found("1.5.1", rule=Packed).evidence is Evidence.MEASURED
    assert found("1.5.1").evidence is Evidence.INFERRED
    assert evidence_of(Packed())[2].measured == ("1.5.1",)


def test_a_row_that_states_its_evidence_keeps_it(record: Any, announce: Any) -> None:
    announce(Concern("ZZ100"))

    class Odd(Coarse):
        case = "odd"

    record(_1_5_1=(case("ZZ100", "odd", "crash"),))
    for release in ("1.5.1", "1.6.0"):
        finding = found(release, rule=Odd)
        assert (finding.evidence, finding.evidence_note) == (Evidence.SOURCE_READ, "a pass")


def test_no_row_can_claim_a_grade() -> None:
    assert EffectRow("*", "*", "*", Effect.WRONG, Evidence.MEASURED).evidence is None, "as older packs say it"
    for claimed in (Evidence.INFERRED, Evidence.ANNOUNCED):
        with pytest.raises(ValueError, match="cannot state"):
            EffectRow("*", "*", "*", Effect.WRONG, claimed)


def test_a_finding_about_no_program_has_no_evidence() -> None:
    for rule in HOUSEKEEPING:
        fields = dict.fromkeys(("rule", "scope", "where", "file", "place", "until", "reason"), "x")
        finding = rule.finding(SourceLine("pyproject.toml", 1), "x", **fields)
        assert finding.evidence is None
        assert evidence_text(finding) == ""
