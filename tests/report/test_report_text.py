"""The text report: every fact of a finding is there, and absent ones leave no trace."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from fuseguard.engine import Effect, Finding, Severity
from fuseguard.engine.effort import TooMuchWork
from fuseguard.engine.run import TooMuchFound
from fuseguard.engine.shown import counted
from fuseguard.gate.result import CheckResult, FileResult
from fuseguard.ir.graph import SourceLine
from fuseguard.report.lines import Line, paragraph, plain, table
from fuseguard.report.numbers import json_number, short
from fuseguard.report.options import Options
from fuseguard.report.quoting import quoted
from fuseguard.report.text import finding_lines, render
from fuseguard_testkit.report_fakes import (
    BARE,
    BUGGY,
    FAILURE,
    FINDING,
    TARGET,
    UNREADABLE,
    finding,
    of,
    report,
    result,
)


def text_of(check: CheckResult, **options: bool) -> str:
    return plain(render(check, **options))


def one(item: Finding) -> str:
    return plain(finding_lines(item, TARGET))


def test_a_full_finding() -> None:
    """The layout as users and their greps see it; change it on purpose only."""
    assert one(FINDING) == (
        "error[FU101] fused-activation-out-of-range\n"
        "  --> model.py:7, in forward\n"
        "    |\n"
        "  7 | y = relu(conv(x))\n"
        "    | ^^^^^^^^^^^^^^^^^\n"
        "  relu is out of range\n"
        "  module    block.conv (torch.nn.Conv2d)\n"
        "  nodes     conv2d, relu\n"
        "  island    conv2d -> relu\n"
        "              input                   scale 0.5\n"
        "              output (owned by relu)  scale 0.25\n"
        "  effect    wrong: lowering succeeds and the result is silently wrong\n"
        "  on        TOSA-1.0+INT, ExecuTorch 1.5.1\n"
        "  evidence  measured (#21974)\n"
        "  worst     off by at most 111 steps of the output, which is 5.55\n"
        "  guard     keeps dequantize, conv2d, relu off the accelerator\n"
        "  remedy    insert a pair\n"
        "  repair    fuseguard can repair this bit-exactly\n"
    )


def test_a_bare_finding_shows_the_file_and_no_empty_fields() -> None:
    assert one(BARE) == (
        "warning[QP301] odd\n"
        "  --> m.pt2, node n\n"
        "  odd\n"
        "  nodes     n\n"
        f"  effect    quality: {Effect.QUALITY.meaning}\n"
        "  on        TOSA-1.0+INT, ExecuTorch 1.5.1\n"
        "  remedy    fix it\n"
        "  repair    no bit-exact one is known; follow the remedy\n"
    )


def test_a_line_without_code_shows_its_place_alone() -> None:
    text = one(finding(source=SourceLine("/etc/passwd", 1)))
    assert "  --> /etc/passwd:1\n" in text
    assert "^" not in text
    assert "root" not in text, "a file named by an input must not be opened"


@pytest.mark.parametrize(
    ("steps", "value", "expected"),
    [
        (1, 0.05, "worst     off by at most 1 step of the output, which is 0.05"),
        (2.5, None, "worst     off by at most 2.5 steps of the output\n"),
        (None, 0.125, "worst     off by at most 0.125\n"),
        (0, 0.0, "worst     off by at most 0 steps of the output, which is 0"),
    ],
)
def test_bounds(steps: float | None, value: float | None, expected: str) -> None:
    assert expected in one(finding(bound_steps=steps, bound_value=value))


def test_no_bound_no_line() -> None:
    assert "worst" not in one(finding(bound_steps=None, bound_value=None))


def test_consequences_bodies_and_details_are_named() -> None:
    text = one(finding(caused_by="FU102", graph="true_graph_0", details=(("shift", "47"),)))
    assert "  follows   from FU102" in text
    assert "conv2d, relu (in the graph true_graph_0)" in text
    assert "  shift     47\n" in text


def test_the_call_in_the_users_code_is_below_the_line_of_an_installed_model() -> None:
    model = SourceLine("/venv/site-packages/torchvision/models/resnet.py", 93, "forward", "out = self.relu(out)")
    call = SourceLine("train.py", 12, "forward", "return self.net(x)")
    text = one(finding(source=model, stack=(call, model)))
    assert (
        "  --> torchvision/models/resnet.py:93, in forward\n"
        "     |\n"
        "  93 | out = self.relu(out)\n"
        "     | ^^^^^^^^^^^^^^^^^^^^\n"
        "  called from train.py:12, in forward: return self.net(x)\n"
    ) in text
    assert "called from" not in one(finding(source=call, stack=(call,)))


def test_a_place_of_several_findings_has_the_call_too() -> None:
    model = SourceLine("/venv/site-packages/torchvision/models/resnet.py", 93, "forward", "out = self.relu(out)")
    call = SourceLine("train.py", 12, "forward", "return self.net(x)")
    found = finding(source=model, stack=(call, model))
    assert (
        "  --> torchvision/models/resnet.py:93, in forward and 1 more\n"
        "  called from train.py:12, in forward: return self.net(x)\n"
    ) in plain(render(of(found, found)))


def test_a_file_below_the_current_folder_is_named_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file, place in ((f"{tmp_path}/nets/model.py", "nets/model.py"), (f"{tmp_path}-2/model.py",) * 2):
        assert f"  --> {place}:7, in forward\n" in one(finding(source=SourceLine(file, 7, "forward")))


def test_a_place_that_is_too_wide_stays_in_one_piece_after_its_arrow() -> None:
    """A terminal opens it, and the arrow is not alone on its line."""
    wide = SourceLine(f"/{'folder/' * 20}model.py", 7, "forward")
    lines = plain(render(of(finding(source=wide))), 80).splitlines()
    assert lines[lines.index(f"  --> {wide},") + 1] == "      in forward"



def test_a_very_long_source_line_is_cut() -> None:
    text = one(finding(source=SourceLine("m.py", 7, "", "x" * 100_000)))
    assert max(map(len, text.splitlines())) < 200


def test_the_summary_counts_by_severity() -> None:
    check = of(FINDING, FINDING, BARE)
    assert text_of(check).splitlines()[-2] == (
        "2 errors, 1 warning, 0 notes in 13 nodes, 2 islands; target TOSA-1.0+INT, ExecuTorch 1.5.1; policy consistent"
    )


def test_the_summary_names_what_was_not_checked() -> None:
    check = result(FileResult("m.pt2", report(failures=(FAILURE,))), UNREADABLE, BUGGY)
    summary = text_of(check).splitlines()[-1]
    assert "of 3 files (1 file could not be read, 1 file could not be checked, 1 rule failure)" in summary


def test_errors_notices_and_failures_have_their_lines() -> None:
    check = result(FileResult("m.pt2", report(failures=(FAILURE,), notices=("Look here.",))), UNREADABLE)
    text = text_of(check)
    assert "notice: Look here.\n" in text
    assert "error: rule FU102 failed in true_graph_0: KeyError: 'x'" in text
    assert "error: bad.pt2: is empty; save it again\n" in text
    assert "error: bad.pt2" not in text_of(check, errors=False)


def test_advice_after_a_failure_depends_on_whose_fault_it_is() -> None:
    """A program with too many findings is not a fault of the rule, whose authors need not hear of it."""
    full = replace(FAILURE, error=f"{TooMuchFound.__name__}: there are more than 3000 findings")
    assert "3000 findings. What it would have found is missing; repair what is listed, then check again." in text_of(
        of(failures=(full,))
    )
    large = replace(FAILURE, error=f"{TooMuchWork.__name__}: the program has more than 400 different tables to compute")
    assert "is missing; export and check the model in parts." in text_of(of(failures=(large,)))
    assert "is missing; please report it to the authors of its rule pack." in text_of(of(failures=(FAILURE,)))


def test_quiet_keeps_failures_and_drops_notices() -> None:
    text = text_of(of(failures=(FAILURE,), notices=("Look here.",)), options=Options(quiet=True))
    assert "rule FU102 failed" in text
    assert "Look here" not in text
    assert text_of(of(notices=("Look here.",)), options=Options(quiet=True)) == ""


HOSTILE = "a\x1b[31m\r\n\x07\u202eb\ud800\u200b"


def test_no_field_of_a_finding_can_carry_control_characters() -> None:
    item = finding(
        code=HOSTILE, name=HOSTILE, message=HOSTILE, remedy=HOSTILE, evidence_note=HOSTILE, nodes=(HOSTILE,),
        cluster=(HOSTILE,), source=SourceLine(HOSTILE, 1, HOSTILE, HOSTILE), module=HOSTILE, module_type=HOSTILE,
        island=HOSTILE, qparams=((HOSTILE, HOSTILE),), details=((HOSTILE, HOSTILE),), graph=HOSTILE, caused_by=HOSTILE,
    )  # fmt: skip
    for text in (one(item), one(finding(source=None, file=HOSTILE, nodes=(HOSTILE,)))):
        assert all(line.isprintable() for line in text.split("\n"))
        assert "a\\x1b[31m\\r\\n\\x07\\u202eb\\ud800\\u200b" in text


def test_no_file_name_error_or_notice_can_carry_control_characters() -> None:
    check = result(
        FileResult(HOSTILE, report(notices=(HOSTILE,), failures=(FAILURE.__class__(HOSTILE, HOSTILE, HOSTILE),))),
        FileResult(HOSTILE, error=UNREADABLE.error),
    )
    assert all(line.isprintable() for line in text_of(check).split("\n"))


def test_clean_leaves_printable_text_alone() -> None:
    assert quoted("größe → 1") == "größe → 1"
    assert quoted("\tx") == "    x"


def test_wrapping_puts_what_does_not_fit_under_its_own_start() -> None:
    line = Line(("  label  ", "dim"), "one two three four", hang=9)
    assert plain([line], 18) == "  label  one two\n         three\n         four\n"
    assert plain([paragraph("one two three", 2)], 9) == "  one two\n  three\n"
    assert plain([line]) == "  label  one two three four\n"


def test_wrapping_loses_nothing() -> None:
    for width in range(12, 120, 7):
        wrapped = plain(render(of(FINDING, BARE)), width)
        assert wrapped.split() == plain(render(of(FINDING, BARE))).split()


def test_a_table_aligns_its_columns() -> None:
    assert plain(table([("a", "b"), ("long", "c")], ("x", "y"))) == "x     y\na     b\nlong  c\n"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_terminal_shows_the_same_words_in_colour(width: int) -> None:
    from fuseguard.report import terminal

    text = terminal.coloured(render(of(FINDING, BARE)), width)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert "".join(shown.split()) == "".join(text_of(of(FINDING, BARE)).split())
    assert max(len(line) for line in shown.splitlines()) <= width
    assert text != shown


def test_colour_without_a_width_wraps_nothing() -> None:
    """As in a CI job with FORCE_COLOR, where no terminal says how wide it is."""
    from fuseguard.report import terminal

    long = of(finding(message="x" * 50 + " y" * 500))
    shown = re.sub(r"\x1b\[[0-9;]*m", "", terminal.coloured(render(long)))
    assert shown == text_of(long)


def test_severities_have_colours_of_their_own() -> None:
    styles = {severity: next(finding_lines(finding(severity=severity), TARGET)).spans[0][1] for severity in Severity}
    assert styles == {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def test_numbers() -> None:
    assert [counted(n, "node") for n in (0, 1, 2)] == ["0 nodes", "1 node", "2 nodes"]
    assert [short(n) for n in (111.0, 0.1 + 0.2, 1e-9)] == ["111", "0.3", "1e-09"]
    assert [json_number(n) for n in (None, 1.5, float("inf"), float("-inf"))] == [None, 1.5, "inf", "-inf"]
    assert json_number(float("nan")) == "nan"
