"""One program: what the rules announce against what the judge sees, as one record.

``verdict`` of a record:

- ``agree-clean``: no error announced, and the lowering is exact or bounded;
- ``agree-broken``: broken as announced;
- ``miss``: broken without an error announced;
- ``wrong-effect``: broken otherwise than announced;
- ``false-alarm``: an error announced, and the lowering right, also that of the finding's cluster alone;
- ``not-reached``: wrong or undefined announced, and right on all of this program's input sets, extremes included, but
  the finding's cluster alone, fed with codes from all over its inputs' ranges, is as bad as announced;
- ``not-judged``: lowered, and the reference model cannot run it, whatever the delegates compute;
- ``eager-fault``, ``quantizer-fault``, ``edit-fault``: torch or the quantizer fails before there is a program.

``guard``: ``ok`` (guarded lowering right), ``broken``, ``changed`` (delegates other nodes though nothing is refused),
``same`` (nothing is refused, so that it is the lowering judged already), ``not-judged`` or "" (no program).

The outcomes are those of the cells, as ``fuseguard prove`` states them: end to end, the int16 roundings of many ops may
be taken for a fault.

A program with dynamic sizes is lowered as it is first. If that is broken, or a crash is announced, this is what is
judged. Otherwise, the program is made for the sizes of its inputs, checked again, and judged.
"""

from __future__ import annotations

import base64
import functools
import pickle
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx.passes.operator_support import OperatorSupportBase

from fuseguard.engine import Effect, Finding, Report, Rule, Severity, run
from fuseguard.engine.registry import load_registry
from fuseguard.executorch import prove, report_of, support_checks
from fuseguard.executorch.dynamic_sizes import dynamic_sizes, with_sizes
from fuseguard.executorch.inputs import input_metas
from fuseguard.executorch.proof import Proof
from fuseguard.ir import Graph
from fuseguard.readers.fx import read_program
from fuseguard.target import Target

from .building import NotAProgram, build, feeds
from .grammar import Program
from .reach import shows_alone
from .result_grammar import ResultProgram
from .whole_grammar import WholeProgram

#: Every this many programs, a guarded lowering is judged though nothing is refused.
SAMPLE = 10


class Watcher(OperatorSupportBase):
    """Asks the guard's checks about every node and accepts all: the edge-level analysis of a lowering as it is."""

    def __init__(self, checks: Sequence[OperatorSupportBase]) -> None:
        self.checks = checks
        guard: Any = checks[0]
        #: The lowering is shown to the guard as it is: nothing is fixed.
        self.analysis = SimpleNamespace(showing=functools.partial(guard.analysis.showing, fix=False))

    def is_node_supported(self, submodules: Any, node: torch.fx.Node) -> bool:
        self.checks[0].is_node_supported(submodules, node)
        return True


def all_rules() -> tuple[Rule, ...]:
    """Preview rules too: this campaign is what they have to pass."""
    return load_registry().rules


def guard_checks(target: Target, rules: Sequence[Rule]) -> list[OperatorSupportBase]:
    return support_checks(target, select=[rule.code for rule in rules])


def judge_program(
    program: Program, sampled: bool = False, announce: Callable[[dict[str, Any]], None] | None = None
) -> dict[str, Any]:
    """The record of one program. ``announce`` is told what the rules say before anything is lowered.

    Raises nothing that a program may cause; a process that dies has to be handled by the caller.
    """
    began = time.perf_counter()
    record: dict[str, Any] = {
        "verdict": "", "outcome": "", "guard": "", "kinds": list(program.kinds), "config": program.config,
        "profile": program.profile, "edit": program.edit.name if program.edit else "", "edited": "", "findings": [],
        "exception": "", "notes": [],
    }  # fmt: skip
    if isinstance(program, ResultProgram):
        record["ir_validity"] = program.ir_validity
    if isinstance(program, WholeProgram):
        record["features"] = list(program.features)
    try:
        quantized, calibrated, record["edited"] = build(program)
    except NotAProgram as error:
        record |= {"verdict": f"{error.stage}-fault", "exception": str(error)[:400]}
    else:
        record["built"] = round(time.perf_counter() - began, 2)
        _judge(record, program, quantized, calibrated, sampled, announce)
    record["seconds"] = round(time.perf_counter() - began, 2)
    return record


