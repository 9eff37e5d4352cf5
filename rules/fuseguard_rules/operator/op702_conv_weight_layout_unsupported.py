"""OP702: a convolution's weights have their channels on another axis than the backend assumes."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.fused_activation import is_quantized_anchor
from fuseguard.backend.releases import REJECTS_TRANSPOSED_CONVS
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Island, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op702")

_DILATED = "RewriteConvPass: Transpose convolutions with dilation are not supported"
_GROUPED = "DecomposeGroupedConvPass: Grouped transpose conv with per-channel quantization is unsupported"
_AXIS = "QuantArgs.axis is not read in lowering; scales go to the output channels"
_REJECTED = "ConvolutionSupported, #20763"


class TransposedConvUnsupported(Rule):
    code = "OP702"
    name = "conv-weight-layout-unsupported"
    summary = "A convolution is dilated, grouped or quantized along an axis in a way that lowering cannot express."
    why = (
        "Before 1.4, the partitioner accepts dilated transposed convolutions, and grouped ones with per-channel "
        "weights, but RewriteConvPass and DecomposeGroupedConvPass then reject them with an exception. From 1.4 on, "
        "they stay on the CPU (#20763), and the rule does not report them. On every release, lowering applies a "
        "weight's per-channel scales to the output channels without checking which axis they belong to: 0 for a "
        "convolution, 1 for a transposed one. Scales of another axis rescale the wrong channels."
    )
    remedy = (
        "Let fuseguard keep the convolution on the CPU (guard), or quantize its weights per tensor or along its output "
        "channels. Without the guard, only ExecuTorch 1.4 or newer leaves a dilated transposed convolution on the CPU."
    )
    scope = "cluster"
    message = "{anchor} {fault}"
    effects = EffectsTable(
        [
            EffectRow("axis", "*", "*", Effect.WRONG, reference=_AXIS),
            EffectRow("dilated", "<1.4", "*", Effect.CRASH, reference=_DILATED),
            EffectRow("grouped", "<1.4", "*", Effect.CRASH, reference=_GROUPED),
            EffectRow("*", ">=1.4", "*", Effect.CPU_FALLBACK, reference=_REJECTED),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #20763", "executorch #17842")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for island in view.islands:
            if island.anchor.kind != "conv" or not is_quantized_anchor(view, island):
                continue
            found = _fault(view, target, island)
            if found is not None:
                case, fault = found
                nodes = (island.anchor, island.activation) if island.activation is not None else (island.anchor,)
                yield self.finding(
                    view, target, nodes, case=case, island=island, anchor=island.anchor.name, fault=fault
                )


def _fault(view: View, target: Target, island: Island) -> tuple[str, str] | None:
    """The case and what the message says about the anchor; None if all is well."""
    anchor = island.anchor
    weight = view.in_qp(anchor, 1)
    rejects = REJECTS_TRANSPOSED_CONVS.in_force(target)
    transposed, groups = view.transposed(anchor), view.groups(anchor)
    per_channel = weight is not None and weight.per_channel
    if transposed and _dilated(view, island):
        # With groups, it stays on the CPU before 1.4 as well.
        return None if rejects or groups > 1 else ("dilated", "is a transposed convolution with dilation")
    if transposed and groups > 1 and per_channel:
        return (
            None
            if rejects
            else ("grouped", f"is a transposed convolution with {groups} groups and per-channel weights")
        )
    if weight is None or weight.axis is None:
        return None
    producer = view.in_dq(anchor, 1)
    rank = producer.meta.rank if producer is not None and producer.meta is not None else 4
    axis = weight.axis % rank if rank else weight.axis
    expected = 1 if transposed else 0
    if axis == expected:
        return None
    return "axis", f"has weights quantized along axis {axis}; its output channels are on axis {expected}"


def _dilated(view: View, island: Island) -> bool:
    anchor = island.anchor
    # convolution(x, w, b, stride, padding, dilation, ...); conv_transposeNd(..., output_padding, groups, dilation)
    dilation = anchor.arg(5 if anchor.target.startswith("aten.convolution") else 7, "dilation", 1)
    steps = dilation if isinstance(dilation, tuple) else (dilation,)
    return view.transposed(anchor) and any(step != 1 for step in steps)
