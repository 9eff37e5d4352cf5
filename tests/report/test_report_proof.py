"""A proof as text and JSON, without torch: any object with a Proof's fields will do."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest

from fuseguard.executorch.engines.difference import EngineDifference, EngineLocation, EngineOp
from fuseguard.report import notebook, proof_html
from fuseguard.report.json import dump
from fuseguard.report.lines import plain
from fuseguard.report.proof import render, to_dict
from fuseguard.schemas import load_schema
from fuseguard_testkit.proof_fakes import cell, proof


def text(**changes: Any) -> str:
    return plain(render(proof(**changes), "m.pt2", ["random"]))


def test_the_wrong_places_are_written_out() -> None:
    shown = text(outcome="wrong", cells=(cell(value="quantize", status="exact"), cell()))
    assert "wrong in 1 place, the earliest first:\n  conv2d -> relu at quantize_1\n" in shown
    assert "worst   element [0, 1]: expected 10, the lowering has -122\n" in shown
    assert "rule    no rule knows this" in shown


def test_nothing_is_said_of_places_that_nobody_looked_for() -> None:
    """Of a wrong proof made with --no-locate it said that no single op is wrong."""
    assert "no cell is wrong" not in text(outcome="wrong")
    assert "no cell is wrong" in text(outcome="wrong", end_to_end="wrong", cells=(cell(status="rounded"),))


def test_a_doubtful_cell_is_no_place_of_a_right_program() -> None:
    doubtful = cell(certain=False)
    assert "wrong in 1 place" not in text(outcome="exact", end_to_end="exact", cells=(doubtful,))
    assert "wrong in 1 place" in text(outcome="wrong", end_to_end="wrong", cells=(doubtful,))


def test_an_exact_program_says_how_many_ties_it_has() -> None:
    assert text(ties=12, end_to_end="exact").startswith("exact up to 12 ties: m.pt2: every code is the one that")
    assert text(ties=1, end_to_end="exact").startswith("exact up to 1 tie: ")
    assert text(end_to_end="exact").startswith("exact: m.pt2: ")
    assert text(outcome="bounded", ties=12, end_to_end="bounded").startswith("bounded: ")


def test_a_bounded_program_lists_the_cells_and_their_bounds() -> None:
    rounded = cell(status="rounded", steps=3.0, bound=5.0, differing=2, joined=("quantize",))
    shown = text(outcome="bounded", end_to_end="bounded", cells=(cell(status="exact"), rounded))
    assert (
        "bounded in 1 place:\n  conv2d -> relu at quantize_1: rounded by up to 3 steps of at most 5, 2 of 144, "
        "without the rounding of quantize\n"
    ) in shown
    assert "and 5 more" in text(outcome="bounded", end_to_end="bounded", cells=(rounded,) * 15)


@pytest.mark.parametrize(
    ("outcome", "end_to_end", "status", "said"),
    [
        ("wrong", "bounded", "wrong", "bounded, which is too lenient: a cell is wrong"),
        ("bounded", "wrong", "rounded", "wrong, which is too strict"),
        ("bounded", "exact", "rounded", "exact, from the results alone"),
        ("wrong", "wrong", "rounded", "wrong; no cell shows it"),
        ("exact", "exact", "exact", "exact\n"),
    ],
)
def test_both_judges_are_stated(outcome: str, end_to_end: str, status: str, said: str) -> None:
    shown = text(outcome=outcome, end_to_end=end_to_end, cells=(cell(status=status),))
    assert f"  cells       1 {status}\n  end to end  {said}" in shown


def _difference(**changes: Any) -> Any:
    fields: dict[str, Any] = {"delegate": 0, "output": 1, "tensor": "out", "differing": 3, "elements": 9}
    fields |= {"largest": 2.0, "at": (0, 1), "expected": 5.0, "actual": 7.0, "shared_with": (), **changes}
    return EngineDifference(**fields)


def test_where_an_engine_parts_from_the_reference_model_is_written_out() -> None:
    op = EngineOp(("CONV2D", "RESCALE"), "r", ("x",), 3, 9, float("inf"), (0, 1), 5.0, 7.0, "quantize", ("conv",))
    located = EngineLocation(0, 4, 5, (op,), (1,))
    gone = EngineLocation(1, 4, 4, merged=(("y", "z"),))
    changes: dict[str, Any] = {
        "outcome": "wrong", "end_to_end": "exact", "engine": "vgf", "cells": (cell(status="exact"),),
        "engine_differences": (_difference(), _difference(delegate=1)), "engine_locations": (located, gone),
    }  # fmt: skip
    shown = text(**changes)
    assert "  begins      delegate 0: first at CONV2D -> RESCALE, which yields r: 3 of 9 elements" in shown
    assert ", at quantize\n" in shown
    assert "              delegate 1: no operator: with all 4 tensors visible, each is right. The VGF has one" in shown
    # The cells are those of the reference model, and it is not they that are too lenient.
    assert "end to end  exact; the cells are those of the reference model\n" in shown
    assert "no cell is wrong in the reference model: the engine vgf differs from it." in shown
    document = to_dict(proof(**changes), "m.pt2", ["random"])
    jsonschema.Draft202012Validator(load_schema("prove")).validate(json.loads(dump(document)))
    first, second = document["engine_locations"]
    assert (first["ops"][0]["kinds"], first["ops"][0]["largest"]) == (["CONV2D", "RESCALE"], "inf")
    assert first["ops"][0]["program_ops"] == ["conv"]
    assert (second["merged"], second["ops"]) == ([["y", "z"]], [])


def test_layers_compare_with_the_float_program() -> None:
    """Only if there is one; what has no partner in it is listed."""
    found = cell(sqnr_db=40.0, float_node="relu", float_sqnr_db=25.25, quantization_sqnr_db=31.0)
    missing = cell(value="quantize_2", status="not found")
    shown = plain(render(proof(cells=(found, missing), end_to_end="exact"), "m.pt2", ["random"], layers=True))
    assert "dB to eager  dB to float  eager to float  ops" in shown
    assert "40           25.25        31              conv2d -> relu" in shown
    assert "not found in the float program: quantize_2\n" in shown
    alone = plain(render(proof(cells=(missing,), end_to_end="exact"), "m.pt2", ["random"], layers=True))
    assert "float" not in alone


def test_infinite_errors_of_cells_are_valid_json() -> None:
    document = json.loads(dump(to_dict(proof(cells=(cell(steps=float("inf"), actual=float("nan")),)), "m", ["random"])))
    jsonschema.Draft202012Validator(load_schema("prove")).validate(document)
    assert (document["cells"][0]["steps"], document["cells"][0]["actual"]) == ("inf", "nan")


def test_an_exact_proof() -> None:
    assert text() == (
        "exact: m.pt2: every output code equals the eager program's, rounding ties aside\n"
        "  target      TOSA-1.0+INT, ExecuTorch 1.5.1\n"
        "  inputs      random\n"
        "  mismatches  0 of 64 elements\n"
        "  max error   0, 0 steps of the output\n"
        "  SQNR        inf dB\n"
        "  delegated   3 ops in 1 delegate\n"
        "  on the CPU  aten.relu.default x2, aten.convolution.default\n"
    )


def test_rounding_ties_are_owned_up_to() -> None:
    assert "mismatches  2 of 64 elements, all of them rounding ties" in text(mismatches=2, rounding_ties=2)
    assert "mismatches  5 of 64 elements, 2 of them rounding ties" in text(mismatches=5, rounding_ties=2)


WHY = (
    SimpleNamespace(
        name="int32 operands",
        meaning="in int32",
        models=("fuseguard.backend.int32_rescales.bypasses",),
        shared=("fuseguard.backend.int32_rescales.bypasses",),
        elements=3,
        results=("output 0", "buffer k"),
    ),
    SimpleNamespace(
        name="rounding ties", meaning="", models=("fuseguard.own",), shared=(), elements=1, results=("output 0",)
    ),
)


def test_what_explains_a_difference_is_told_with_the_models_that_say_so() -> None:
    shown = text(outcome="bounded", mismatches=3, explained_by=WHY)
    assert (
        "  explained   int32 operands: 3 elements of output 0, buffer k (by fuseguard.backend.int32_rescales.bypasses; "
        "rules rely on it too)\n"
        "              rounding ties: 1 element of output 0 (by fuseguard.own)\n"
    ) in shown
    document = json.loads(dump(to_dict(proof(outcome="bounded", explained_by=WHY), "m.pt2", ["random"])))
    assert document["explained_by"][0] == {
        "name": "int32 operands",
        "meaning": "in int32",
        "models": ["fuseguard.backend.int32_rescales.bypasses"],
        "shared_with_rules": ["fuseguard.backend.int32_rescales.bypasses"],
        "elements": 3,
        "results": ["output 0", "buffer k"],
    }
    validator = jsonschema.Draft202012Validator(load_schema("prove"))
    validator.validate(document)
    assert not validator.is_valid({**document, "explained_by": [{"name": "magic"}]})


@pytest.mark.parametrize("changes", [{}, {"outcome": "crash", "exception": "E", "max_error_steps": None}])
def test_what_prove_writes_is_what_its_schema_says(changes: dict[str, Any]) -> None:
    """Nothing more, either: a key that is written has to be described."""
    schema = load_schema("prove")
    document = to_dict(proof(**changes), "m.pt2", ["random"])
    jsonschema.Draft202012Validator(schema).validate(json.loads(dump(document)))
    assert document.keys() == schema["$defs"]["proof"]["properties"].keys()


def test_a_program_that_does_not_lower_has_one_outcome_for_all_input_sets() -> None:
    """It raised: a lowering that raises runs no set, so that there is one proof and not one for each."""
    document = json.loads(dump(to_dict(proof(outcome="crash", exception="E"), "m.pt2", ["random:0", "random:7"])))
    jsonschema.Draft202012Validator(load_schema("prove")).validate(document)
    assert [(one["inputs"], one["outcome"]) for one in document["input_sets"]] == [
        ("random:0", "crash"),
        ("random:7", "crash"),
    ]


def test_of_several_input_sets_each_is_shown_and_the_worst_one_is_named() -> None:
    sets = (proof(), proof(outcome="wrong", mismatches=3, max_error_steps=2.0), proof(outcome="undefined"))
    names = ["a.pt", "b.pt", "c\x1b.pt"]
    worst = proof(outcome="wrong", mismatches=3, max_error_steps=2.0, by_inputs=sets, worst=2)
    shown = plain(render(worst, "m.pt2", names))
    assert "  inputs      b.pt, the worst of 3 input sets\n" in shown
    assert "  a.pt: exact, 0 of 64 elements differ, by 0 steps at most, SQNR inf dB\n" in shown
    assert "  b.pt: wrong, 3 of 64 elements differ, by 2 steps at most, SQNR inf dB\n" in shown
    assert "  c\\x1b.pt: undefined\n" in shown
    document = json.loads(dump(to_dict(worst, "m.pt2", names)))
    jsonschema.Draft202012Validator(load_schema("prove")).validate(document)
    assert document["inputs"] == "b.pt"
    assert [item["outcome"] for item in document["input_sets"]] == ["exact", "wrong", "undefined"]


def test_a_wrong_proof_names_the_results_that_differ() -> None:
    assert "  differs     buffer k, output 0\n" in text(outcome="wrong", call=1, differing=("buffer k", "output 0"))
    assert "differs" not in text()
    assert "calls" not in text()


def test_calls_in_a_row_are_counted_and_the_one_that_differs_is_named() -> None:
    shown = text(outcome="wrong", calls=2, call=2, differing=("buffer k\x1b",))
    assert "  calls       2 in a row, each on the state that the one before has left\n" in shown
    assert "  differs     buffer k\\x1b in call 2\n" in shown
    document = to_dict(proof(calls=3, call=2, differing=("buffer k",)), "m.pt2", ["random"])
    assert (document["calls"], document["call"], document["differing"]) == (3, 2, ["buffer k"])


def test_a_crash_shows_its_exception_and_no_numbers_of_a_run_that_never_was() -> None:
    shown = text(outcome="crash", exception="ValueError: no \x1b[31mqparams\nsecond line", sqnr_db=float("-inf"))
    assert "exception   ValueError: no \\x1b[31mqparams\n" in shown
    assert "mismatches" not in shown
    assert "delegated" not in shown


@pytest.mark.parametrize("outcome", ["exact", "bounded", "wrong", "crash", "undefined", "runtime_fault"])
def test_every_outcome_has_a_meaning(outcome: str) -> None:
    assert to_dict(proof(outcome=outcome), "m.pt2", ["random"])["outcome_meaning"]
    assert f"{outcome}: m.pt2: " in text(outcome=outcome)


def test_infinities_are_strings_in_json() -> None:
    document = json.loads(dump(to_dict(proof(sqnr_db=float("-inf"), max_error_steps=None), "m.pt2", ["random:1"])))
    assert document["sqnr_db"] == "-inf"
    assert document["max_error_steps"] is None
    assert document["inputs"] == "random:1"
    assert (document["guarded"], document["guard"]) == (False, None)


def test_what_the_guard_refused_is_told() -> None:
    class Guard:
        def lines(self) -> list[str]:
            return ["fuseguard: 2 nodes refused", "  FU101: refused conv, relu"]

        def to_dict(self) -> dict[str, str]:
            return {"policy": "consistent"}

    guard: Any = Guard()
    shown = plain(render(proof(), "m.pt2", ["random"], guard))
    assert "(guarded)" in shown
    assert "FU101: refused conv, relu" in shown
    document = to_dict(proof(), "m.pt2", ["random"], guard)
    assert (document["guarded"], document["guard"]) == (True, {"policy": "consistent"})


def test_the_page_of_a_proof_holds_what_the_json_holds() -> None:
    shown = proof(outcome="wrong", cells=(cell(value="quantize", status="exact"), cell()))
    page = proof_html.render(shown, "m.pt2", ["random"])
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert data.pop("kind") == "proof"
    told = {key: data.pop(key) for key in ("headline", "cells_summary", "cross_check", "guard_lines")}
    assert told == {"headline": "wrong", "cells_summary": "1 exact, 1 wrong", "cross_check": "", "guard_lines": []}
    assert data == json.loads(dump(to_dict(shown, "m.pt2", ["random"])))
    assert data["cells"][1]["errors"] == [[-132.0, 70], [-100.0, 8]]


def test_a_page_and_a_notebook_take_no_markup_from_a_proof() -> None:
    evil = "</script><img src=x onerror=alert(1)>"
    shown = proof(outcome=evil, target=evil, exception=evil, cells=(cell(value=evil, ops=(evil,), module=evil),))
    for text in (proof_html.render(shown, evil, [evil]), notebook.proof_html(shown)):
        assert "<img" not in text
    assert proof_html.render(shown, evil, [evil]).count("</script>") == 4, "the data, and three scripts"


def test_an_exact_lowering_with_ties_does_not_contradict_itself() -> None:
    tied = proof(mismatches=2, rounding_ties=2, max_error=0.102, max_error_steps=1.0)
    shown = plain(render(tied, "m.pt2", ["random"]))
    assert "  mismatches  2 of 64 elements, all of them rounding ties\n" in shown
    assert "  max error   0.102, 1 step of the output (at a rounding tie, where either code is right)\n" in shown
    some = proof(outcome="bounded", mismatches=3, rounding_ties=2, max_error=0.2, max_error_steps=2.0)
    assert "  max error   0.2, 2 steps of the output\n" in plain(render(some, "m.pt2", ["random"]))
