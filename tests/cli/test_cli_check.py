"""``fuseguard check``: verdicts, formats and what goes wrong."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from fuseguard.engine import Registry
from fuseguard.report.formats import FORMATS
from fuseguard.target import MEASURED_RELEASES
from fuseguard_testkit.cli_fakes import CODE_LINE, ERROR_RULE, FAILING_RULE, NOTE_RULE, WARNING_RULE

Cli = Callable[..., Result]
UseRules = Callable[..., None]

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


# --- exit codes -----------------------------------------------------------------------------------------


def test_a_clean_program_exits_with_0_and_says_what_was_checked(cli: Cli) -> None:
    result = cli("check", "clean.pt2")
    assert result.exit_code == 0
    assert result.output == (
        "0 errors, 0 warnings, 0 notes in 13 nodes, 1 island; target TOSA-1.0+INT+FP, ExecuTorch 1.5.1; "
        "policy consistent\n"
    )


def test_an_error_exits_with_1(cli: Cli) -> None:
    assert cli("check", "wrong.pt2").exit_code == 1


@pytest.mark.parametrize(
    ("fail_on", "rule", "code"),
    [
        ("error", ERROR_RULE, 1),
        ("error", WARNING_RULE, 0),
        ("error", NOTE_RULE, 0),
        ("warning", WARNING_RULE, 1),
        ("warning", NOTE_RULE, 0),
        ("note", NOTE_RULE, 1),
    ],
)
def test_fail_on_is_a_threshold(cli: Cli, use_rules: UseRules, fail_on: str, rule: type, code: int) -> None:
    use_rules(rule)
    assert cli("check", "clean.pt2", "--fail-on", fail_on).exit_code == code


def test_exit_zero_forgives_findings_and_nothing_else(cli: Cli, use_rules: UseRules) -> None:
    assert cli("check", "wrong.pt2", "--exit-zero").exit_code == 0
    assert cli("check", "wrong.pt2", "damaged.pt2", "--exit-zero").exit_code == 3
    use_rules(FAILING_RULE)
    assert cli("check", "clean.pt2", "--exit-zero").exit_code == 2


def test_an_unreadable_file_exits_with_3_and_the_others_are_still_checked(cli: Cli) -> None:
    result = cli("check", "damaged.pt2", "wrong.pt2")
    assert result.exit_code == 3
    assert "damaged.pt2: \\x1b[31mno program in it" in result.output
    assert result.output.count("damaged.pt2") == 1, "named twice"
    assert "error[FU101]" in result.output
    assert "of 2 files (1 file could not be read)" in result.output


def test_a_failing_rule_exits_with_2_and_the_others_findings_are_printed(cli: Cli, use_rules: UseRules) -> None:
    use_rules(FAILING_RULE, ERROR_RULE)
    result = cli("check", "clean.pt2")
    assert result.exit_code == 2
    assert "error[ZZ001]" in result.output
    assert "rule ZZ999 failed: KeyError: 'out of my depth'" in result.output
    assert "(1 rule failure)" in result.output


def test_the_largest_exit_code_wins(cli: Cli, use_rules: UseRules) -> None:
    use_rules(FAILING_RULE, ERROR_RULE)
    assert cli("check", "clean.pt2", "damaged.pt2").exit_code == 3
    assert cli("check", "damaged.pt2", "clean.pt2").exit_code == 3


def test_a_bug_of_ours_is_told_without_traceback_and_the_other_files_are_checked(cli: Cli) -> None:
    result = cli("check", "bug.pt2", "wrong.pt2")
    assert result.exit_code == 2
    assert "bug.pt2: internal error: RuntimeError: a bug of ours" in result.output
    assert "FUSEGUARD_DEBUG=1" in result.output
    assert "report it" in result.output
    assert "Traceback" not in result.output
    assert "error[FU101]" in result.output


def test_a_bug_of_ours_shows_its_traceback_when_asked(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSEGUARD_DEBUG", "1")
    assert "Traceback" in cli("check", "bug.pt2").output


def test_a_bug_outside_of_any_file_is_told_too(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("fuseguard.cli.check.load_registry", broken)
    result = cli("check", "clean.pt2")
    assert result.exit_code == 2
    assert "internal error: ZeroDivisionError: oops" in result.output
    assert isinstance(result.exception, SystemExit)


def test_ctrl_c_exits_with_130(cli: Cli) -> None:
    result = cli("check", "interrupt.pt2")
    assert result.exit_code == 130
    assert result.output == "Interrupted.\n"


# --- options ----------------------------------------------------------------------------------------------


def test_a_wrong_target_lists_the_valid_ones(cli: Cli) -> None:
    result = cli("check", "clean.pt2", "--target", "ethos-u55-129")
    assert result.exit_code == 2
    assert "Did you mean 'ethos-u55-128'?" in result.output
    assert "vgf" in result.output


def test_a_wrong_release_lists_the_valid_ones(cli: Cli) -> None:
    result = cli("check", "clean.pt2", "--executorch", "1.0")
    assert result.exit_code == 2
    assert ", ".join(MEASURED_RELEASES) in result.output


def test_a_wrong_selector_names_the_nearest(cli: Cli) -> None:
    result = cli("check", "clean.pt2", "--select", "FU101,fused-activation-out-of-rnage")
    assert result.exit_code == 2
    assert "Did you mean 'fused-activation-out-of-range'?" in result.output


def test_leaving_no_rule_is_an_error_and_not_a_clean_run(cli: Cli) -> None:
    result = cli("check", "clean.pt2", "--select", "FU101", "--ignore", "FU1")
    assert result.exit_code == 2
    assert "no rule" in result.output


@pytest.mark.parametrize(
    ("options", "codes"),
    [
        (("--select", "ZZ001,ZZ002"), ["ZZ001", "ZZ002"]),
        (("--select", "ZZ001", "--select", "ZZ003"), ["ZZ001", "ZZ003"]),
        (("--ignore", "ZZ001", "--ignore", " relu-is-poor ,"), ["ZZ003"]),
        (("--select", "ZZ", "--ignore", "ZZ003"), ["ZZ001", "ZZ002"]),
    ],
)
def test_select_and_ignore_repeat_and_take_commas(
    cli: Cli, use_rules: UseRules, options: tuple[str, ...], codes: list[str]
) -> None:
    use_rules(ERROR_RULE, WARNING_RULE, NOTE_RULE)
    document = json.loads(cli("check", "clean.pt2", "--output-format", "json", *options).output)
    assert document["rules"] == codes
    assert [finding["code"] for finding in document["files"][0]["findings"]] == codes


def test_the_target_and_release_decide(cli: Cli) -> None:
    assert "effect    wrong" in cli("check", "wrong.pt2").output
    assert "effect    crash" in cli("check", "wrong.pt2", "--executorch", "1.2.0").output
    on_int = cli("check", "wrong.pt2", "--executorch", "1.2.0", "--target", "TOSA-1.0+INT")
    assert (on_int.exit_code, "effect    cpu_fallback" in on_int.output) == (0, True)


def test_the_policy_decides_what_the_guard_refuses(cli: Cli) -> None:
    options = ("check", "wrong.pt2", "--executorch", "1.4.1", "--policy")
    assert "  guard     keeps " in cli(*options, "consistent").output
    assert "  guard     keeps " not in cli(*options, "measured").output


def test_an_unknown_policy_is_refused_with_the_choices(cli: Cli) -> None:
    result = cli("check", "clean.pt2", "--policy", "lenient")
    assert result.exit_code == 2
    assert "bit-exact" in result.output


def test_a_file_named_twice_is_checked_once(cli: Cli) -> None:
    assert cli("check", "wrong.pt2", "wrong.pt2").output.count("error[FU101]") == 1


def test_an_unmeasured_release_gives_a_notice(cli: Cli) -> None:
    result = cli("check", "clean.pt2", "--executorch", "1.9.0")
    assert result.exit_code == 0
    assert "notice: ExecuTorch 1.9.0 is newer than" in result.output


def test_nothing_quantized_is_a_warning_and_an_error_where_it_is_required(cli: Cli) -> None:
    result = cli("check", "float.pt2")
    assert result.exit_code == 0
    assert "warning[PG801] nothing-quantized" in result.output
    assert "Nothing in this program is quantized" not in result.output, "told twice"
    required = cli("check", "float.pt2", "--require-quantized")
    assert required.exit_code == 1
    assert "error[PG801]" in required.output
    assert cli("check", "clean.pt2", "--require-quantized").exit_code == 0


@pytest.mark.parametrize("option", ["--ignore", "--select"])
def test_what_is_required_is_told_whatever_the_rules(cli: Cli, option: str) -> None:
    chosen = "PG" if option == "--ignore" else "FU"
    assert cli("check", "float.pt2", option, chosen, "--require-quantized").exit_code == 1
    assert ("PG801" in cli("check", "float.pt2", option, chosen).output) == (option == "--select")


def test_quiet_prints_findings_only(cli: Cli) -> None:
    assert cli("check", "clean.pt2", "--quiet").output == ""
    loud, quiet = cli("check", "wrong.pt2").output, cli("check", "wrong.pt2", "-q").output
    assert quiet.startswith("wrong.pt2\n\nerror[FU101]")
    assert loud.startswith(quiet)
    assert "1 error," in loud
    assert "1 error," not in quiet


# --- output -----------------------------------------------------------------------------------------------


def test_the_users_own_line_is_shown_and_marked(cli: Cli) -> None:
    lines = cli("check", "wrong.pt2").output.splitlines()
    place = lines.index("  --> /home/me/model.py:42, in forward")
    assert lines[place + 2] == f"  42 | {CODE_LINE}"
    assert lines[place + 3] == f"     | {'^' * len(CODE_LINE)}"


def test_colour_changes_no_content(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "4000")
    colourful = cli("check", "wrong.pt2", "--color", "always").output
    assert "\x1b[" in colourful
    assert ESCAPES.sub("", colourful) == cli("check", "wrong.pt2").output


@pytest.mark.parametrize(
    ("variables", "color", "expected"),
    [
        ({}, "auto", False),
        ({"FORCE_COLOR": "1"}, "auto", True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, "auto", False),
        ({"NO_COLOR": "1"}, "always", True),
        ({"FORCE_COLOR": "1"}, "never", False),
    ],
)
def test_who_decides_on_colour(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], color: str, expected: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[" in cli("check", "wrong.pt2", "--color", color).output) is expected


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_cannot_send_escape_sequences_to_the_terminal(cli: Cli, name: str) -> None:
    output = cli("check", "hostile.pt2", "damaged.pt2", "--output-format", name).output
    assert "\x1b" not in output
    assert "\u202e" not in output


def test_json_holds_every_file_in_order_and_the_summary(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    files = ("wrong.pt2", "damaged.pt2", "clean.pt2")
    result = cli("check", *files, "--output-format", "json", "--output-file", str(path))
    document = json.loads(path.read_text())
    assert [file["file"] for file in document["files"]] == ["wrong.pt2", "damaged.pt2", "clean.pt2"]
    assert document["files"][1]["error"]["kind"] == "unreadable"
    assert "error" not in document["files"][0]
    assert document["summary"]["errors"] == 1
    assert document["summary"]["files_unreadable"] == 1
    assert document["summary"]["exit_code"] == result.exit_code == 3


def test_an_output_file_takes_the_whole_report_and_stdout_none(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    result = cli("check", "wrong.pt2", "damaged.pt2", "--output-file", str(path), "--color", "always")
    assert result.output == "error: damaged.pt2: \\x1b[31mno program in it\n"
    text = path.read_text()
    assert "error[FU101]" in text
    assert "damaged.pt2" in text
    assert "\x1b" not in text
    assert list(tmp_path.iterdir()) == [path], "a temporary file was left"


def test_an_output_file_that_cannot_be_written_exits_with_2(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "report.txt"
    result = cli("check", "clean.pt2", "--output-file", str(path))
    assert result.exit_code == 2
    assert f"cannot write '{path}'" in result.output
    assert cli("check", "damaged.pt2", "--output-file", str(path)).exit_code == 3


def test_an_output_file_behind_a_link_is_written_and_the_link_stays(cli: Cli, tmp_path: Path) -> None:
    target, link = tmp_path / "there.txt", tmp_path / "link.txt"
    link.symlink_to(target)
    assert cli("check", "wrong.pt2", "--output-file", str(link)).exit_code == 1
    assert link.is_symlink()
    assert "error[FU101]" in target.read_text()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe")
def test_a_device_is_written_to_and_not_replaced(cli: Cli, tmp_path: Path) -> None:
    """Renaming a report over /dev/stdout or /dev/null, as root can, would break the machine."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert cli("check", "wrong.pt2", "--output-file", str(pipe)).exit_code == 1
        assert b"error[FU101]" in os.read(reader, 65536)
    finally:
        os.close(reader)
    assert pipe.is_fifo()


# --- the real rules ---------------------------------------------------------------------------------------


def test_every_installed_rule_reports_its_own_examples(
    cli: Cli, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Formatting a finding must not depend on which facts a rule fills in."""
    graphs = {f"{rule.code}-{number}.pt2": e.graph() for rule in registry.rules for number, e in enumerate(rule.bad)}
    monkeypatch.setattr("fuseguard.readers.open.read", lambda path, methods=(): (graphs[str(path)], str(path)))
    for release in ("1.2.0", "1.5.1"):
        result = cli("check", *graphs, "--executorch", release, "--output-format", "json")
        assert result.exit_code in (0, 1), result.output
        text = cli("check", *graphs, "--executorch", release, "--verbose").output
        for file in json.loads(result.output)["files"]:
            for finding in file["findings"]:
                assert f"{finding['severity']}[{finding['code']}] {finding['name']}" in text
                assert finding["message"] in text
