"""The effects tables against reality: lowers every example of every rule with the installed release and judges it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Literal, TypeAlias

import torch
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from fuseguard.engine.finding import Effect, Finding
from fuseguard.engine.registry import Registry, load_registry
from fuseguard.engine.rule import Example, Rule
from fuseguard.engine.run import Report, run
from fuseguard.executorch.judge import Proof, prove
from fuseguard.executorch.materialize import materialize
from fuseguard.executorch.partition import support_checks
from fuseguard.executorch.quantizing import quantize
from fuseguard.executorch.worker import start
from fuseguard.gate.parallel import in_processes, processors
from fuseguard.readers.fx import read_program
from fuseguard.target import Target

PROFILES = ("TOSA-1.0+INT", "TOSA-1.0+INT+FP")

Form: TypeAlias = Literal["graph", "program"]

#: Outcomes of the judge that bear out an effect.
OUTCOMES: dict[Effect, frozenset[str]] = {
    Effect.CRASH: frozenset({"crash"}),
    Effect.WRONG: frozenset({"wrong"}),
    Effect.UNDEFINED: frozenset({"undefined"}),
    Effect.RUNTIME_FAULT: frozenset({"runtime_fault"}),
    Effect.BOUNDED: frozenset({"bounded"}),
    Effect.QUALITY: frozenset({"exact", "bounded"}),
    Effect.CPU_FALLBACK: frozenset({"exact", "bounded"}),
    Effect.EXACT: frozenset({"exact", "bounded"}),
}

#: A rounding tie may add a hair to an exact bound, never a step.
_BOUND_SLACK = 0.01

#: A loss of accuracy that a rule speaks of is at least this part of the output's range: 8 steps of int8.
_VISIBLE = 0.03
#: Where an output hardly varies its magnitude stands for its range.
_RANGE_FLOOR = 0.1


@dataclass(frozen=True, slots=True)
class Case:
    """One example in one form under one profile: ``graph`` is the hand-made Q/DQ program, ``program`` the float
    module after Arm's quantizer.
    """

    code: str
    title: str
    good: bool
    form: Form
    spec: str

    def __str__(self) -> str:
        return f"{self.code} {self.title} ({self.form}, {self.spec})"


@dataclass(frozen=True, slots=True)
class Result:
    """What the table says of a case and what was seen.

    ``expected`` is the worst announced effect ("exact" where nothing is found), ``announced`` the codes found.
    ``outcome`` is the judge's word, ``guarded`` the same with the guard, "" where the guard refuses nothing.
    ``fault`` says what disagrees, "" if nothing does.
    """

    case: Case
    expected: str
    evidence: str
    announced: tuple[str, ...]
    outcome: str
    guarded: str
    detail: str
    fault: str

    @property
    def agrees(self) -> bool:
        return not self.fault


def cases(rules: Iterable[Rule], profiles: Sequence[str] = PROFILES) -> tuple[Case, ...]:
    """Every example of ``rules`` in each of its forms, under each profile; an example that rules share, once."""
    found: dict[tuple[str, str, str], Case] = {}
    for rule in rules:
        for example in (*rule.bad, *rule.good):
            forms: tuple[Form, ...] = ("graph",) if example.program is None else ("graph", "program")
            for form in forms:
                for profile in profiles:
                    case = Case(rule.code, example.title, example in rule.good, form, example.spec(profile))
                    found.setdefault((example.title, form, profile), case)
    return tuple(found.values())


def run_cases(chosen: Sequence[Case], jobs: int = 1) -> Iterator[Result]:
    """Judge each case, in order, in ``jobs`` processes, 0 for one per processor.

    Raises KeyError for a case of no installed rule.
    """
    jobs = min(jobs or processors(), len(chosen))
    if jobs <= 1:
        return map(judge_case, chosen)
    # Spawned, not forked: torch's threads do not survive a fork.
    return in_processes(chosen, judge_case, jobs, _lost, start, get_context("spawn"))


def _lost(case: Case) -> Result:
    return Result(
        case=case,
        expected="-",
        evidence="",
        announced=(),
        outcome="-",
        guarded="",
        detail="",
        fault="not judged: a process was killed, perhaps for want of memory. Try again with a smaller -j.",
    )


def judge_case(case: Case) -> Result:
    """Lint and judge one case. Raises KeyError if no installed rule has it."""
    registry = load_registry()
    rule, example = example_of(case, registry)
    rules = tuple(dict.fromkeys((*registry.select(), rule)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program, inputs = make_program(example, case)
        report = run(read_program(program), Target.parse(case.spec), rules)
        proof = prove(program, inputs, case.spec)
        guarded = None
        if any(finding.refuse for finding in report.findings):
            checks = support_checks(case.spec, select=[item.code for item in rules])
            guarded = prove(program, inputs, case.spec, checks=checks)
    worst = report.findings[0] if report.findings else None
    in_program = worst is not None and any(item.in_program for item in rules if item.code == worst.code)
    fault = _fault(report, in_program, proof, guarded, case)
    if not fault and in_program and case.form == "program":
        fault = _missing_loss(example, proof)
    return Result(
        case=case,
        expected=worst.effect.value if worst else Effect.EXACT.value,
        evidence=worst.evidence.value if worst else "",
        announced=tuple(sorted({finding.code for finding in report.findings})),
        outcome=proof.outcome,
        guarded=guarded.outcome if guarded else "",
        detail=proof.exception.partition("\n")[0],
        fault=fault,
    )


def example_of(case: Case, registry: Registry) -> tuple[Rule, Example]:
    """The example that a case is about, and its rule. Raises KeyError if no rule of ``registry`` has it."""
    rule = registry.get(case.code)
    example = next((item for item in (*rule.bad, *rule.good) if item.title == case.title), None) if rule else None
    if rule is None or example is None:
        raise KeyError(f"no installed rule has the example {case}")
    return rule, example


def make_program(example: Example, case: Case) -> tuple[ExportedProgram, tuple[torch.Tensor, ...]]:
    """The example as a quantized program with inputs."""
    if case.form == "graph":
        return materialize(example.graph())
    assert example.program is not None
    module, inputs = example.program()
    return quantize(module, inputs, case.spec, example.config, example.unquantized), inputs


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


def _channels(value: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return value.unbind(1) if value.dim() > 1 else (value,)


def _fault(report: Report, in_program: bool, proof: Proof, guarded: Proof | None, case: Case) -> str:
    """What of the verdict the judge does not bear out, "" if it all holds."""
    if report.failures:
        return f"rule {report.failures[0].code} failed: {report.failures[0].error}"
    worst = report.findings[0] if report.findings else None
    effect = worst.effect if worst else Effect.EXACT
    if proof.outcome not in _expected(worst, in_program, report.target, case):
        return f"announced {effect.value}, seen {proof.outcome}"
    if effect is Effect.CPU_FALLBACK and not any("quantize_per" not in op for op in proof.cpu_ops):
        return "announced cpu_fallback, but nothing was left on the CPU"
    bounds = [finding.bound_steps for finding in report.findings if finding.bound_steps is not None]
    if bounds and proof.max_error_steps is not None and proof.max_error_steps > max(bounds) + _BOUND_SLACK:
        return f"bound {max(bounds):g} steps, seen {proof.max_error_steps:g}"
    if guarded is not None and not guarded.ok:
        return f"guarded lowering is {guarded.outcome}: {guarded.exception}"
    return ""


def _expected(worst: Finding | None, in_program: bool, target: Target, case: Case) -> frozenset[str]:
    if worst is not None and case.good and worst.effect is Effect.BOUNDED:
        return frozenset({"exact", "bounded"})  # another rule's note; that it comes true is its own example's to show
    if worst is not None:
        return OUTCOMES[Effect.QUALITY if in_program else worst.effect]
    # Without a finding all is exact, but for the rounding of 16-bit rescales, which is no rule's to find.
    return frozenset({"exact", "bounded"} if "int16" in target.spec else {"exact"})


def _missing_loss(example: Example, proof: Proof) -> str:
    """What disagrees about a fault in the program itself: quantization must lose what the rule says it loses."""
    error = _quantization_error(example, proof)
    return "" if error >= _VISIBLE else f"announced a loss, but quantization moves the output by {error:.2%} only"
