"""Patches Arm's partitioners and test harness: who is refused what, what is compared, and is it right.

Imports torch and the backend. Nothing here changes what a test does, except in the mode ``guard``, where the checks
refuse.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from executorch.backends.arm.test.runner_utils import TosaReferenceModelDispatch
from executorch.backends.arm.test.tester.arm_tester import ArmTester, StageType
from executorch.backends.arm.tosa.partitioner import TOSAPartitioner
from executorch.exir import EdgeProgramManager
from torch.export import ExportedProgram
from torch.fx.passes.operator_support import OperatorSupportBase

from fuseguard.engine.registry import load_registry
from fuseguard.executorch import judge
from fuseguard.executorch.lowering import describe
from fuseguard.executorch.partition import report_of, support_checks

Observer = Callable[[str, dict[str, Any]], None]


def install(mode: str, preview: bool, judged: bool, observe: Observer) -> None:
    """Patch the backend for this process."""
    torch.set_num_threads(1)
    rules = load_registry().rules
    select = [rule.code for rule in rules if preview or not rule.preview]
    previews = frozenset(rule.code for rule in rules if rule.preview)
    if mode != "off":
        _patch_partitioner(mode, select, previews, observe)
    _patch_dispatch(observe)
    _patch_comparison(observe)
    if judged:
        _patch_lowering(observe)


class _WouldRefuse(OperatorSupportBase):
    """Asks a check, remembers what it refuses, and accepts."""

    def __init__(self, check: Any, refused: dict[torch.fx.Node, list[str]]) -> None:
        self.check = check
        self.refused = refused

    def is_node_supported(self, submodules: Any, node: torch.fx.Node) -> bool:
        if not self.check.is_node_supported(submodules, node):
            codes = self.refused.setdefault(node, [])
            if self.check.code not in codes:
                codes.append(self.check.code)
        return True


def _patch_partitioner(mode: str, select: Sequence[str], previews: frozenset[str], observe: Observer) -> None:
    original = TOSAPartitioner.partition  # VgfPartitioner and EthosUPartitioner inherit it

    @functools.wraps(original)
    def partition(self: Any, program: ExportedProgram) -> Any:
        before = self.additional_checks
        checks = support_checks(self, select=select)
        refused: dict[torch.fx.Node, list[str]] = {}
        if mode == "record":
            self.additional_checks = [*(before or ()), *(_WouldRefuse(check, refused) for check in checks)]
        else:
            self.additional_checks = [*(before or ()), *checks]
        try:
            result = original(self, program)
        finally:
            self.additional_checks = before
        report = report_of(checks)
        observe(
            "lowerings",
            {
                "target": report.target,
                "backend": self.delegation_spec.backend_id,
                # Only what the backend would have delegated is lost by a refusal.
                "lost": {n.name: codes for n, codes in refused.items() if n.meta.get("delegation_tag") is not None},
                "refused": {n.name: codes for n, codes in refused.items()} if mode == "record" else report.refused,
                "delegated": sum("delegation_tag" in n.meta for n in program.graph_module.graph.nodes),
                "findings": [_brief(finding, previews) for finding in report.findings],
                "errors": list(report.errors),
            },
        )
        return result

    TOSAPartitioner.partition = partition


def _brief(finding: Any, previews: frozenset[str]) -> dict[str, Any]:
    return {
        "code": finding.code,
        "preview": finding.code in previews,
        "effect": finding.effect.value,
        "refuse": finding.refuse,
        "cluster": list(finding.cluster),
        "message": finding.message,
    }


def _patch_dispatch(observe: Observer) -> None:
    original = TosaReferenceModelDispatch._tosa_dispatch

    @functools.wraps(original)
    def dispatch(self: Any, lowered: Any, inputs: Any) -> Any:
        result = original(self, lowered, inputs)
        observe("delegate_runs", {"inputs": len(inputs)})
        return result

    TosaReferenceModelDispatch._tosa_dispatch = dispatch


def _patch_comparison(observe: Observer) -> None:
    """Notes each comparison that ran to its end: of how many outputs and elements, with which tolerance."""
    run = ArmTester.run_method_and_compare_outputs
    compare = ArmTester._compare_outputs
    under_way: list[dict[str, Any]] = []

    @functools.wraps(run)
    def run_method(self: Any, *args: Any, **kwargs: Any) -> Any:
        stage = kwargs.get("stage") or (args[0] if args and isinstance(args[0], StageType) else self.cur)
        entry = {"stage": str(stage), "eager": bool(kwargs.get("run_eager_mode")), "outputs": 0, "elements": 0}
        under_way.append(entry)
        try:
            result = run(self, *args, **kwargs)
        finally:
            under_way.pop()
        observe("compared", entry)
        return result

    @functools.wraps(compare)
    def compare_outputs(self: Any, reference: Any, output: Any, *args: Any, **kwargs: Any) -> Any:
        result = compare(self, reference, output, *args, **kwargs)
        if under_way:
            under_way[-1]["outputs"] += 1
            under_way[-1]["elements"] += reference.numel() if isinstance(reference, torch.Tensor) else 1
            for name, value in zip(("scale", "atol", "rtol", "qtol"), args, strict=False):
                under_way[-1][name] = value
        return result

    ArmTester.run_method_and_compare_outputs = run_method
    ArmTester._compare_outputs = compare_outputs


def _patch_lowering(observe: Observer) -> None:
    for name in ("to_edge_transform_and_lower", "partition"):
        original = getattr(ArmTester, name)

        @functools.wraps(original)
        def lower(self: Any, *args: Any, original: Any = original, **kwargs: Any) -> Any:
            result = original(self, *args, **kwargs)
            artifact = self.get_artifact()
            exported = self.stages.get(StageType.EXPORT)
            quantized = self.stages.get(StageType.QUANTIZE) is not None
            tosa = type(self.compile_spec).__name__ == "TosaCompileSpec"
            if quantized and tosa and exported and isinstance(artifact, EdgeProgramManager):
                state = torch.get_rng_state()
                observe("judged", _judge(exported.artifact, self.example_inputs, artifact, self.compile_spec))
                torch.set_rng_state(state)
            return result

        setattr(ArmTester, name, lower)


def _judge(program: ExportedProgram, inputs: Sequence[Any], manager: EdgeProgramManager, spec: Any) -> dict[str, Any]:
    """The verdict on the very program that the test has lowered: ``prove``, which is handed that lowering."""
    lowered = describe(manager.exported_program())
    lower_to_edge = judge.lower_to_edge
    judge.lower_to_edge = lambda *_: lowered
    try:
        proof = judge.prove(program, copy.deepcopy(tuple(inputs)), str(spec.tosa_spec))
    except Exception as error:  # what the judge cannot run is no verdict
        return {"outcome": "not judged", "detail": f"{type(error).__name__}: {error}"[:300]}
    finally:
        judge.lower_to_edge = lower_to_edge
    return {
        "outcome": proof.outcome,
        "steps": proof.max_error_steps,
        "max_error": proof.max_error,
        "magnitude": max((float(r.to(torch.float64).abs().max()) for r in proof.reference if r.numel()), default=0.0),
        "sqnr_db": proof.sqnr_db,
        "mismatches": proof.mismatches,
        "ties": proof.rounding_ties,
        "elements": proof.elements,
        "detail": proof.exception,
    }
