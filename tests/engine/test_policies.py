"""Which findings keep a cluster off the accelerator, by policy."""

from __future__ import annotations

import pytest

from fuseguard.engine import run
from fuseguard.engine.registry import load_registry
from fuseguard.target import Target
from fuseguard_rules.examples.fusion import islands as examples

RULES = load_registry().select()
BROKEN = examples.OUT_OF_RANGE[0].graph  # conv2d -> relu into a signed cat
NARROW = examples.NARROW[0].graph


def refused(graph, release: str, policy: str, profile: str = "TOSA-1.0+INT+FP") -> bool:
    return bool(run(graph(), Target.parse(profile, release), RULES, policy).refused())


@pytest.mark.parametrize("release", ["1.2.0", "1.4.1", "1.5.1"])
@pytest.mark.parametrize("profile", ["TOSA-1.0+INT", "TOSA-1.0+INT+FP"])
def test_consistent_refuses_a_violation_everywhere(release: str, profile: str) -> None:
    assert refused(BROKEN, release, "consistent", profile)


def test_measured_refuses_only_what_breaks_here() -> None:
    assert refused(BROKEN, "1.5.1", "measured")
    assert not refused(BROKEN, "1.4.1", "measured"), "1.4.1 keeps a direct relu and computes it right"


def test_a_bounded_deviation_is_refused_only_on_demand() -> None:
    assert not refused(NARROW, "1.5.1", "consistent")
    assert refused(NARROW, "1.5.1", "bit-exact")


def test_an_unknown_policy_is_told_the_valid_ones() -> None:
    with pytest.raises(ValueError, match="consistent, measured, bit-exact"):
        run(BROKEN(), Target.parse("TOSA-1.0+INT", "1.5.1"), RULES, "lenient")


def test_a_profile_without_integers_is_said_to_be_unchecked() -> None:
    report = run(BROKEN(), Target.parse("TOSA-1.0+FP", "1.5.1"), RULES)
    assert not report.findings
    assert any("no INT profile" in notice for notice in report.notices)
