"""One case of the selftest: an example lowered as it is, guarded and repaired, and each held against its verdict."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from executorch.exir import EdgeCompileConfig
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from fuseguard.engine.agreement import disagreement
from fuseguard.engine.example_cases import Case, Result, example_of, repair_policy
from fuseguard.engine.registry import load_registry
from fuseguard.engine.rule import Example, Rule
from fuseguard.engine.run import Report, run
from fuseguard.executorch.extremes import extreme_inputs
from fuseguard.executorch.judge import prove
from fuseguard.executorch.materialize import materialize
from fuseguard.executorch.outputs import largest_difference
from fuseguard.executorch.partition import support_checks, target_of
from fuseguard.executorch.proof import Proof
from fuseguard.executorch.quantizing import quantize
from fuseguard.executorch.repairs import repair
from fuseguard.readers.fx import read_program
from fuseguard.target import Target

Inputs = tuple[torch.Tensor, ...]

#: A rounding tie may add a hair to an exact bound, never a step.
_BOUND_SLACK = 0.01

#: A loss of accuracy that a rule speaks of is at least this part of the output's range: 8 steps of int8.
_VISIBLE = 0.03
#: Where an output hardly varies its magnitude stands for its range.
_RANGE_FLOOR = 0.1


@dataclass(frozen=True, slots=True)
class _Repaired:
    """A repaired program: whether its eager results are equal to the bit, and what became of it when it was lowered."""

    equal: bool
    proof: Proof


def judge_case(case: Case, *, repairs: bool = False, compile_config: EdgeCompileConfig | None = None) -> Result:
    """Lint and judge one case; with ``repairs`` also the program after an exact repair.

    ``compile_config``: what it is lowered with; None means ExecuTorch's default.

    Raises KeyError if no installed rule has it.
    """
    registry = load_registry()
    rule, example = example_of(case, registry)
    rules = tuple(dict.fromkeys((*registry.select(), rule)))
    target = target_of(case.spec, None, compile_config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program, inputs = make_program(example, case)
        report = run(read_program(program), target, rules)
        proof = prove(program, inputs, target, compile_config=compile_config)
        guarded = None
        if any(finding.refuse for finding in report.findings):
            checks = support_checks(target, select=[item.code for item in rules])
            guarded = prove(program, inputs, target, checks=checks, compile_config=compile_config)
        repaired = _repaired(program, inputs, report, target, rule, compile_config) if repairs else None
    worst = report.findings[0] if report.findings else None
    in_program = worst is not None and any(item.in_program for item in rules if item.code == worst.code)
    fault = _fault(report, in_program, proof, case) or _fault_of_help(guarded, repaired)
    if not fault and in_program and case.form == "program":
        fault = _missing_loss(example, proof)
    return Result(
        case=case,
        expected=worst.effect.value if worst else "exact",
        evidence=worst.evidence.value if worst and worst.evidence else "",
        found=tuple(dict.fromkeys((finding.code, finding.case) for finding in report.findings)),
        outcome=proof.outcome,
        cpu=_left_on_cpu(proof),
        guarded=guarded.outcome if guarded else "",
        detail=proof.exception.partition("\n")[0],
        fault=fault,
        repaired=repaired.proof.outcome if repaired else "",
        equal=repaired.equal if repaired else None,
    )


def make_program(example: Example, case: Case) -> tuple[ExportedProgram, Inputs]:
    """The example as a quantized program with inputs."""
    if case.form == "graph":
        return materialize(example.graph())
    assert example.program is not None
    module, inputs = example.program()
    return quantize(module, inputs, case.spec, example.config, example.unquantized), inputs


def _repaired(
    program: ExportedProgram,
    inputs: Inputs,
    report: Report,
    target: Target,
    rule: Rule,
    compile_config: EdgeCompileConfig | None,
) -> _Repaired | None:
    """The exactly repaired program, judged; None where nothing can be repaired."""
    if not any(finding.repairable for finding in report.findings):
        return None
    policy = repair_policy(rule)
    result = repair(program, target, policy)
    if not result.applied:
        return None
    equal = all(
        largest_difference(program, result.program, values) == 0 for values in (inputs, extreme_inputs(program, inputs))
    )
    # Lowered as fuseguard.executorch.lower does, with what remains refused.
    refused = any(finding.refuse for finding in result.remaining)
    checks = support_checks(target, policy) if refused else None
    return _Repaired(equal, prove(result.program, inputs, target, checks, compile_config=compile_config))


def _left_on_cpu(proof: Proof) -> int:
    return sum("quantize_per" not in op for op in proof.cpu_ops)


def _fault(report: Report, in_program: bool, proof: Proof, case: Case) -> str:
    """What of the verdict the judge does not bear out, "" if it all holds."""
    if report.failures:
        return f"rule {report.failures[0].code} failed: {report.failures[0].error}"
    fault = disagreement(
        report.findings[0].effect if report.findings else None,
        proof.outcome,
        _left_on_cpu(proof),
        in_program=in_program,
        good=case.good,
        int16="int16" in case.spec,
    )
    bounds = [finding.bound_steps for finding in report.findings if finding.bound_steps is not None]
    steps = proof.max_error_steps
    if not fault and bounds and steps is not None and steps > max(bounds) + _BOUND_SLACK:
        return f"bound {max(bounds):g} steps, seen {steps:g}"
    return fault


def _fault_of_help(guarded: Proof | None, repaired: _Repaired | None) -> str:
    """What is wrong with the guarded lowering or the repair, "" if nothing is."""
    if guarded is not None and not guarded.ok:
        return f"guarded lowering is {guarded.outcome}: {guarded.exception}"
    if repaired is not None and not repaired.equal:
        return "the repair changes the eager results"
    if repaired is not None and not repaired.proof.ok:
        return f"repaired lowering is {repaired.proof.outcome}: {repaired.proof.exception}"
    return ""


def _missing_loss(example: Example, proof: Proof) -> str:
    """What disagrees about a fault in the program itself: quantization must lose what the rule says it loses."""
    error = _quantization_error(example, proof)
    return "" if error >= _VISIBLE else f"announced a loss, but quantization moves the output by {error:.2%} only"


def _quantization_error(example: Example, proof: Proof) -> float:
    """The largest error of the quantized program to the float module, relative to the range of the output's channel.

    By channel, because a loss may be that of one of the tensors that a cat puts side by side.
    """
    assert example.program is not None
    module, inputs = example.program()
    with torch.no_grad():
        wanted = [item for item in pytree.tree_leaves(module(*inputs)) if isinstance(item, torch.Tensor)]
    errors = []
    for want, got in zip(wanted, proof.reference, strict=True):
        for channel, quantized in zip(_channels(want), _channels(got), strict=True):
            span = float((channel.max() - channel.min()).clamp_min(channel.abs().max() * _RANGE_FLOOR))
            errors.append(float((channel - quantized).abs().max()) / span if span else 0.0)
    return max(errors, default=0.0)


def _channels(value: torch.Tensor) -> Sequence[torch.Tensor]:
    return value.unbind(1) if value.dim() > 1 else (value,)