def _judge(
    record: dict[str, Any],
    program: Program,
    quantized: ExportedProgram,
    calibrated: tuple[Any, ...],
    sampled: bool,
    announce: Callable[[dict[str, Any]], None] | None,
) -> None:
    inputs = feeds(program, calibrated, quantized)
    if sizes := sizes_of(quantized, inputs[0]):
        # Made before anything is lowered: to_edge may fix a size, in the program itself too.
        fixed = with_sizes(quantized, sizes)
        _judge_lowering(record, quantized, inputs, False, announce)
        if record["verdict"] != "not-judged" or record["guard"] == "broken":
            return
        record["notes"].append("lowered with dynamic sizes")
        record["guard"] = ""
        quantized = fixed
    _judge_lowering(record, quantized, inputs, sampled, announce)


def sizes_of(program: ExportedProgram, inputs: Sequence[Any]) -> dict[str, int]:
    """The dynamic sizes of a program, as these inputs have them."""
    names = list(input_metas(program))
    found = {}
    for name, size in dynamic_sizes(program).items():
        place, _, dim = size.places[0].removesuffix("]").rpartition("[")
        found[name] = int(inputs[names.index(place)].shape[int(dim)])
    return found


def _judge_lowering(
    record: dict[str, Any],
    quantized: ExportedProgram,
    inputs: list[tuple[Any, ...]],
    sampled: bool,
    announce: Callable[[dict[str, Any]], None] | None,
) -> None:
    rules = all_rules()
    target = target_of(record)
    graph = read_program(quantized)
    record["graph"] = base64.b64encode(zlib.compress(pickle.dumps(graph))).decode()
    report = lint(graph, target)
    record["findings"] = brief(report.findings)
    record["notes"] += [f"rule {item.code} failed: {item.error}" for item in report.failures]
    if announce is not None:
        announce(record)
    checks = guard_checks(target, rules)
    try:
        proof = prove(quantized, inputs[0], target, checks=[Watcher(checks)], locate=True)
    except Exception as error:  # the eager program itself
        record |= {"verdict": "eager-fault", "exception": f"{type(error).__name__}: {error}"[:400]}
        return
    if any(not torch.isfinite(output).all() for output in proof.reference if output.is_floating_point()):
        record["notes"].append("the eager result is not finite")
    record["verdict"] = ""
    proof = _unless_hidden(record, report.findings, proof, quantized, inputs, target)
    record |= {
        "outcome": proof.outcome, "steps": proof.max_error_steps, "exception": proof.exception[:400],
        "delegated": proof.delegated_ops, "calls": proof.calls,
    }  # fmt: skip
    if proof.end_to_end:
        record |= {"end_to_end": proof.end_to_end, "doubtful": [c.value for c in proof.wrong_cells if not c.certain]}
    if not record["verdict"]:
        record["verdict"] = classify({f.effect for f in report.findings}, proof.outcome)
    _check_bounds(record, report.findings, proof)
    _judge_guard(record, report.findings, proof, quantized, inputs[0], target, checks, sampled)


def lint(graph: Graph, target: Target) -> Report:
    return run(graph, target, all_rules())


def target_of(record: Mapping[str, Any]) -> Target:
    """What a record's program is lowered for: its profile, and whether the edge IR is checked."""
    return replace(Target.parse(record["profile"]), ir_validity=record.get("ir_validity", True))


