"""OP702: a convolution's weights have their channels elsewhere than the backend takes for granted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from fuseguard.backend.fused_activation import is_quantized_anchor
from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rule
from fuseguard.ir import Arg, Graph, Island, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target

if TYPE_CHECKING:
    import torch

#: ConvolutionSupported leaves dilated and grouped per-channel transposed convolutions on the CPU from here on (#20763).
REJECTS_FROM = ">=1.4"

_DILATED = "RewriteConvPass: Transpose convolutions with dilation are not supported"
_GROUPED = "DecomposeGroupedConvPass: Grouped transpose conv with per-channel quantization is unsupported"
_AXIS = "QuantArgs.axis is not read in lowering; scales go to the output channels"
_REJECTED = "ConvolutionSupported, #20763"
_SCALES = (0.00731, 0.00841, 0.01171, 0.01721)


def _graph(
    *, transposed: bool = True, groups: int = 1, dilation: int = 1, axis: int | None = None
) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", (1, 4, 6, 6), int8(0.0487, 3))
        weight = b.quantized_constant(
            "weight", (4, 4 // groups, 2, 2), 0.01031 if axis is None else _scales(axis, groups)
        )
        if transposed:
            size = 10 + dilation + 1
            rest: tuple[Arg, ...] = ((2, 2), (0, 0), (0, 0), groups, (dilation, dilation))
            value = b.call("aten.conv_transpose2d.input", x, weight, None, *rest, shape=(1, 4, size, size))
        else:
            value = b.call("aten.conv2d.default", x, weight, None, (1, 1), shape=(1, 4, 5, 5))
        return _with_axis(b.output(b.requantize(value, int8(0.0517, -17))), axis)

    return build


def _scales(axis: int, groups: int) -> tuple[float, ...]:
    return _SCALES[: 4 // groups] if axis == 1 else _SCALES


def _with_axis(graph: Graph, axis: int | None) -> Graph:
    """The builder quantizes per channel on axis 0 only."""
    nodes = [
        replace(node, args=(*node.args[:3], axis, *node.args[4:])) if "dequantize_per_channel" in node.target else node
        for node in graph
    ]
    return Graph(nodes, dialect=graph.dialect, buffers=graph.buffers)


def _program(**options: int) -> Callable[[], tuple[torch.nn.Module, tuple[torch.Tensor, ...]]]:
    def build() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
        from fuseguard_rules.examples.operator.modules import transposed_conv

        return transposed_conv(**options)

    return build


class TransposedConvUnsupported(Rule):
    code = "OP702"
    name = "conv-weight-layout-unsupported"
    summary = "A convolution is dilated, grouped or quantized along an axis in a way that lowering cannot express."
    why = (
        "Before 1.4 the partitioner takes dilated transposed convolutions, and grouped ones whose weights are "
        "quantized per channel, that RewriteConvPass and DecomposeGroupedConvPass then refuse with an exception; from "
        "1.4 on they are left on the CPU (#20763) and not warned about. And on every release lowering hands a "
        "weight's per-channel scales to the output channels without a look at the axis they belong to: 0 for a "
        "convolution, 1 for a transposed one. Scales of another axis rescale the wrong channels."
    )
    remedy = (
        "Let fuseguard keep the convolution on the CPU (guard), or quantize its weights per tensor or along its "
        "output channels; a dilated transposed convolution needs ExecuTorch 1.4 or newer to be left on the CPU."
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
    bad = (
        Example(
            "transposed conv with groups and per-channel weights",
            _graph(groups=2, axis=0),
            _program(groups=2),
            only_on="<1.4",
        ),
        Example("dilated transposed conv", _graph(dilation=2), only_on="<1.4"),
        Example("transposed conv quantized along its input channels", _graph(axis=0)),
        Example("conv quantized along its input channels", _graph(transposed=False, axis=1)),
    )
    good = (
        Example("transposed conv with groups and per-tensor weights", _graph(groups=2)),
        Example("transposed conv quantized along its output channels", _graph(axis=1), _program()),
    )
    references = ("executorch #20763", "executorch #17842", "bug class 18 of the project's catalogue")

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
    """The case and what is said of the anchor, None if all is well."""
    anchor = island.anchor
    weight = view.in_qp(anchor, 1)
    rejects = target.release_in(REJECTS_FROM)
    transposed, groups = view.transposed(anchor), view.groups(anchor)
    per_channel = weight is not None and weight.per_channel
    if transposed and _dilated(view, island):
        # With groups it is left on the CPU before 1.4 as well.
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
