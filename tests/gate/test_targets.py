"""Checks for several targets: which ones, and that one place is reported once with the effect for each."""

from __future__ import annotations

import pytest

from fuseguard.engine import Effect, Registry, Severity
from fuseguard.gate.config import Config
from fuseguard.gate.gate import make_gate
from fuseguard.gate.targets import matrix
from fuseguard.gate.upgrade import Change, compare
from fuseguard.target import ACCELERATORS, ALL_TARGETS, MEASURED_RELEASES, Target, TargetError
from fuseguard_testkit.cli_fakes import ERROR_RULE, NOTE_RULE, conv_relu, registry_of


def names(targets: tuple[Target, ...]) -> list[tuple[str, str]]:
    return [(target.name.partition(" ")[0], str(target.release)) for target in targets]


def test_every_target_for_every_release_in_the_order_given() -> None:
    found = matrix(["vgf", "TOSA-1.0+INT"], ["1.5.1", "1.2.0"])
    assert names(found) == [
        ("vgf", "1.5.1"), ("vgf", "1.2.0"), ("TOSA-1.0+INT", "1.5.1"), ("TOSA-1.0+INT", "1.2.0"),
    ]  # fmt: skip


def test_all_stands_for_all_and_nothing_comes_twice() -> None:
    found = matrix(["all", "vgf"], ["all", "1.5.1"])
    assert len(found) == len(ALL_TARGETS) * len(MEASURED_RELEASES)
    assert {str(target.release) for target in found} == set(MEASURED_RELEASES)


def test_all_leaves_out_no_specification_of_an_accelerator() -> None:
    """What decides an effect is the specification, so one accelerator of each stands for the others."""
    assert {Target.parse(name).spec for name in ALL_TARGETS} >= set(ACCELERATORS.values())


def test_a_ready_made_target_keeps_its_release_unless_one_is_given() -> None:
    target = Target.parse("vgf", "1.3.1")
    assert matrix([target]) == (target,)
    assert names(matrix([target], ["1.5.1"])) == [("vgf", "1.5.1")]


@pytest.mark.parametrize(("targets", "releases"), [(["vfg"], []), ([], ["1.0"]), (["vgf", "nonsense"], ["1.5.1"])])
def test_a_wrong_one_is_an_error(targets: list[str], releases: list[str]) -> None:
    with pytest.raises(TargetError):
        matrix(targets, releases)


def test_a_place_is_told_once_with_the_worst_and_what_each_target_makes_of_it(registry: Registry) -> None:
    gate = make_gate(registry, Config(), targets=["TOSA-1.0+INT+FP"], releases=["1.4.1", "1.2.0", "1.5.1"])
    report = gate.check(conv_relu(-17), "m.pt2")
    (finding,) = report.findings
    assert [outcome.effect for outcome in finding.outcomes] == [Effect.EXACT, Effect.CRASH, Effect.WRONG]
    assert [outcome.severity for outcome in finding.outcomes] == [Severity.NOTE, Severity.ERROR, Severity.ERROR]
    assert [outcome.target for outcome in finding.outcomes] == [str(target) for target in gate.targets]
    assert (finding.effect, finding.severity) == (Effect.CRASH, Severity.ERROR), "the first of the worst"
    assert (report.target, report.targets) == (gate.targets[0], gate.targets)


def test_each_column_is_what_a_check_for_it_alone_finds(registry: Registry) -> None:
    together = make_gate(registry, Config(), targets=["all"], releases=["all"])
    (finding,) = together.check(conv_relu(-17)).findings
    for target, outcome in zip(together.targets, finding.outcomes, strict=True):
        (alone,) = make_gate(registry, Config(), targets=[target]).check(conv_relu(-17)).findings
        assert (outcome.effect, outcome.severity, outcome.refuse) == (alone.effect, alone.severity, alone.refuse)
        assert (outcome.evidence_note, outcome.bound_steps) == (alone.evidence_note, alone.bound_steps)


def test_a_target_on_which_a_rule_finds_nothing_has_an_empty_column(registry: Registry) -> None:
    rule = registry.get("OP703")
    assert rule is not None
    gate = make_gate(registry, Config(), targets=["TOSA-1.0+INT"], releases=["1.4.1", "1.5.1"], select=["OP703"])
    (finding,) = gate.check(rule.bad[0].graph()).findings
    assert [outcome.effect for outcome in finding.outcomes] == [Effect.CRASH, None]


def test_a_failure_and_a_notice_are_told_once() -> None:
    gate = make_gate(registry_of(ERROR_RULE), Config(), targets=["TOSA-1.0+INT", "vgf"], releases=["1.9.0"])
    assert len(gate.check(conv_relu(-17)).notices) == 1


def test_severities_of_the_user_hold_on_every_target_and_the_most_particular_counts() -> None:
    fakes = registry_of(ERROR_RULE, NOTE_RULE)
    levels = {"ZZ": Severity.WARNING, "relu-is-slow": Severity.ERROR}
    gate = make_gate(fakes, Config(), targets=["all"], releases=["1.5.1"], severities=levels, policy="measured")
    found = {finding.code: finding for finding in gate.check(conv_relu(-17)).findings}
    assert {code: finding.severity.value for code, finding in found.items()} == {"ZZ001": "warning", "ZZ003": "error"}
    assert {outcome.severity for outcome in found["ZZ001"].outcomes} == {Severity.WARNING}
    assert found["ZZ001"].refuse, "what the guard does follows from the effect, not from how loud a report is to be"
    assert not found["ZZ003"].refuse


@pytest.mark.parametrize("configured", ["ZZ001", "zz001", "relu-is-wrong", "ZZ"])
@pytest.mark.parametrize("given", ["ZZ001", "zz001", "relu-is-wrong"])
def test_a_severity_that_is_given_goes_before_one_that_is_configured_whatever_the_rule_is_called(
    configured: str, given: str
) -> None:
    config = Config(severities={configured: Severity.NOTE})
    gate = make_gate(registry_of(ERROR_RULE), config, releases=["1.5.1"], severities={given: Severity.WARNING})
    assert [finding.severity for finding in gate.check(conv_relu(-17)).findings] == [Severity.WARNING]


# --- upgrade-check ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "before", "after", "change"),
    [
        ("TOSA-1.0+INT+FP", "1.4.1", "1.5.1", Change.BREAKS),
        ("TOSA-1.0+INT+FP", "1.5.1", "1.4.1", Change.FIXED),
        ("TOSA-1.0+INT+FP", "1.2.0", "1.5.1", Change.STAYS),
        ("TOSA-1.0+INT+FP", "1.2.0", "1.3.1", Change.FIXED),
        ("TOSA-1.0+INT+FP", "1.3.1", "1.4.1", Change.SAME),
        ("TOSA-1.0+INT", "1.2.0", "1.5.1", Change.BREAKS),
    ],
)
def test_what_an_upgrade_makes_of_the_reported_bug(
    registry: Registry, target: str, before: str, after: str, change: Change
) -> None:
    gate = make_gate(registry, Config(), targets=[target], releases=[before, after])
    upgrade = compare(gate.check(conv_relu(-17)))
    assert [place.change for place in upgrade.places] == [change]
    assert upgrade.of(change) == upgrade.places


def test_the_gravest_target_decides(registry: Registry) -> None:
    gate = make_gate(registry, Config(), targets=["TOSA-1.0+INT+FP", "TOSA-1.0+INT"], releases=["1.2.0", "1.5.1"])
    (place,) = compare(gate.check(conv_relu(-17))).places
    assert [step.change for step in place.steps] == [Change.STAYS, Change.BREAKS]
    assert place.change is Change.BREAKS
