"""Suppressions: what one matches, that blanket ones are refused, and that unused and expired ones say so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

import pytest

from fuseguard.engine import Finding, Registry, Report, Rule
from fuseguard.gate.config import Config
from fuseguard.gate.gate import Gate, make_gate
from fuseguard.gate.suppress import SuppressionError, SuppressionRule, code_of
from fuseguard.target import MEASURED_RELEASES
from fuseguard_testkit.cli_fakes import ERROR_RULE, FAILING_RULE, WARNING_RULE, conv_relu, registry_of

TODAY = date(2026, 6, 15)


def rule(**fields: object) -> SuppressionRule:
    return SuppressionRule(**{"rule": "FU101", "reason": "looked at", **fields})  # type: ignore[arg-type]


def gate(*suppressions: SuppressionRule, registry: Registry, **options: object) -> Gate:
    made = make_gate(
        registry, Config(), targets=["TOSA-1.0+INT+FP"], releases=["1.5.1"], suppressions=suppressions, **options
    )  # type: ignore[arg-type]
    return replace(made, today=TODAY)


def codes(findings: Iterable[Finding]) -> list[str]:
    return [finding.code for finding in findings]


@pytest.mark.parametrize(
    "fields",
    [
        {"module": "features.conv1"},
        {"module": "features.*"},
        {"op": "relu"},
        {"op": "aten.relu.*"},
        {"op": "conv*"},
        {"node": "relu"},
        {"node": "conv2?"},
        {"module": "feat*", "op": "relu", "node": "re*"},
        {"op": "relu", "file": "*.pt2"},
        {"op": "relu", "file": "models/a.pt2"},
        {"op": "relu", "until": TODAY},
        {"rule": "fused-activation-out-of-range", "op": "relu"},
    ],
)
def test_what_matches(registry: Registry, fields: dict[str, object]) -> None:
    report = gate(rule(**fields), registry=registry).check(conv_relu(-17), "/somewhere/models/a.pt2")
    assert codes(report.findings) == []
    (finding,) = report.suppressed
    assert finding.suppression is not None
    assert (finding.code, finding.suppression.reason) == ("FU101", "looked at")
    assert report.refused() >= {"conv2d", "relu"}, "the plug-in knows no suppressions"


@pytest.mark.parametrize(
    "fields",
    [
        {"module": "features"},
        {"module": "FEATURES.*"},
        {"op": "sigmoid"},
        {"node": "rel"},
        {"op": "relu", "module": "classifier"},
        {"op": "relu", "file": "b.pt2"},
        {"op": "relu", "file": "other/a.pt2"},
        {"rule": "FU102", "op": "relu"},
    ],
)
def test_what_does_not_match(registry: Registry, fields: dict[str, object]) -> None:
    report = gate(rule(**fields), registry=registry).check(conv_relu(-17), "/somewhere/models/a.pt2")
    assert (codes(report.findings), report.suppressed) == (["FU101"], ())


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"rule": ""}, "rule"),
        ({"rule": "  "}, "rule"),
        ({}, "rule"),
        ({"file": "a.pt2"}, "rule"),
        ({"op": "*"}, "op"),
        ({"module": "**", "node": "?*"}, "module"),
        ({"module": "*.*"}, "module"),
        ({"op": "relu", "reason": ""}, "reason"),
        ({"op": "relu", "reason": " \n"}, "reason"),
    ],
)
def test_a_blanket_suppression_or_one_without_reason_is_refused(fields: dict[str, object], key: str) -> None:
    with pytest.raises(SuppressionError) as caught:
        rule(**fields)
    assert caught.value.key == key


@pytest.mark.parametrize("name", ["FU", "F", "FU1", "SU001", "unused-suppression", "nonsense"])
def test_a_suppression_names_exactly_one_rule(registry: Registry, name: str) -> None:
    with pytest.raises(SuppressionError):
        code_of(name, registry)


def test_one_that_matches_nothing_is_told_and_one_that_matches_is_not(registry: Registry) -> None:
    made = gate(rule(op="relu"), rule(op="sigmoid"), registry=registry)
    report = made.check(conv_relu(-17), "m.pt2")
    (finding,) = made.upkeep({"m.pt2": report})
    assert finding.code == "SU001"
    assert "FU101 for op 'sigmoid'" in finding.message
    assert codes(made.upkeep({"m.pt2": made.check(conv_relu(-128), "m.pt2")})) == ["SU001", "SU001"]


def test_one_that_another_one_makes_superfluous_is_told(registry: Registry) -> None:
    made = gate(rule(op="relu"), rule(node="relu", reason="again"), registry=registry)
    assert codes(made.upkeep({"m.pt2": made.check(conv_relu(-17), "m.pt2")})) == ["SU001"]


def test_one_is_unused_only_if_no_file_uses_it(registry: Registry) -> None:
    made = gate(rule(op="relu"), registry=registry)
    results = {"a.pt2": made.check(conv_relu(-17), "a.pt2"), "b.pt2": made.check(conv_relu(-128), "b.pt2")}
    assert made.upkeep(results) == ()


def test_what_had_no_chance_to_match_is_not_told_as_unused(registry: Registry) -> None:
    """Else a run over some of the files, or for some of the rules, would ask to delete what the others need."""
    one = rule(op="sigmoid", file="other.pt2")
    clean = gate(registry=registry).check(conv_relu(-128), "m.pt2")
    assert gate(one, registry=registry).upkeep({"m.pt2": clean}) == (), "its file was not checked"
    assert codes(gate(one, registry=registry).upkeep({"other.pt2": clean})) == ["SU001"]
    assert gate(one, registry=registry).upkeep({"other.pt2": None}) == (), "its file could not be read"
    anywhere = rule(op="sigmoid")
    assert gate(anywhere, registry=registry).upkeep({"m.pt2": clean, "other.pt2": None}) == ()
    assert gate(anywhere, registry=registry, select=["QD", "SU"]).upkeep({"m.pt2": clean}) == (), "its rule did not run"


def test_a_rule_that_failed_leaves_its_suppressions_unjudged() -> None:
    fakes = registry_of(ERROR_RULE, FAILING_RULE)
    made = gate(rule(rule="ZZ999", op="sigmoid"), rule(rule="ZZ001", op="sigmoid"), registry=fakes)
    report = made.check(conv_relu(-17), "m.pt2")
    assert [finding.message.split()[3] for finding in made.upkeep({"m.pt2": report})] == ["ZZ001"]


def test_an_expired_one_suppresses_nothing_and_both_it_and_the_finding_say_so(registry: Registry) -> None:
    made = gate(rule(op="relu", until=date(2026, 6, 14), reason="until the retraining"), registry=registry)
    report = made.check(conv_relu(-17), "m.pt2")
    (finding,) = report.findings
    assert dict(finding.details)["expired"] == "its suppression ended on 2026-06-14: until the retraining"
    (upkeep,) = made.upkeep({"m.pt2": report})
    assert upkeep.code == "SU003"
    assert "2026-06-14" in upkeep.message
    assert "until the retraining" in upkeep.message


def test_one_that_is_expired_gives_way_to_one_that_is_not(registry: Registry) -> None:
    made = gate(rule(op="relu", until=date(2026, 1, 1)), rule(node="relu"), registry=registry)
    assert codes(made.check(conv_relu(-17)).suppressed) == ["FU101"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [("SU001", "warning")]),
        ({"ignore": ["SU"]}, []),
        ({"select": ["FU"]}, []),
        ({"select": ["FU", "SU001"]}, [("SU001", "warning")]),
        ({"select": ["FU", "unused-suppression"]}, [("SU001", "warning")]),
        ({"severities": {"SU": "error"}}, [("SU001", "error")]),
    ],
)
def test_su_codes_are_selected_and_graded_like_rules(
    registry: Registry, options: dict[str, object], expected: list[tuple[str, str]]
) -> None:
    made = gate(rule(op="sigmoid"), registry=registry, **options)
    found = made.upkeep({"m.pt2": made.check(conv_relu(-128), "m.pt2")})
    assert [(finding.code, str(getattr(finding.severity, "value", finding.severity))) for finding in found] == expected


def test_without_suppressions_a_report_is_as_it_was(registry: Registry) -> None:
    report = gate(registry=registry).check(conv_relu(-17), "m.pt2")
    assert isinstance(report, Report)
    assert (codes(report.findings), report.suppressed) == (["FU101"], ())


def test_a_suppression_covers_all_targets_of_a_matrix() -> None:
    rules: tuple[type[Rule], ...] = (ERROR_RULE, WARNING_RULE)
    made = make_gate(
        registry_of(*rules), Config(), targets=["all"], releases=["all"], suppressions=[rule(rule="ZZ001", op="relu")]
    )
    report = made.check(conv_relu(-17))
    assert (codes(report.findings), codes(report.suppressed)) == (["ZZ002"], ["ZZ001"])
    assert len(report.suppressed[0].outcomes) == 5 * len(MEASURED_RELEASES)
