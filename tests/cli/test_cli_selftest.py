"""``fuseguard selftest``: what it prints and how it ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from click.testing import Result

from fuseguard.report import selftest as report
from fuseguard.report.lines import plain

Cli = Callable[..., Result]


def result(*, fault: str = "", seen: str = "wrong") -> SimpleNamespace:
    case = SimpleNamespace(code="FU101", title="conv2d -> relu", good=False, form="graph", spec="TOSA-1.0+INT")
    return SimpleNamespace(
        case=case, expected="wrong", evidence="measured", found=(("FU101", "fused"),), announced=("FU101",),
        outcome=seen, cpu=0, guarded="exact", repaired="", equal=None, detail="", fault=fault, agrees=not fault,
    )  # fmt: skip


def test_the_report_puts_the_table_beside_what_was_seen() -> None:
    text = plain(report.render([result(), result(fault="announced wrong, seen exact", seen="exact")], "1.5.1"))
    assert "FU101  conv2d -> relu  graph" in text
    assert text.count("DISAGREES") == 1
    assert "announced wrong, seen exact" in text
    assert "2 cases on ExecuTorch 1.5.1: 1 disagree" in text


def test_the_json_form_counts_disagreements() -> None:
    data = report.to_dict([result(), result(fault="x")], "1.5.1")
    assert data["disagreements"] == 1
    assert [case["agrees"] for case in data["cases"]] == [True, False]
    assert data["cases"][0]["seen"] == "wrong"


def test_an_unknown_rule_is_told_before_anything_is_imported(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fuseguard.executorch.selftest", None)
    outcome = cli("selftest", "--select", "XX999")
    assert outcome.exit_code == 2
    assert "matches no rule" in outcome.output


def test_rules_may_be_separated_by_commas_as_for_check(cli: Cli) -> None:
    outcome = cli("selftest", "--select", "FU101,XX999")
    assert outcome.exit_code == 2
    assert "'XX999' matches no rule" in outcome.output


def test_missing_extras_name_the_command_that_installs_them(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fuseguard.executorch.selftest", None)
    outcome = cli("selftest", "--select", "FU101")
    assert outcome.exit_code == 2
    assert "pip install 'fuseguard[prove]'" in outcome.output


@pytest.mark.torch
def test_a_case_whose_process_was_killed_is_no_case_that_agrees() -> None:
    pytest.importorskip("torch")
    from fuseguard.executorch.selftest import Case, _lost

    lost = _lost(Case("FU101", "conv2d -> relu", False, "graph", "TOSA-1.0+INT"))
    assert not lost.agrees
    assert "-j" in lost.fault


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_rule_is_judged_on_the_installed_release(cli: Cli, jobs: str) -> None:
    pytest.importorskip("tosa_reference_model")
    options = ("--target", "TOSA-1.0+INT", "--jobs", jobs, "--output-format", "json")
    outcome = cli("selftest", "--select", "OP702", *options)
    assert outcome.exit_code == 0, outcome.output
    data = json.loads(outcome.stdout)
    assert data["disagreements"] == 0
    assert {case["target"] for case in data["cases"]} == {"TOSA-1.0+INT"}
    assert "wrong" in {case["seen"] for case in data["cases"]}
