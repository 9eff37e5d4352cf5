"""Configuration and suppressions on the command line, and the same options in Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

import fuseguard
from fuseguard_testkit.cli_fakes import ERROR_RULE, NOTE_RULE, SUPPRESSION, configure, document

Cli = Callable[..., Result]
UseRules = Callable[..., None]


# --- configuration ----------------------------------------------------------------------------------------


def test_the_configuration_decides_and_options_override_it(gate: Cli) -> None:
    configure('target = "TOSA-1.0+INT"\nexecutorch = "1.2.0"\npolicy = "measured"\nfail-on = "note"')
    result = gate("check", "wrong.pt2")
    assert "target TOSA-1.0+INT, ExecuTorch 1.2.0; policy measured" in result.output
    assert (result.exit_code, "effect    cpu_fallback" in result.output) == (1, True)
    result = gate("check", "wrong.pt2", "--fail-on", "error", "--target", "vgf", "--policy", "bit-exact")
    assert "target vgf (TOSA-1.0+INT+FP+int4+int16), ExecuTorch 1.2.0; policy bit-exact" in result.output
    result = gate("check", "wrong.pt2", "--no-config")
    assert "target TOSA-1.0+INT+FP, ExecuTorch 1.5.1; policy consistent" in result.output


def test_select_ignore_and_severity_are_overridden_too(gate: Cli, use_rules: UseRules) -> None:
    use_rules(ERROR_RULE, NOTE_RULE)
    configure('ignore = ["ZZ003"]\nseverity = {ZZ001 = "warning"}')
    assert "1 warning," in gate("check", "clean.pt2").output
    both = gate("check", "clean.pt2", "--ignore", "SU", "--severity", "ZZ003=error,relu-is-wrong=note")
    assert (both.exit_code, "1 error, 0 warnings, 1 note" in both.output) == (1, True)


def test_a_configuration_is_named_with_an_option(gate: Cli) -> None:
    configure('policy = "measured"')
    configure('policy = "bit-exact"', "other.toml")
    assert "policy bit-exact" in gate("check", "clean.pt2", "--config", "other.toml").output
    both = gate("check", "clean.pt2", "--config", "other.toml", "--no-config")
    assert (both.exit_code, "exclude each other" in both.output) == (2, True)
    assert gate("check", "clean.pt2", "--config", "none.toml").exit_code == 2


@pytest.mark.parametrize(
    "command", [("check",), ("baseline", "create"), ("upgrade-check", "--from", "1.2.0", "--to", "1.5.1")]
)
def test_a_bad_configuration_exits_with_2_and_names_file_line_and_key(gate: Cli, command: tuple[str, ...]) -> None:
    configure('policy = "measured"\nselct = ["FU"]')
    result = gate(*command, "wrong.pt2")
    assert result.exit_code == 2
    assert "pyproject.toml:3: tool.fuseguard.selct: no such key. Did you mean 'select'?" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("value", ["FU101", "FU101=", "=note", "FU101=fatal", "FU999=note"])
def test_a_wrong_severity_is_a_usage_error(gate: Cli, value: str) -> None:
    result = gate("check", "clean.pt2", "--severity", value)
    assert result.exit_code == 2
    assert "Error: " in result.output


# --- suppressions -----------------------------------------------------------------------------------------


def test_a_suppressed_finding_does_not_count_and_is_not_lost(gate: Cli) -> None:
    configure(SUPPRESSION)
    result = gate("check", "wrong.pt2")
    assert result.exit_code == 0
    assert "FU101" not in result.output
    assert result.output.startswith("0 errors, 0 warnings, 0 notes in 13 nodes, 1 island; 1 suppressed; target")
    told = document(gate("check", "wrong.pt2", "--output-format", "json"))
    (finding,) = told["files"][0]["suppressed"]
    assert finding["code"] == "FU101"
    assert finding["suppression"] == {
        "kind": "ignore",
        "reason": "guarded when lowered",
        "until": None,
        "scope": "FU101 for module 'features.*'",
        "origin": {"file": "pyproject.toml", "line": 4, "function": "", "code": 'rule = "FU101"'},
    }
    assert (told["summary"]["suppressed"], told["summary"]["fixme"], told["summary"]["errors"]) == (1, 0, 0)
    assert gate("check", "wrong.pt2", "--no-config").exit_code == 1


def test_a_fixme_is_counted_apart(gate: Cli) -> None:
    configure(SUPPRESSION + 'kind = "fixme"')
    assert "; 1 suppressed (1 to fix);" in gate("check", "wrong.pt2").output


def test_an_unused_suppression_is_a_warning_at_its_line(gate: Cli) -> None:
    configure(SUPPRESSION)
    result = gate("check", "clean.pt2")
    assert result.exit_code == 0
    assert "warning[SU001] unused-suppression\n  --> pyproject.toml:4\n" in result.output
    assert '  4 | rule = "FU101"' in result.output
    assert "effect" not in result.output, "there is none on the program"
    assert "0 errors, 1 warning, 0 notes in 13 nodes, 1 island; target" in result.output
    assert gate("check", "clean.pt2", "--fail-on", "warning").exit_code == 1
    assert gate("check", "clean.pt2", "--fail-on", "warning", "--exit-zero").exit_code == 0
    assert gate("check", "clean.pt2", "--severity", "SU001=error").exit_code == 1
    assert gate("check", "clean.pt2", "--ignore", "SU001", "--quiet").output == ""
    told = document(gate("check", "clean.pt2", "--output-format", "json"))
    assert [file["file"] for file in told["files"]] == ["clean.pt2", "pyproject.toml"]
    assert told["summary"]["files"] == 1


def test_an_expired_suppression_lets_the_finding_through_and_says_so(gate: Cli) -> None:
    configure(SUPPRESSION + "until = 2020-02-29")
    result = gate("check", "wrong.pt2")
    assert result.exit_code == 1
    assert "warning[SU003] expired-suppression" in result.output
    assert "  expired   its suppression ended on 2020-02-29: guarded when lowered\n" in result.output


def test_su_codes_alone_are_nothing_to_run(gate: Cli) -> None:
    result = gate("check", "clean.pt2", "--select", "SU")
    assert result.exit_code == 2
    assert "SU001 is about the findings of other rules; select these as well." in result.output


def test_findings_about_no_program_cannot_send_escape_sequences(gate: Cli) -> None:
    configure(SUPPRESSION.replace("guarded when lowered", "\\u001b[31m\\u202e") + "until = 2020-02-29")
    output = gate("check", "wrong.pt2").output
    assert "\x1b" not in output
    assert "\u202e" not in output


# --- in Python --------------------------------------------------------------------------------------------


def test_the_python_api_has_the_same_options(gate: Cli) -> None:
    gate("baseline", "create", "wrong.pt2")
    options: dict[str, Any] = {"target": ["TOSA-1.0+INT", "vgf"], "executorch": "1.5.1"}
    report = fuseguard.check("wrong.pt2", **options)
    assert ([finding.code for finding in report.findings], report.ok) == (["FU101"], False)
    assert len(report.findings[0].outcomes) == 2
    assert fuseguard.check("wrong.pt2", **options, baseline="fuseguard-baseline.json").ok
    assert fuseguard.check("wrong.pt2", **options, severity={"FU101": "note"}).ok
    assert not fuseguard.check("wrong.pt2", **options, severity={"FU101": "note"}, fail_on="note").ok
    rule = fuseguard.SuppressionRule("FU101", "guarded", op="relu")
    report = fuseguard.check("wrong.pt2", **options, suppressions=[rule])
    assert (report.findings, [finding.code for finding in report.suppressed]) == ((), ["FU101"])
    unused = fuseguard.check("clean.pt2", **options, suppressions=[rule])
    assert [finding.code for finding in unused.findings] == ["SU001"]


def test_the_python_api_reads_a_configuration_only_when_told_to(gate: Cli) -> None:
    configure('executorch = "1.2.0"\nfail-on = "note"' + SUPPRESSION)
    assert str(fuseguard.check("wrong.pt2").target.release) == "1.5.1"
    report = fuseguard.check("wrong.pt2", config="pyproject.toml")
    assert (str(report.target.release), report.fail_on.value, len(report.suppressed)) == ("1.2.0", "note", 1)
    assert str(fuseguard.check("wrong.pt2", config="pyproject.toml", executorch="1.3.1").target.release) == "1.3.1"
    configure("policy = 1")
    with pytest.raises(ValueError, match=r"pyproject\.toml:2: tool\.fuseguard\.policy"):
        fuseguard.check("wrong.pt2", config="pyproject.toml")


@pytest.mark.parametrize(
    "options", [{"severity": {"FU999": "note"}}, {"severity": {"FU101": "fatal"}}, {"fail_on": "fatal"}]
)
def test_the_python_api_refuses_what_the_command_line_refuses(gate: Cli, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"FU999|fatal"):
        fuseguard.check("wrong.pt2", **options)
