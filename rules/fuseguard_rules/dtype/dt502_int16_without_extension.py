"""DT502: int16 activations under a TOSA specification without the int16 extension."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.anchor_forms import anchor_form
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.ir import Node, Trait, View
from fuseguard.target import Target
from fuseguard_rules.examples.dtype import dt502 as examples

#: What was seen to fail. Arithmetic in int32 and data movement (permute, slice, pad, amax, ...) lower and are right.
_NEEDS_EXTENSION = Trait.MAC | Trait.UNARY | Trait.ACTIVATION | Trait.LIST_INPUT
#: MATMUL of int16 belongs to the extension too, but neither the dialect nor the serializer asks.
_ACCEPTED = "aten.bmm"
_POOLS = ("max_pool2d", "max_pool2d_with_indices", "avg_pool2d", "adaptive_avg_pool2d")


class Int16WithoutExtension(Rule):
    code = "DT502"
    name = "int16-without-extension"
    summary = "Activations are quantized to int16, and the TOSA specification lacks the int16 extension."
    why = (
        "Convolution, table, pooling, clamp and concat of int16 belong to TOSA's EXT-INT16. Arm's quantizer does not "
        "ask whether the specification has it and the partitioner accepts the nodes; the TOSA dialect or the "
        "serializer then refuses them and the lowering dies. Arithmetic that runs in int32, bmm and data movement "
        "pass. The parts of a grouped convolution are put together by concat, so that an int16 result needs it too."
    )
    remedy = (
        "Add '+int16' to the TOSA specification if the device has the extension (Ethos-U and VGF compile specs "
        "contain it), or quantize activations to int8."
    )
    scope = "node"
    message = "{node} works on int16 codes, and {spec} lacks the int16 extension"
    effects = EffectsTable(
        [
            EffectRow("extension", "*", "*", Effect.CRASH, reference="TOSA dialect: doesn't support int16"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if "int16" in target.extensions:
            return
        for node in view.calls():
            if node.target.startswith(_ACCEPTED) or (target.has_float and not node.annotated):
                continue  # what is not annotated is computed in float
            needs = (node.info.has(_NEEDS_EXTENSION) or node.kind in _POOLS) and _is_int16(view, node)
            if needs or _joins_int16(view, node):
                yield self.finding(view, target, (node,), case="extension", node=node.name, spec=target.spec)


def _is_int16(view: View, node: Node) -> bool:
    """Whether codes of int16 go into the node. What makes int16 of float or int8 alone needs no extension."""
    for producer in view.graph.inputs(node):
        qparams = view.qparams(producer) if view.is_dq(producer) else None
        if qparams is not None and qparams.dtype == "int16":
            return True
    return False


def _joins_int16(view: View, node: Node) -> bool:
    """Whether DecomposeGroupedConvPass puts parts of int16 together: their Q is moved in front of the cat."""
    if not node.info.has(Trait.MAC) or not any(map(view.is_dq, view.graph.inputs(node))):
        return False
    quantizers = map(view.qparams, view.out_q(node))
    return anchor_form(view, node) == "grouped" and any(
        item is not None and item.dtype == "int16" for item in quantizers
    )
