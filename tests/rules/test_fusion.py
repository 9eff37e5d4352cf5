"""Edges of the FU rules' arithmetic that the examples do not reach."""

from __future__ import annotations

import math

import pytest

from fuseguard.engine import run
from fuseguard.ir import QParams
from fuseguard.ir.builder import int8
from fuseguard.target import Target
from fuseguard_rules import RULES
from fuseguard_rules.examples.fusion.islands import RELU, RELU6, island

ALL = [kind() for kind in RULES if kind.code.startswith("FU")]


def findings(graph, release: str = "1.5.1", profile: str = "TOSA-1.0+INT+FP"):
    report = run(graph, Target.parse(profile, release), ALL)
    assert not report.failures
    return report.findings


def test_the_bound_counts_from_the_dtypes_limit_not_from_qmin() -> None:
    """RESCALE saturates to int8: with qmin -127 the relu is off by one step more than zero_point - qmin."""
    (finding,) = findings(island("conv2d", RELU, int8(0.05, -111, qmin=-127)))
    assert finding.bound_steps == 17
    assert finding.bound_value == pytest.approx(17 * 0.05)


def test_a_bound_that_rounds_to_the_last_code_is_expressible() -> None:
    """hardtanh's 6 lies a third of a step above qmax's value: both have the code qmax."""
    scale = 6.0 / 255.3
    assert not findings(island("conv2d", RELU6, int8(scale, -128)))


def test_an_upper_bound_inside_the_range_is_dropped_before_1_5() -> None:
    """Up to 1.4, the pass never looked at max_val (measured 1.2.0, 1.3.1, 1.4.1)."""
    graph = island("conv2d", RELU6, int8(0.05, -128))
    effects = {release: findings(graph, release)[0].effect.value for release in ("1.2.0", "1.3.1", "1.4.1", "1.5.1")}
    assert effects == {"1.2.0": "wrong", "1.3.1": "wrong", "1.4.1": "wrong", "1.5.1": "exact"}


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf, 5e-324])
def test_impossible_scales_do_not_break_the_rules(scale: float) -> None:
    """A file may hold anything; what is impossible is another rule's to say."""
    findings(island("conv2d", RELU6, QParams.per_tensor(scale, 0, -128, 127, "int8")))


def test_an_anchor_that_arms_quantizer_did_not_annotate_is_left_alone() -> None:
    graph = island("conv2d", RELU, int8(0.05, -17))
    stripped = type(graph)([_without_annotation(node) for node in graph], dialect=graph.dialect, buffers=graph.buffers)
    assert not findings(stripped)


def _without_annotation(node):
    from dataclasses import replace

    return replace(node, annotated=False)


@pytest.mark.parametrize("release", ["1.2.0", "1.3.1", "1.4.1", "1.5.1"])
def test_one_island_has_one_finding(release: str) -> None:
    """FU101 and FU102 share a cause; exactly one of them speaks for an island on a target."""
    for anchor in ("conv2d", "grouped", "conv1d", "linear", "conv3d", "transposed"):
        for activation in (RELU, RELU6):
            for output in (int8(0.05, -17), int8(0.01, -17), int8(0.05, -128)):
                found = findings(island(anchor, activation, output), release)
                assert len([finding for finding in found if finding.code in ("FU101", "FU102")]) <= 1
