"""OP713: an input of a delegate that only ops read which use nothing but its shape."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.convert_full_like import as_full
from fuseguard.backend.delegates import refused_near
from fuseguard.backend.unread_inputs import is_flat, is_left_out_of_int, known_losses, lost_inputs, shape_operand
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule, SetArgument
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, Ref, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op713")

_DROPPED = "ConvertFullLikeToFullPass, RemoveNoopPass"


class DelegateInputLost(Rule):
    code = "OP713"
    name = "delegate-input-lost"
    summary = "An input is read only by ops that use nothing but its shape, so the delegate loses it."
    why = (
        "ConvertFullLikeToFullPass replaces full_like (which zeros_like, ones_like and fill become) with a constant, "
        "and RemoveNoopPass replaces copy(x, y) with what it copies. If nothing else reads the value whose shape the "
        "op uses, it is dropped with the op, and the input is missing from the delegate's TOSA. The program still "
        "passes this input: the runtime gives the delegate one input more than it has. The value stays if something "
        "else in the same delegate reads it. An op on the CPU between two others divides their delegate. 1.2 puts a "
        "TRANSPOSE after each input of 4 dimensions or more, so it loses only inputs of fewer dimensions."
    )
    remedy = (
        "Make the constant from the shape: torch.full(x.shape, 1.0) instead of torch.ones_like(x). fuseguard can do "
        "this (repair), or keep the op on the CPU (guard)."
    )
    scope = "node"
    message = "{op} uses only the shape of {operand}, so the delegate loses its input {lost}"
    effects = EffectsTable(
        [
            EffectRow("overwritten", "<1.4", "*", Effect.EXACT, reference="what it overwrites is computed"),
            EffectRow("flat", "*", "*", Effect.RUNTIME_FAULT, reference=_DROPPED),
            EffectRow("*", "<1.3", "*", Effect.EXACT, reference="ToTosaMemoryFormatPass: a TRANSPOSE reads the input"),
            EffectRow("float", "*", "INT", Effect.CPU_FALLBACK, reference="CheckArmQuantized, CheckProperQuantization"),
            EffectRow("*", "*", "*", Effect.RUNTIME_FAULT, reference=_DROPPED),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node, lost in known_losses(view, target):
            operand = shape_operand(view, node)
            assert operand is not None
            left_out = is_left_out_of_int(view, target, node)
            case = "float" if left_out else "overwritten" if _is_overwritten(view, node) else "*"
            if case != "overwritten" and is_flat(lost) and (target.has_float or not left_out):
                case = "flat"
            yield self.finding(view, target, (node,), case=case, op=node.name, operand=operand.name, lost=lost.name)

    def exposed(self, view: View, target: Target, refused: frozenset[str]) -> Iterator[tuple[Node, Node]]:
        """Ops whose operand loses its other reader in their delegate by a refusal, which may divide the delegate."""
        known = {node.name for node, _ in known_losses(view, target)}
        for node, lost in lost_inputs(view, target, refused):
            if node.name not in known:
                yield node, refused_near(view, lost, refused)

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Use a constant of the same shape and value, or copy what is copied onto itself."""
        del target
        node = view.graph[finding.nodes[0]]
        if node.meta is None or any(size is None for size in node.meta.shape):
            return None
        if node.kind == "copy":
            return _copied_onto_itself(view, node)
        return as_full(node)


def _is_overwritten(view: View, node: Node) -> bool:
    """Whether an op computes what a copy overwrites, and not a Q and DQ of an input alone."""
    source = shape_operand(view, node) if node.kind == "copy" else None
    while source is not None and (view.is_q(source) or view.is_dq(source)):
        source = view.producer(source)
    return source is not None and source.op == "call"


def _copied_onto_itself(view: View, copy: Node) -> Rewrite | None:
    source = view.graph.node_of(copy.arg(1, "src"))
    if source is None or source.meta != copy.meta:
        return None
    return Rewrite((SetArgument(copy.name, 0, "self", Ref(source.name)),))
