"""PL404: a quantized op without Arm's annotation."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.fold_scalar_mul import buffers_scaled, has_parameters_alone, scaled_as
from fuseguard.backend.kept_whole import is_kept_whole
from fuseguard.backend.quantized_operands import float_operands, quantized_source
from fuseguard.backend.rewrites import as_parameters
from fuseguard.engine import Call, Effect, EffectRow, EffectsTable, Finding, Insert, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, Trait, View
from fuseguard.ir.ops import KINDS
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.placement.pl404")

_REJECTED = "CheckArmQuantized: Node was not marked as quantized in the Arm backend"
_FLOAT = "FoldAndAnnotateQParamsPass.is_foldable, DecomposeQuantNodesPass"
_WHOLE = "TOSAPartitioner.ops_to_not_decompose keeps it, and InsertTableOpsPass makes no table of it: Unknown operator"
_SCALED = "FoldScalarMulIntoConvPass folds the Q's 1/scale into a weight that is a buffer, #20838"

#: Ops that no quantizer annotates: they have no input, or select one of several values.
_PASSED = Trait.CONSTANT | Trait.GETITEM | Trait.CONTROL_FLOW | Trait.DELEGATE | Trait.MULTI_OUTPUT


class AnnotationMissing(Rule):
    code = "PL404"
    name = "annotation-missing"
    summary = "An op between dequantize and quantize ops lacks the annotation of Arm's quantizer."
    why = (
        "The backend treats an op as quantized if its meta says so (_arm_annotation_info). The Q and DQ around it do "
        "not count. The annotation is missing if another quantizer made the program, or if a transformation rebuilt "
        "nodes without their meta. The INT profile then leaves the op on the CPU (CheckArmQuantized). With float "
        "support, the op is computed in float, between Q and DQ that are decomposed to arithmetic. Since 1.4 (a "
        "conv1d: 1.5), the 1/scale of the Q after a convolution is folded into its weight. This crashes on a weight "
        "that is a buffer, as quantized ones are (not if the convolution is transposed, grouped or also read in "
        "float). A hardswish or hardsigmoid is not decomposed between DQ and Q, because the partitioner takes it for "
        "quantized. The backend has no other form of it than a lookup table, which takes the annotation, and lowering "
        "crashes. Any other op may be left in float on purpose, so a single one is reported only if its weight is "
        "quantized or if nothing in the program is annotated."
    )
    remedy = (
        "Quantize with the backend's own quantizer (TOSAQuantizer, VgfQuantizer, EthosUQuantizer) and keep "
        "node.meta['custom'] when you rewrite graphs, or let fuseguard keep the op on the CPU (guard). If a hardswish "
        "or hardsigmoid is to stay in float, put a clone between it and the quantize op: the edge dialect then "
        "decomposes it. A convolution that is to stay in float needs parameters for its weight and bias: repair makes "
        "them of buffers."
    )
    scope = "cluster"
    message = "{node} has dequantized inputs and a quantized result, but Arm's annotation is missing {where}"
    effects = EffectsTable(
        [
            EffectRow("*", "*", "INT", Effect.CPU_FALLBACK, reference=_REJECTED),
            EffectRow("whole", "*", "INT+FP", Effect.CRASH, reference=_WHOLE),
            EffectRow("conv", ">=1.4", "INT+FP", Effect.CRASH, reference=_SCALED),
            EffectRow("conv1d", ">=1.5", "INT+FP", Effect.CRASH, reference=_SCALED),
            EffectRow("*", "*", "INT+FP", Effect.EXACT, reference=_FLOAT),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #15778", "executorch #20838")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        foreign = not any(node.annotated for node in view.graph)
        for node in view.ops:
            if node.annotated or node.kind not in KINDS:
                continue
            where = "throughout the program" if foreign else "from it"
            if is_kept_whole(view, node):
                yield self.finding(view, target, (node,), case="whole", node=node.name, where=where)
                continue
            if not (foreign or node.info.has(Trait.MAC)) or node.info.has(_PASSED) or _is_fused(view, node):
                continue
            lost = _has_quantized_weight(view, node)
            folded = lost and not has_parameters_alone(view, node)
            if not (foreign or lost) or not _is_between(view, node):
                continue
            yield self.finding(
                view,
                target,
                (node,),
                case=(scaled_as(view, node, target) if folded else "") or "other",
                node=node.name,
                where=where,
            )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """A clone after an op that is kept whole, so that a quantize op is not its only reader.

        The buffers of a convolution become parameters. Without float support, there is nothing to repair.
        """
        node = view.graph[finding.nodes[0]]
        if target.has_float and finding.case in ("conv", "conv1d"):
            return as_parameters(buffers_scaled(view, node))
        if finding.case != "whole" or not target.has_float:
            return None
        users = tuple(user.name for user in view.users(node))
        return Rewrite((Insert(node.name, users, (Call("aten.clone.default", annotated=False),)),))


def _has_quantized_weight(view: View, node: Node) -> bool:
    """Whether the op's weight is quantized, and stored: nobody quantizes the weight of an op left in float."""
    source = quantized_source(view, _operand(view, node, 1)) if node.info.has(Trait.MAC) else None
    codes = view.producer(source[-1]) if source and source[-1].args else None
    return codes is not None and codes.op != "call"  # the plug-in's graph does not label constants


def _is_between(view: View, node: Node) -> bool:
    """Whether all that the op computes with is dequantized, and its result quantized, after an activation or not."""
    ends = view.users(node)
    if node.info.has(Trait.MAC):
        operands = [_operand(view, node, 0), _operand(view, node, 1)]  # the bias may be in float
        ends += tuple(reader for user in ends if user.info.has(Trait.ACTIVATION) for reader in view.users(user))
    else:
        operands = [*float_operands(view, node)]
    return bool(operands) and all(quantized_source(view, item) for item in operands) and any(map(view.is_q, ends))


def _operand(view: View, node: Node, place: int) -> Node | None:
    """The data (0) or the weight (1) of a convolution, linear or matmul, also one decomposed to addmm."""
    position = place + (node.kind == "addmm")
    return view.graph.node_of(node.args[position]) if position < len(node.args) else None


def _is_fused(view: View, node: Node) -> bool:
    """Whether the op is the activation of a MAC, which is reported with it."""
    if not node.info.has(Trait.ACTIVATION) or not node.args:
        return False
    producer = view.producer(node)
    return producer is not None and producer.info.has(Trait.MAC)
