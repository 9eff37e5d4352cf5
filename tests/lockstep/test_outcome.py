"""What the cells of a program decide, and what the comparison end to end still has a say in. No program is lowered."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.torch
pytest.importorskip("torch")

from dataclasses import replace  # noqa: E402

from fuseguard.executorch.lockstep.cells import Cell, Status  # noqa: E402
from fuseguard.executorch.lockstep.certainty import certain_values  # noqa: E402
from fuseguard.executorch.lockstep.deciding import decided, outcome_of  # noqa: E402
from fuseguard.executorch.lockstep.walking import Trail  # noqa: E402
from fuseguard.executorch.proof import Outcome, Proof, of_calls, of_input_sets  # noqa: E402


def cells(*statuses: Status) -> list[Cell]:
    return [Cell(f"quantize_{number}", status) for number, status in enumerate(statuses)]


@pytest.mark.parametrize(
    ("statuses", "end_to_end", "outcome"),
    [
        (("exact", "exact"), "exact", "exact"),
        (("exact", "tie"), "exact", "exact"),
        (("exact", "rounded"), "exact", "bounded"),
        (("saturated", "exact"), "bounded", "bounded"),
        # A tolerance on the results let it pass.
        (("exact", "wrong"), "bounded", "wrong"),
        (("exact", "wrong"), "exact", "wrong"),
        # What each cell may round adds up to more than the tolerance.
        (("rounded", "rounded"), "wrong", "bounded"),
        (("tie", "exact"), "wrong", "exact"),
        (("exact", "exact"), "bounded", "exact"),
        # What reads a value that was not found is judged on the value that the program has.
        (("exact", "not found"), "wrong", "exact"),
        (("tie", "not found"), "wrong", "exact"),
        (("rounded", "not found"), "wrong", "bounded"),
        (("exact", "not found"), "bounded", "exact"),
        (("exact", "not found"), "exact", "exact"),
    ],
)
def test_the_worst_cell_decides(statuses: tuple[Status, ...], end_to_end: Outcome, outcome: Outcome) -> None:
    assert outcome_of(cells(*statuses), end_to_end) == outcome


def test_something_may_hide_in_a_value_that_was_not_found_and_is_taken_for_unrounded() -> None:
    """Its reader is right without the rounding, of which nobody knows whether the lowering leaves it out."""
    found = [Cell("first", "not found"), Cell("second", "rounded", joined=("first",))]
    assert outcome_of(found, "wrong") == "wrong"
    assert outcome_of(found, "bounded") == "bounded"
    assert outcome_of(found, "exact") == "bounded"
    read_past = [Cell("first", "exact"), Cell("second", "rounded", joined=("first",))]
    assert outcome_of(read_past, "wrong") == "bounded"


@pytest.mark.parametrize("end_to_end", ["exact", "bounded", "wrong"])
def test_a_doubtful_match_makes_no_verdict_worse(end_to_end: Outcome) -> None:
    doubtful = [replace(cell, certain=False) for cell in cells("wrong")]
    assert outcome_of(doubtful, end_to_end) == end_to_end
    assert outcome_of([*doubtful, *cells("wrong")], end_to_end) == "wrong"


def proof(outcome: Outcome, *statuses: Status, ties: int = 0) -> Proof:
    found = [replace(cell, ties=ties if cell.status == "tie" else 0) for cell in cells(*statuses)]
    return decided(Proof(outcome, "TOSA-1.0+INT", "1.5.1"), found)


def test_the_proof_records_both_judges() -> None:
    both = proof("bounded", "exact", "wrong")
    assert (both.outcome, both.end_to_end, both.judges_disagree, both.ok) == ("wrong", "bounded", True, False)
    same = proof("exact", "exact", "tie", ties=3)
    assert (same.outcome, same.end_to_end, same.judges_disagree, same.ties) == ("exact", "exact", False, 3)
    alone = Proof("exact", "TOSA-1.0+INT", "1.5.1")
    assert (alone.end_to_end, alone.judges_disagree, alone.ties) == ("", False, 0)


def test_bounded_cells_are_listed() -> None:
    found = proof("exact", "rounded", "exact", "saturated", "tie").bounded_cells
    assert [cell.status for cell in found] == ["rounded", "saturated"]


def test_calls_in_a_row_are_as_bad_as_the_worst_cell_of_any() -> None:
    """No result differs, so that the call was not named and the outcome of the last one was taken."""
    together = of_calls([proof("exact", "exact"), proof("exact", "rounded"), proof("exact", "exact")])
    assert (together.outcome, together.end_to_end, together.call) == ("bounded", "exact", 2)
    assert [cell.status for cell in together.cells] == ["rounded"]


def test_input_sets_are_as_bad_as_the_worst_cell_of_any() -> None:
    together = of_input_sets([proof("exact", "exact"), proof("exact", "wrong"), proof("bounded", "rounded")])
    assert (together.outcome, together.end_to_end, together.worst) == ("wrong", "exact", 2)


TRAILS = {
    "first": Trail(),
    "second": Trail(operands=("first",)),
    "third": Trail(operands=("second",)),
    "output 0": Trail(operands=("third",)),
}


def certain(wrong: list[str], off: set[str], joined: str = "", body: str = "") -> frozenset[str]:
    """``off``: what is not right on the codes that the program expects of a wrong value."""
    trails = {name: replace(trail, joined=("gone",)) if name == joined else trail for name, trail in TRAILS.items()}
    return certain_values(
        wrong, trails, lambda name: name != body, lambda name: {reader: reader in off for reader in TRAILS}
    )


def test_a_value_is_certain_if_its_reader_is_right_on_its_codes_alone() -> None:
    assert certain(["second"], off={"third"}) == {"second"}
    assert certain(["second"], off=set()) == frozenset(), "the reader is right on any codes, and shows nothing"


def test_a_reader_that_is_wrong_shows_nothing() -> None:
    assert certain(["second", "third"], off={"output 0", "third"}) == frozenset()


def test_a_result_needs_no_reader() -> None:
    assert certain(["output 0"], off=set()) == {"output 0"}


def test_a_value_is_no_more_certain_than_its_operands() -> None:
    assert certain(["second", "output 0"], off={"third"}) == {"second", "output 0"}
    assert certain(["third", "output 0"], off=set()) == frozenset()


def test_what_the_lowering_may_compute_otherwise_is_not_certain() -> None:
    """It may leave out the rounding of a value that it does not have. Bodies of control flow round by themselves."""
    assert certain(["output 0"], off=set(), joined="output 0") == frozenset()
    assert certain(["output 0"], off=set(), body="output 0") == frozenset()
