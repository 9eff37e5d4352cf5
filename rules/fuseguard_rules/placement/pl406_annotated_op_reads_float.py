"""PL406: the backend treats an op as quantized, but everything that it reads is float."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.fold_qparams import is_computed_with
from fuseguard.backend.fused_activation import is_fuseable_activation, is_fuseable_anchor
from fuseguard.backend.quantized_operands import float_operands
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule, Unannotate
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, Trait, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.placement.pl406")

_CHECKED = "CheckProperQuantization, or de-tagged as the first of its partition"
_FLOAT = "FoldAndAnnotateQParamsPass folds the Q; the values go on as if they were codes"

#: Kinds whose further operands are indices or conditions; of these only the first float operand counts.
_FIRST_ONLY = frozenset(("index", "gather", "masked_fill"))

#: Traits of other rules' ops: anchors are PL403's.
_OTHERS = Trait.MAC | Trait.CONSTANT | Trait.CONTROL_FLOW

#: Traits of ops that have no codes of their own, whatever they read.
_PASSED = Trait.GETITEM | Trait.CONTROL_FLOW

#: Traits of ops that may pass on codes without an annotation.
_HANDS_ON = Trait.DEQUANTIZE | Trait.GETITEM | Trait.CONSTANT | Trait.CONTROL_FLOW | Trait.DELEGATE


class FloatInput(Rule):
    code = "PL406"
    name = "annotated-op-reads-float"
    summary = "An op annotated as quantized has a quantized result, but its inputs were never quantized."
    why = (
        "FoldAndAnnotateQParamsPass removes the Q after an annotated op, whether or not there is a DQ before it. With "
        "float support, the op then computes in float, and its values are read as if they were the codes that the Q "
        "would have made. The result is silently wrong where the values leave the delegate, and lowering crashes where "
        "a lookup table or RESCALE reads them. The INT profile leaves the op on the CPU. With float support, an "
        "activation after a float convolution or linear is right if FuseQuantizedActivationPass removes it and lets "
        "the Q saturate instead."
    )
    remedy = (
        "Quantize what the op reads (a Q/DQ pair before it), leave the op unannotated, or let fuseguard keep it on the "
        "CPU (guard)."
    )
    scope = "node"
    message = "{node} is annotated and its result is quantized, but it reads {plain} in float"
    effects = EffectsTable(
        [
            EffectRow("*", "*", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("read", "*", "INT+FP", Effect.CRASH, reference=_FLOAT),
            EffectRow("*", "*", "INT+FP", Effect.WRONG, reference=_FLOAT),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #18999",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.calls():
            if not node.annotated or node.info.has(_OTHERS):
                continue
            operands = float_operands(view, node)
            if node.kind in _FIRST_ONLY:
                operands = operands[:1]
            if not operands or not all(_is_plain(view, operand) for operand in operands) or not view.out_q(node):
                continue
            if _vanishes(view, node, operands[0], target):
                continue
            yield self.finding(
                view,
                target,
                (node,),
                case="read" if is_computed_with(view, node) else "leaves",
                node=node.name,
                plain=", ".join(operand.name for operand in operands),
            )

    def exposed(self, view: View, target: Target, refused: frozenset[str]) -> Iterator[tuple[Node, Node]]:
        """Annotated ops that read float only because their producer is refused.

        The edge dialect splits some operators. The rest of one, such as the view after the cat of a stack, is exposed.
        """
        del target
        off = set(refused)  # and what was found here, so that one pass follows a whole chain
        readers = {user.name for name in refused for user in view.users(view.graph[name])}
        for node in view.calls():
            if node.name not in readers or not node.annotated or node.name in refused or node.info.has(_PASSED):
                continue
            for producer in float_operands(view, node):
                if producer.name in off and not view.is_dq(producer):
                    off.add(node.name)
                    readers.update([user.name for user in view.users(node)])
                    yield node, producer
                    break

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Make the op compute in float, as the program says."""
        del view, target
        return Rewrite(tuple(Unannotate(name) for name in finding.nodes))


def _vanishes(view: View, node: Node, operand: Node, target: Target) -> bool:
    """Whether FuseQuantizedActivationPass removes an activation after a float anchor: its Q saturates instead.

    Without float support the two stay on the CPU, where the edge dialect has an addmm for a linear.
    """
    anchor = is_fuseable_anchor(view, operand) or (operand.kind == "addmm" and "FP" not in target.profiles)
    return anchor and is_fuseable_activation(view, node, target)


def _is_plain(view: View, operand: Node) -> bool:
    """Float for certain: annotated ops, and getitems of their results, pass on codes (PL401's).

    An op that reads no float has no codes to pass on, annotated or not: the edge dialect inserts such a cast where an
    op combines integers with floats, and gives it the op's annotation.
    """
    if operand.op != "call":
        return operand.op == "placeholder"
    handed_on = operand.annotated and bool(float_operands(view, operand))
    return not handed_on and not operand.info.has(_HANDS_ON)
