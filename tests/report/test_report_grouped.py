"""Findings with one cause are one entry: the remedy once, the places as a table, and what to do next at the end."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from fuseguard.engine import Effect, Evidence, Finding, Severity
from fuseguard.engine.finding import Outcome
from fuseguard.gate.result import CheckResult, FileResult
from fuseguard.ir.graph import SourceLine
from fuseguard.report.grouped import WIDTH, groups
from fuseguard.report.lines import fitted_table, plain
from fuseguard.report.options import Options
from fuseguard.report.text import render
from fuseguard.target import Target
from fuseguard_testkit.report_fakes import BARE, FINDING, finding, of, report, result

REMEDY = "insert a pair " * 20
LONG = "/home/me/projects/with/a/very/long/path/to/the/package/model.py"


def many(count: int, **changes: object) -> list[Finding]:
    return [
        finding(
            message=f"relu_{number} is out of range", remedy=REMEDY, module=f"features.blocks.{number}.conv",
            source=SourceLine(LONG, number, "forward", "y"), island=f"conv2d_{number} -> relu_{number}",
            nodes=(f"conv2d_{number}",), **changes,
        )
        for number in range(count)
    ]  # fmt: skip


def text_of(check: CheckResult, **options: bool) -> str:
    return plain(render(check, Options(**options)))


def test_places_of_one_op_are_told_apart_by_the_ops_that_read_it() -> None:
    """OP706: each reader of a value is a finding of its own, and the value has no island."""
    found = [finding(nodes=("add_3", other), island="add_3") for other in ("add_6", "sub_4")]
    text = text_of(of(*found))
    assert "add_3, add_6" in text
    assert "add_3, sub_4" in text


def test_the_remedy_is_printed_once_and_every_place_has_a_row() -> None:
    found = many(49)
    text = text_of(of(*found))
    assert text.count(REMEDY.strip()) == 1
    assert "error[FU101] fused-activation-out-of-range: 49 places (--verbose shows each in full)\n" in text
    assert "  for example: relu_0 is out of range\n" in text
    assert "  repair    fuseguard can repair all 49 bit-exactly\n" in text
    for number in range(49):
        assert re.search(rf"blocks\.{number}\.conv +model\.py:{number} .*-> relu_{number} ", text), number
    assert len(text.splitlines()) < 70


def test_the_table_fits_80_columns_and_keeps_the_end_of_paths() -> None:
    lines = text_of(of(*many(12))).splitlines()
    rows = [line for line in lines if " model.py:" in line or line.startswith("  module  ")]
    assert len(rows) == 13
    assert rows[0].split() == ["module", "line", "ops", "worst", "error"]
    assert max(map(len, rows)) <= WIDTH == 80
    assert rows[1].endswith("111 steps, 5.55")
    elsewhere = finding(source=SourceLine(f"/elsewhere/{LONG}", 7), module="m" * 50 + ".last", remedy=REMEDY)
    cut = [line for line in text_of(of(*many(2), elsewhere)).splitlines() if line.endswith("111 steps, 5.55")]
    assert max(map(len, cut)) <= WIDTH
    assert cut[0].split()[1].endswith("model.py:0")
    assert "...mm" in cut[2]
    assert ".last " in cut[2]


def test_the_first_place_is_there_in_full() -> None:
    assert f"  --> {LONG}:0, in forward and 11 more\n" in text_of(of(*many(12)))


def test_verbose_prints_every_finding_as_it_is_alone() -> None:
    found = many(3)
    text = text_of(of(*found), verbose=True)
    assert text.count("remedy ") == 3
    assert text.count("error[FU101] fused-activation-out-of-range\n") == 3
    assert "places" not in text
    alone = text_of(of(found[1])).split("\n\n")[1]
    assert alone in text


def test_a_finding_of_its_own_kind_looks_as_it_always_did() -> None:
    """Small reports are for reading: the source line with its code is there."""
    assert text_of(of(FINDING, BARE)).split("\n\n")[1:3] == text_of(of(FINDING, BARE), verbose=True).split("\n\n")[1:3]
    assert "  7 | y = relu(conv(x))" in text_of(of(FINDING, BARE))


@pytest.mark.parametrize(
    "other",
    [
        {"code": "FU102"}, {"case": "below"}, {"effect": Effect.CRASH}, {"severity": Severity.NOTE},
        {"remedy": "another"}, {"caused_by": "FU103"}, {"refuse": False}, {"evidence": Evidence.INFERRED},
        {"evidence_note": "read"},
        {"outcomes": (Outcome("vgf", Effect.CRASH), Outcome("TOSA-1.0+INT"))},
    ],
    ids=lambda value: next(iter(value)),
)  # fmt: skip
def test_what_an_entry_says_once_is_true_of_all_its_findings(other: dict[str, object]) -> None:
    assert [len(group) for group in groups([FINDING, replace(FINDING, **other), FINDING])] == [2, 1]


def test_what_is_not_about_the_backend_is_not_grouped() -> None:
    """Its message is all that it says."""
    item = replace(BARE, effect=Effect.UPKEEP)
    assert len(groups([item, item])) == 2


def test_columns_that_say_nothing_are_left_out() -> None:
    items = [finding(module="", source=None, bound_steps=None, bound_value=None, island="", nodes=(n,)) for n in "ab"]
    assert text_of(of(*items)).split("\n\n")[2] == "  ops\n  a\n  b"


def test_targets_are_told_once() -> None:
    outcomes = (
        Outcome("vgf", Effect.WRONG, Severity.ERROR, Evidence.MEASURED, "note A"),
        Outcome("ethos-u85", Effect.CRASH, Severity.ERROR, Evidence.MEASURED, "note B"),
    )
    text = text_of(of(*many(5, outcomes=outcomes)))
    assert text.count("note A") == text.count("note B") == 1


def test_each_file_has_its_own_entries() -> None:
    text = text_of(result(*(FileResult(name, report(*many(2), file=name)) for name in ("a.pt2", "b.pt2"))))
    assert text.count(": 2 places (") == 2


@pytest.mark.parametrize("column", ["module", "source", "island", "graph", "message", "remedy"])
def test_no_field_of_an_entry_can_carry_control_characters(column: str) -> None:
    hostile = "a\x1b[31m\r\n\x07\u202eb\ud800\u200b"
    changes: dict[str, object] = {column: SourceLine(hostile, 1) if column == "source" else hostile}
    text = text_of(of(finding(**changes), finding(**changes)))
    assert "2 places" in text
    assert all(line.isprintable() for line in text.split("\n"))


# --- what to do next ------------------------------------------------------------------------------------------


def last(*findings: Finding, **options: bool) -> str:
    return text_of(of(*findings), **options).splitlines()[-1]


def test_the_last_line_says_how_to_repair() -> None:
    found = [replace(item, file="my model.pt2") for item in many(3)]
    assert last(*found) == (
        "3 of 3 can be repaired bit-exactly: fuseguard repair 'my model.pt2' --trust --target TOSA-1.0+INT "
        "-o repaired.pt2 "
        "(if you trust the file)"
    )
    assert last(*found, replace(BARE, file="my model.pt2")).startswith("3 of 4 can be repaired")
    assert "'my model.pt2'" not in last(*found, quiet=True)


def test_the_repair_is_for_the_target_and_policy_of_the_check() -> None:
    """Without them, the judge would answer for another target."""
    found = of(finding(file="m.pt2"))
    for target, options in (
        ("TOSA-1.0+INT+FP", ""), ("TOSA-1.0+INT", "--target TOSA-1.0+INT "), ("vgf", "--target vgf "),
        ("ethos-u85", "--target ethos-u85-256 "), ("TOSA-1.0+INT+int16", "--target TOSA-1.0+INT+int16 "),
    ):  # fmt: skip
        line = text_of(replace(found, target=Target.parse(target, "1.5.1"))).splitlines()[-1]
        assert f"repair m.pt2 --trust {options}-o repaired.pt2" in line
    measured = text_of(replace(found, policy="measured")).splitlines()[-1]
    assert "--target TOSA-1.0+INT --policy measured -o repaired.pt2" in measured


def test_of_several_targets_the_one_with_most_to_repair_is_named() -> None:
    first, second = (Target.parse(text, "1.5.1") for text in ("TOSA-1.0+INT+FP", "vgf"))
    outcomes = (Outcome(str(first)), Outcome(str(second), Effect.WRONG, Severity.ERROR))
    both = replace(of(finding(file="m.pt2", outcomes=outcomes)), targets=(first, second), target=first)
    assert "repair m.pt2 --trust --target vgf -o repaired.pt2" in text_of(both).splitlines()[-1]


def test_a_file_name_is_no_option_and_no_command() -> None:
    assert "repair ./--force.pt2 --trust" in last(finding(file="--force.pt2"))
    assert "repair 'a;rm -rf b.pt2' --trust" in last(finding(file="a;rm -rf b.pt2"))
    assert "\x1b" not in last(finding(file="a\x1b[2J.pt2"))


def test_several_files_and_what_is_no_file_have_no_command_to_copy() -> None:
    assert "for each of 2 files" in last(finding(file="a.pt2"), finding(file="b.pt2"))
    assert "fuseguard.executorch.repair(program)" in last(finding(file=""))
    assert "fuseguard.executorch.repair(program)" in last(finding(file="model.etrecord"))


def test_where_nothing_can_be_repaired_the_remedy_is_named() -> None:
    assert last(BARE) == "What to do: fuseguard explain QP301"
    several = [replace(BARE, code=f"QP30{number}") for number in range(5)]
    assert last(*several) == "What to do: fuseguard explain QP300 QP301 QP302; 2 more rules have findings"


def test_a_file_that_brings_code_is_not_to_be_trusted() -> None:
    """A repair loads it."""
    code = replace(BARE, code="AR901", effect=Effect.RUNS_CODE, severity=Severity.ERROR, file="m.pt2")
    assert "--trust" not in last(finding(file="m.pt2"), code)
    assert "AR901" in last(finding(file="m.pt2"), code)


def test_a_clean_run_has_nothing_to_do_next() -> None:
    assert last().startswith("0 errors")


# --- tables ---------------------------------------------------------------------------------------------------


def test_a_table_is_narrowed_where_it_is_widest() -> None:
    rows = [("a" * 30 + "END", "START" + "b" * 30, "c")]
    lines = plain(fitted_table(rows, ("x", "y", "z"), 40, cut_left=(True, False, False))).splitlines()
    assert [len(line) <= 40 for line in lines] == [True, True]
    one, two, three = lines[1].split()
    assert one.startswith("...")
    assert one.endswith("END")
    assert two.startswith("START")
    assert two.endswith("...")
    assert three == "c"


def test_a_table_that_fits_is_left_alone() -> None:
    assert plain(fitted_table([("a", "b"), ("long", "c")], ("x", "y"), 80)) == "x     y\na     b\nlong  c\n"
