"""``fuseguard diff``: what another export of a model brings, and what it takes away."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from fuseguard_testkit.cli_fakes import (
    ERROR_RULE,
    FAILING_RULE,
    NOTE_RULE,
    SUPPRESSION,
    WARNING_RULE,
    configure,
    document,
)

Cli = Callable[..., Result]
UseRules = Callable[..., None]


def test_what_is_new_fails_and_is_told_with_its_remedy(gate: Cli) -> None:
    result = gate("diff", "clean.pt2", "wrong.pt2")
    assert result.exit_code == 1
    assert result.output.startswith("clean.pt2 -> wrong.pt2\n\nnew\n  FU101 fused-activation-out-of-range at ")
    assert "/home/me/model.py:42 (features.conv1)" in result.output
    assert "\n      error: wrong\n      remedy  " in result.output
    assert result.output.endswith(
        "1 new, 0 worse, 0 milder, 0 gone, 0 same; target TOSA-1.0+INT+FP, ExecuTorch 1.5.1; policy consistent\n"
    )
    assert gate("diff", "clean.pt2", "wrong.pt2", "--exit-zero").exit_code == 0
    assert gate("diff", "clean.pt2", "wrong.pt2", "--executorch", "1.4.1").exit_code == 0, "a note there"
    assert gate("diff", "clean.pt2", "wrong.pt2", "--executorch", "1.4.1", "--fail-on", "note").exit_code == 1


def test_what_is_gone_and_what_stays_pass(gate: Cli) -> None:
    gone = gate("diff", "wrong.pt2", "clean.pt2")
    assert (gone.exit_code, "\ngone\n  FU101" in gone.output, "remedy" in gone.output) == (0, True, False)
    same = gate("diff", "wrong.pt2", "wrong2.pt2")
    assert (same.exit_code, same.output.startswith("0 new, 0 worse, 0 milder, 0 gone, 1 same; ")) == (0, True)
    assert gate("diff", "wrong.pt2", "wrong2.pt2", "--quiet").output == ""


def test_several_targets_and_the_rules_options_hold(gate: Cli, use_rules: UseRules) -> None:
    use_rules(ERROR_RULE, WARNING_RULE, NOTE_RULE)
    told = document(
        gate("diff", "clean.pt2", "float.pt2", "--target", "all", "--ignore", "ZZ001", "--output-format", "json")
    )
    assert len(told["targets"]) == 5
    changes = {(pair["change"], (pair["after"] or pair["before"])["code"]) for pair in told["findings"]}
    others = {("gone", "ZZ002"), ("gone", "ZZ003"), ("new", "ZZ002"), ("new", "ZZ003")}
    assert changes == {*others, ("new", "PG801")}, "another relu each, and one of them in float"
    loud = gate("diff", "clean.pt2", "float.pt2", "--select", "ZZ003", "--severity", "ZZ003=error")
    assert (loud.exit_code, "error: cpu_fallback" in loud.output) == (1, True)


def test_suppressions_hold_and_a_baseline_does_not(gate: Cli) -> None:
    configure('baseline = "known.json"')
    gate("baseline", "create", "wrong.pt2")
    assert gate("diff", "clean.pt2", "wrong.pt2").exit_code == 1
    configure(SUPPRESSION)
    assert gate("diff", "clean.pt2", "wrong.pt2").exit_code == 0


def test_json_into_a_file(gate: Cli) -> None:
    result = gate("diff", "clean.pt2", "wrong.pt2", "--output-format", "json", "--output-file", "diff.json")
    told = json.loads(Path("diff.json").read_text())
    assert (result.exit_code, result.output) == (1, "")
    assert told["summary"] == {"new": 1, "worse": 0, "milder": 0, "gone": 0, "same": 0, "exit_code": 1}
    (pair,) = told["findings"]
    assert (pair["change"], pair["before"], pair["after"]["code"]) == ("new", None, "FU101")
    assert (told["before"]["file"], told["after"]["file"]) == ("clean.pt2", "wrong.pt2")


def test_what_cannot_be_checked_is_compared_with_nothing(gate: Cli, use_rules: UseRules) -> None:
    result = gate("diff", "damaged.pt2", "wrong.pt2")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "no program in it" in result.stderr
    told = json.loads(gate("diff", "damaged.pt2", "wrong.pt2", "--output-format", "json").stdout)
    assert (told["findings"], told["before"]["error"]["kind"]) == ([], "unreadable")
    use_rules(FAILING_RULE)
    failed = gate("diff", "clean.pt2", "wrong.pt2")
    assert (failed.exit_code, "rule ZZ999 failed" in failed.output) == (2, True)


def test_a_report_does_not_overwrite_a_program(gate: Cli) -> None:
    Path("wrong.pt2").write_bytes(b"a program")
    result = gate("diff", "clean.pt2", "wrong.pt2", "--output-file", "wrong.pt2")
    assert (result.exit_code, Path("wrong.pt2").read_bytes()) == (2, b"a program")


def test_colour_changes_no_content(gate: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, colourful = (gate("diff", "clean.pt2", "wrong.pt2", "--color", when).output for when in ("never", "always"))
    assert "\x1b[" in colourful
    assert re.sub(r"\x1b\[[0-9;]*m", "", colourful) == plain