def brief(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Findings as a record holds them."""
    return [{"code": f.code, "effect": f.effect.value, "nodes": list(f.nodes), "refuse": f.refuse} for f in findings]


def classify(effects: set[Effect], outcome: str) -> str:
    """The verdict where inputs play no part: the worst announced effect masks the others."""
    errors = {effect for effect in effects if effect.severity is Severity.ERROR}
    if outcome == "not_judged":
        # It was lowered, which a crash would have prevented. All else shows only when it runs.
        return "false-alarm" if Effect.CRASH in errors else "not-judged"
    if outcome in ("exact", "bounded"):
        return "false-alarm" if errors else "agree-clean"
    if not errors:
        return "miss"
    if Effect.CRASH in errors:
        expected = {"crash"}
    elif Effect.RUNTIME_FAULT in errors:
        # Whether a value is undefined is found while the delegate runs, before its outputs are read.
        expected = {"runtime_fault"} | ({"undefined"} if Effect.UNDEFINED in errors else set())
    else:
        expected = {effect.value for effect in errors}
    return "agree-broken" if outcome in expected else "wrong-effect"


def _unless_hidden(
    record: dict[str, Any],
    findings: Sequence[Finding],
    proof: Proof,
    quantized: ExportedProgram,
    inputs: list[tuple[Any, ...]],
    target: Target,
) -> Proof:
    """Looks again, with inputs that reach the extremes, where a fault was announced that depends on values."""
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    certain = any(finding.effect in (Effect.CRASH, Effect.RUNTIME_FAULT) for finding in errors)
    if not proof.ok or not errors or certain:
        return proof
    for values in inputs[1:]:
        again = prove(quantized, values, target, locate=True)
        if not again.ok:
            record["notes"].append("shows at extremes only")
            return again
    reached = [finding for finding in errors if not _can_show(record, quantized, finding, target)]
    record["verdict"] = "false-alarm" if reached else "not-reached"
    return proof


def _can_show(record: dict[str, Any], quantized: ExportedProgram, finding: Finding, target: Target) -> bool:
    """Whether the fault is there on other values: shown by the cluster alone."""
    try:
        shown = shows_alone(quantized, finding, target)
    except Exception as error:  # a cluster that is not a program alone; the announcement then stands unproved
        record["notes"].append(f"{finding.code} could not be isolated: {type(error).__name__}: {error}"[:200])
        return False
    record["notes"].append(f"{finding.code} at {finding.nodes[0]} alone: {'wrong' if shown else 'right'}")
    return shown


def _check_bounds(record: dict[str, Any], findings: Sequence[Finding], proof: Proof) -> None:
    if proof.outcome == "bounded" and not any(finding.effect is Effect.BOUNDED for finding in findings):
        record["notes"].append("bounded, not announced")


def _fixed_by_guard(findings: Sequence[Finding]) -> bool:
    fixed = {rule.code for rule in all_rules() if rule.fixed_by_guard}
    return any(finding.code in fixed for finding in findings)


def _judge_guard(
    record: dict[str, Any],
    findings: Sequence[Finding],
    proof: Proof,
    quantized: ExportedProgram,
    inputs: tuple[Any, ...],
    target: Target,
    checks: Sequence[OperatorSupportBase],
    sampled: bool,
) -> None:
    seen = report_of(checks)
    record["notes"] += [f"guard: {where}: {text}"[:300] for where, text in seen.errors]
    lint, plugin = ({(f.code, f.island_key) for f in items} for items in (findings, seen.findings))
    if lint != plugin and seen.analyses:
        record["notes"].append(
            f"lint and plug-in differ: only lint {sorted(lint - plugin)}, only plug-in {sorted(plugin - lint)}"
        )
    refused = any(finding.refuse for finding in seen.findings)
    if not refused and seen.analyses and not sampled and not _fixed_by_guard(findings):
        record["guard"] = "not-judged" if proof.outcome == "not_judged" else "same" if proof.ok else "broken"
        return
    again = guard_checks(target, all_rules())
    guarded = prove(quantized, inputs, target, checks=again, locate=True)
    record["guard"] = "ok" if guarded.ok else "broken"
    if guarded.outcome == "not_judged":
        record["guard"] = "not-judged"
    elif not guarded.ok:
        record["guarded"] = f"{guarded.outcome} {guarded.exception}"[:400]
    elif not refused and proof.outcome != "crash" and guarded.delegated != proof.delegated:
        record["guard"] = "changed"
