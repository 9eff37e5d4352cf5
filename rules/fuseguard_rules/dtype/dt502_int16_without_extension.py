"""DT502: int16 activations under a TOSA specification without the int16 extension."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.anchor_forms import anchor_form
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, Trait, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.dtype.dt502")

#: What failed in lowering. int32 arithmetic and data movement (permute, slice, pad, amax, ...) lower correctly.
_NEEDS_EXTENSION = Trait.MAC | Trait.UNARY | Trait.ACTIVATION | Trait.LIST_INPUT
#: MATMUL of int16 belongs to the extension too, but neither the dialect nor the serializer checks.
_ACCEPTED = "aten.bmm"
_POOLS = ("max_pool2d", "max_pool2d_with_indices", "avg_pool2d", "adaptive_avg_pool2d")


class Int16WithoutExtension(Rule):
    code = "DT502"
    name = "int16-without-extension"
    summary = "Activations are quantized to int16, and the TOSA specification lacks the int16 extension."
    why = (
        "Convolution, table, pooling, clamp and concat of int16 belong to TOSA's EXT-INT16. Arm's quantizer does not "
        "ask whether the specification has this extension, and the partitioner accepts the nodes. The TOSA dialect or "
        "the serializer then rejects them, and lowering crashes. Arithmetic that runs in int32, bmm and data movement "
        "pass. A concat joins the parts of a grouped convolution, so an int16 result of one needs the extension too."
    )
    remedy = (
        "Add '+int16' to the TOSA specification if the device has the extension (Ethos-U and VGF compile specs "
        "contain it), or quantize activations to int8."
    )
    scope = "node"
    message = "{node} works on int16 codes, but {spec} lacks the int16 extension"
    effects = EffectsTable(
        [
            EffectRow("extension", "*", "*", Effect.CRASH, reference="TOSA dialect: doesn't support int16"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if "int16" in target.extensions or "int16" not in view.code_dtypes:
            return
        for node in view.calls():
            if node.target.startswith(_ACCEPTED) or (target.has_float and not node.annotated):
                continue  # what is not annotated is computed in float
            needs = (node.info.has(_NEEDS_EXTENSION) or node.kind in _POOLS) and _is_int16(view, node)
            if needs or _joins_int16(view, node):
                yield self.finding(view, target, (node,), case="extension", node=node.name, spec=target.spec)


def _is_int16(view: View, node: Node) -> bool:
    """Whether codes of int16 go into the node. An op that makes int16 from float or int8 alone needs no extension."""
    for producer in view.graph.inputs(node):
        qparams = view.qparams(producer) if view.is_dq(producer) else None
        if qparams is not None and qparams.dtype == "int16":
            return True
    return False


def _joins_int16(view: View, node: Node) -> bool:
    """Whether DecomposeGroupedConvPass joins int16 parts: their Q is moved before the cat."""
    if not node.info.has(Trait.MAC) or not any(map(view.is_dq, view.graph.inputs(node))):
        return False
    quantizers = map(view.qparams, view.out_q(node))
    return anchor_form(view, node) == "grouped" and any(
        item is not None and item.dtype == "int16" for item in quantizers
    )
