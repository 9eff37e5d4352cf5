"""What is asked of a repair, on the installed release: the same results, a right lowering, and no op lost by it; and
that the torch-free rewriting of the tests does the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from fuseguard.engine import Call, Effect, Finding, Fold, Insert, MakeConstant, MakeParameter
from fuseguard.engine.rounds import Repair
from fuseguard.executorch import RepairResult, prove, repair, support_checks
from fuseguard.executorch.copying import writes_in_place
from fuseguard.executorch.extremes import extreme_inputs
from fuseguard.executorch.outputs import largest_difference
from fuseguard.executorch.proof import Proof
from fuseguard.executorch.state import MUTATIONS, functional_program, slots
from fuseguard.ir import Graph
from fuseguard.readers.fx import read_program
from fuseguard.target import Target
from fuseguard_testkit.graph_rewriting import repair_graph
from fuseguard_testkit.repair_cases import SELECTED


def eager_faults(
    program: ExportedProgram, result: RepairResult, inputs: Sequence[Any], target: str, policy: str = "consistent"
) -> list[str]:
    """What the repair changes without lowering anything. ``inputs`` and the ends of the code ranges are tried."""
    found = []
    if not result.exact:
        found.append("a rewrite is not exact, and nobody asked for such")
    for name, values in (("the inputs", inputs), ("the ends of the code ranges", extreme_inputs(program, inputs))):
        difference = largest_difference(program, result.program, values)
        if difference != 0:
            found.append(f"the eager results differ by {difference} on {name}")
    found.extend(_signature_faults(program, result))
    again = repair(result.program, target, policy).applied
    if again:
        found.append(f"a second repair fixes {[item.finding.code for item in again]}")
    left = [finding.code for finding in result.remaining if finding.refuse and finding.repairable]
    if left:
        found.append(f"{left} remain and could be repaired")
    return found


def _signature_faults(before: ExportedProgram, result: RepairResult) -> list[str]:
    """What differs between the signatures.

    A program that writes in place is repaired in its functional form. The values written are the first results there,
    and a repair may write another node's value. A folded value is a new buffer, and the constants that only it read go.
    A buffer that is made a parameter keeps its name, target and values.
    """
    after = result.program
    states = [slots(item) for item in (before, after)]
    if states[0] != states[1]:
        return [f"the state changes: {states}"]
    rewritten = writes_in_place(before) and not writes_in_place(after)
    if rewritten:
        before = functional_program(before)
    folded = {f"{edit.node}_folded" for one in result.applied for edit in one.rewrite.edits if isinstance(edit, Fold)}
    stored = [{spec.target for spec in item.graph_signature.input_specs} for item in (before, after)]
    replaced = (folded | (stored[0] - stored[1]) if folded else set()) - {None}
    made = {edit.node for one in result.applied for edit in one.rewrite.edits if isinstance(edit, MakeParameter)}
    kinds = {spec.arg.name: spec.kind for spec in after.graph_signature.input_specs}
    assert all(kinds[name] is InputKind.PARAMETER for name in made), kinds
    specs = [
        [
            *((spec.arg, spec.target) if spec.arg.name in made else str(spec)
              for spec in item.graph_signature.input_specs if spec.target not in replaced),
            *((spec.kind, spec.target) if rewritten and spec.kind in MUTATIONS else str(spec)
              for spec in item.graph_signature.output_specs),
        ]
        for item in (before, after)
    ]  # fmt: skip
    return [f"the signature changes: {specs}"] if specs[0] != specs[1] else []


def lowered(result: RepairResult, inputs: Sequence[Any], target: str, policy: str = "consistent") -> Proof:
    """Lowers the repaired program as ``fuseguard.executorch.lower`` does, with what remains refused, and judges it."""
    refused = any(finding.refuse for finding in result.remaining)
    return prove(result.program, inputs, target, support_checks(target, policy) if refused else None)


def lowering_faults(result: RepairResult, proof: Proof, guarded_original: Callable[[], Proof]) -> list[str]:
    """What is wrong with a repaired program's lowering, held against that of the guarded original if need be."""
    found: list[str] = []
    left = computing(proof.cpu_ops)
    bounded = proof.outcome == "bounded"
    if proof.outcome == "exact" and not left:
        return found
    guarded = guarded_original()
    # Bounded as the guarded original is, or as announced.
    if not (proof.outcome == "exact" or (bounded and (guarded.outcome == "bounded" or _may_be_bounded(result)))):
        found.append(f"judged {proof.outcome}, by at most {proof.max_error_steps} steps {proof.exception}".rstrip())
    lost = left - computing(guarded.cpu_ops) - (_written_out(result) if computing(guarded.cpu_ops) else Counter())
    if lost:
        found.append(f"on the CPU, and not so with the guard: {dict(lost)}")
    return found


