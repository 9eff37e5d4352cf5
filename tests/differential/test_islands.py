"""Verdict against judge on programs around islands that hypothesis makes through Arm's own quantizer.

``FUSEGUARD_CAMPAIGN=500 pytest tests/differential -m campaign`` runs a long one; CI runs a short one with a
fixed seed.
"""

from __future__ import annotations

import math
import os

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

import torch  # noqa: E402
from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from torch.export import ExportedProgram  # noqa: E402

import fuseguard  # noqa: E402
from fuseguard.engine import Effect, Severity  # noqa: E402
from fuseguard.executorch import prove, report_of, support_checks  # noqa: E402
from fuseguard.ir import View, activation_bounds  # noqa: E402
from fuseguard.readers.fx import read_program  # noqa: E402
from fuseguard_testkit.quantizing import quantize  # noqa: E402

from .island_programs import IslandSpec, build, island_specs  # noqa: E402

SHORT = int(os.environ.get("FUSEGUARD_SHORT", "12"))
LONG = int(os.environ.get("FUSEGUARD_CAMPAIGN", "300"))
COMMON = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "phases": (Phase.explicit, Phase.generate, Phase.shrink),
    "database": None,
}


def exceeded(program: ExportedProgram, inputs: tuple[torch.Tensor, ...], names: set[str]) -> bool:
    """Whether any value entering the named activations lies beyond its bounds by at least a step.

    A fault that no input value reaches cannot be seen by the judge.
    """
    graph = read_program(program)
    view = View(graph)
    reached = False

    class Watch(torch.fx.Interpreter):
        def run_node(self, node: torch.fx.Node):
            nonlocal reached
            value = super().run_node(node)
            name = node.name
            if name in names and name in graph and graph[name].kind in ("relu", "hardtanh", "clamp"):
                low, high = activation_bounds(graph[name])
                qparams = view.qparams(view.out_q(graph[name])[0])
                entering = self.env[node.args[0]]
                reached |= bool((entering < low - qparams.scale).any()) and math.isfinite(low)
                reached |= bool((entering > high + qparams.scale).any()) and math.isfinite(high)
            return value

    module = program.module(check_guards=False)
    by_name = {node.name for node in module.graph.nodes}
    assert names <= by_name, "module() renamed nodes"
    Watch(module).run(*inputs)
    return reached


def check_one(spec: IslandSpec) -> None:
    module, inputs = build(spec)
    program = quantize(module, inputs, spec.profile, spec.config)
    report = fuseguard.check(program, spec.profile)
    assert not report.failures
    proof = prove(program, inputs, spec.profile)
    worst = report.findings[0] if report.findings else None

    # No miss: whatever breaks was announced, and as what it is.
    if proof.outcome in ("crash", "undefined", "runtime_fault"):
        assert worst is not None, proof
        assert worst.effect.value == proof.outcome, (worst.code, worst.effect, proof)
    elif proof.outcome == "wrong":
        assert worst is not None, proof
        assert worst.effect is Effect.WRONG, (worst.code, worst.effect, proof)
    # No false alarm: what was announced happens, if the input reaches it.
    elif worst is not None and worst.severity is Severity.ERROR:
        assert worst.effect is Effect.WRONG, (worst.code, worst.effect, proof)
        assert not exceeded(program, inputs, set(worst.nodes)), (worst.code, proof)

    # The bound is one: exact where the island itself is the output.
    bounds = [finding.bound_steps for finding in report.findings if finding.bound_steps is not None]
    if bounds and spec.consumer in ("output", "cat", "cat_positive") and proof.max_error_steps is not None:
        assert proof.max_error_steps <= max(bounds) + 0.01, proof

    # Guarded lowering is never wrong, and changes nothing where nothing was found.
    checks = support_checks(spec.profile)
    guarded = prove(program, inputs, spec.profile, checks=checks)
    assert guarded.ok, guarded
    if not any(finding.refuse for finding in report.findings):
        assert guarded.delegated == proof.delegated
    # Lint and plug-in name the same islands.
    guard_report = report_of(checks)
    assert not guard_report.errors
    assert {(f.code, f.island_key) for f in guard_report.findings} == {(f.code, f.island_key) for f in report.findings}


@settings(max_examples=SHORT, derandomize=True, **COMMON)
@given(spec=island_specs())
def test_verdict_and_judge_agree(spec: IslandSpec) -> None:
    check_one(spec)


@pytest.mark.campaign
@settings(max_examples=LONG, **COMMON)
@given(spec=island_specs())
def test_verdict_and_judge_agree_on_many(spec: IslandSpec) -> None:
    check_one(spec)