def _written_out(result: RepairResult) -> Counter[str]:
    """The ops that the repair writes in place of what stays on the CPU with the guard, by the edge dialect's names.

    These are the casts before ops that cast by themselves, and the constants that replace ops: a constant that the
    program returns is in no delegate.
    """
    edits = [edit for item in result.applied for edit in item.rewrite.edits]
    steps = [step for edit in edits if isinstance(edit, Insert) for step in edit.steps if isinstance(step, Call)]
    casts = sum(step.target == "aten.to.dtype" for step in steps)
    constants = Counter(edit.target for edit in edits if isinstance(edit, MakeConstant))
    return Counter({"dim_order_ops._to_dim_order_copy.default": casts}) + constants


def computing(cpu_ops: Iterable[str]) -> Counter[str]:
    """The ops left on the CPU by name, without the quantize and dequantize ops around delegates."""
    return Counter(name for name in cpu_ops if "quantize_per" not in name)


def _may_be_bounded(result: RepairResult) -> bool:
    """Whether a deviation within a bound is announced, or comes of the 16-bit multipliers of int16 rescales."""
    if any(finding.effect is Effect.BOUNDED for finding in result.remaining):
        return True
    return any("int16" in str(node.args) for node in result.program.graph.nodes)


def rewriting_faults(
    program: ExportedProgram, result: RepairResult, target: str, policy: str = "consistent"
) -> list[str]:
    """Differences between ``result`` and what the torch-free rewriting of the tests does with ``program``.

    There must be none. Otherwise, what tests/rules/test_repair_rounds.py shows with thousands of small graphs does not
    hold for programs.
    """
    graph, applied, report = repair_graph(read_program(program), Target.parse(target), SELECTED, policy)
    found = []
    if _told(applied) != _told(result.applied):
        found.append(f"repairs: {_told(applied)}, and of the program {_told(result.applied)}")
    if _named(report.findings) != _named(result.remaining):
        found.append(f"remaining: {_named(report.findings)}, and of the program {_named(result.remaining)}")
    graphs = _nodes(graph), _nodes(read_program(result.program))
    if graphs[0] != graphs[1]:
        found.append(f"nodes: {graphs[0]}, and of the program {graphs[1]}")
    return found


def _told(repairs: Sequence[Repair]) -> list[tuple[str, str, int]]:
    return [(item.finding.code, item.finding.fingerprint, len(item.rewrite.edits)) for item in repairs]


def _named(findings: Sequence[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.code, finding.fingerprint, finding.effect.value) for finding in findings]


def _nodes(graph: Graph) -> list[tuple[object, ...]]:
    """Every node without its name: what it is, reads and yields, in an order that both graphs have."""
    found: list[tuple[object, ...]] = []
    for body in graph.walk():
        for node in body:
            reads = tuple(sorted(body[ref.name].target or body[ref.name].op for ref in node.refs()))
            literals = tuple(str(arg) for arg in node.args if not node.refs() or "name=" not in str(arg))
            found.append((body.name, node.op, node.target, node.outputs, node.annotated, reads, literals))
    return sorted(found, key=str)
