"""OP701: an int16 convolution is read by an op that works in int32."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from fuseguard.backend.fused_activation import is_quantized_anchor
from fuseguard.backend.int32_bounds import overflows
from fuseguard.backend.int32_rescales import WIDENS_CONVS_FROM, int32_readers
from fuseguard.backend.rewrites import standing_apart
from fuseguard.backend.value_range import Reach
from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rewrite, Rule
from fuseguard.engine.rewrite import Edit
from fuseguard.ir import Graph, Node, QParams, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.view import Island
from fuseguard.target import Target

_UNPREDICTABLE = "RewriteConvPass.insert_identity_int32_rescale, #21910"
_FORK = "RewriteConvPass hands the int32 accumulator to every user, #21910"
_COMBINED = "RewriteConvPass._insert_a16w8_output_branches saturates nothing, #21910"

#: What InsertRescaleInt32Pass shifts up before it adds: the accumulator then leaves int32.
_ADDS = ("add", "sub")

# Over the whole of int16: FU103's bounded saturation is not what these examples are about.
_INPUT = QParams.per_tensor(0.00031, 0, -32768, 32767, "int16")
_OUTPUT = QParams.per_tensor(0.00127, 0, -32768, 32767, "int16")


def _conv(b: GraphBuilder, data: str, name: str, qparams: QParams) -> str:
    weight = b.quantized_constant(f"{name}_weight", (4, 4, 3, 3), 0.0031)
    bias = b.quantized_constant(f"{name}_bias", (4,), qparams.scale * 0.0031, "int32")
    return b.call("aten.conv2d.default", data, weight, bias, (1, 1), (1, 1), shape=(1, 4, 8, 8))


def _graph(*consumers: str, qparams: QParams = _INPUT, permuted: bool = False) -> Callable[[], Graph]:
    """A convolution and its ``consumers``, the first one behind a permute if ``permuted``."""

    def build() -> Graph:
        b = GraphBuilder()
        # A DQ for each reader, as the quantizer makes them.
        x = b.quantize(b.input("x", (1, 4, 8, 8)), qparams)
        y = b.quantize(_conv(b, b.dequantize(x, qparams), "first", qparams), qparams)
        values = []
        for number, consumer in enumerate(consumers):
            data = b.dequantize(y, qparams)
            if permuted and number == 0:
                data = b.requantize(b.call("aten.permute.default", data, (0, 1, 3, 2)), qparams)
            if consumer == "conv":
                value = _conv(b, data, "second", qparams)
            elif consumer == "itself":
                value = b.call("aten.mul.Tensor", data, data)
            elif consumer == "another":
                other = b.requantize(_conv(b, b.dequantize(x, qparams), "other", qparams), qparams)
                value = b.call("aten.add.Tensor", data, other)
            else:
                value = b.call(f"aten.{consumer}", data, b.dequantize(x, qparams))
            values.append(b.requantize(value, _OUTPUT if qparams is _INPUT else int8(0.1031, -5)))
        return b.output(*values)

    return build


class Int16ConvFork(Rule):
    code = "OP701"
    name = "int16-conv-read-in-int32"
    summary = "An int16 convolution is read by an op that works in int32, which bypasses its rounding and saturation."
    why = (
        "add, mul, comparisons and the like work in int32, so InsertRescaleInt32Pass puts a RESCALE in front of them, "
        "written for the codes of the convolution's output. Where such a RESCALE reads an int16 convolution, "
        "directly or through one permute, RewriteConvPass of 1.3 and 1.4 leaves out the convolution's own rescale and "
        "hands it, and every other reader, the raw accumulator, whose scale is input x weight. From 1.5 on "
        "(#21910) it combines the two rescales on a branch of their own, with no int16 in between: what the program "
        "saturates to int16 is not saturated, and what it rounds is not rounded, which is nearer to the float model; "
        "but a product with a value twice as large as int16 holds overflows int32, and the result is garbage. "
        "ExecuTorch 1.2 lowers it otherwise, and exactly."
    )
    remedy = (
        "Up to 1.4 let fuseguard keep the convolution on the CPU (guard), repair the program (a view in front of each "
        "such reader), or quantize the convolution to int8. From 1.5 on that is needed for products only, or where "
        "the result has to be the quantized program's when an output of the convolution saturates."
    )
    scope = "cluster"
    message = "{anchor} computes in int16 and is read in int32 by {readers}{others}"
    effects = EffectsTable(
        [
            EffectRow("*", "<1.3", "*", Effect.EXACT, reference="DecomposeConvWithInt16ActivationPass"),
            EffectRow("overflow", ">=1.5", "*", Effect.WRONG, reference=_COMBINED),
            EffectRow("*", ">=1.5", "*", Effect.BOUNDED, reference=_COMBINED),
            EffectRow("forked", ">=1.3,<1.5", "*", Effect.CRASH, reference=_FORK),
            EffectRow("added", ">=1.3,<1.5", "*", Effect.UNDEFINED, reference=_UNPREDICTABLE),
            EffectRow("*", ">=1.3,<1.5", "*", Effect.WRONG, reference=_UNPREDICTABLE),
        ]
    )
    bad = (
        Example("int16 conv into add", _graph("add.Tensor"), only_on=">=1.3", extensions=("int16",)),
        Example("int16 conv into mul", _graph("mul.Tensor"), only_on=">=1.3", extensions=("int16",)),
        Example(
            "int16 conv into add and conv",
            _graph("add.Tensor", "conv"),
            only_on=">=1.3",
            extensions=("int16",),
        ),
        Example(
            "int16 conv, permuted, into mul",
            _graph("mul.Tensor", permuted=True),
            only_on=">=1.3",
            extensions=("int16",),
        ),
        # What is put in front of both operands alike, 1.4 moves behind the op again.
        Example("int16 conv multiplied by itself", _graph("itself"), only_on=">=1.3", extensions=("int16",)),
        Example("int16 conv added to another one", _graph("another"), only_on=">=1.3", extensions=("int16",)),
    )
    # An int16 convolution alone is off by one step on 1.5.1, with no reader in int32: it would be no good example.
    good = (Example("int8 conv into add and conv", _graph("add.Tensor", "conv", qparams=int8(0.0487, 3))),)
    references = ("executorch #21910", "executorch #22566", "bug class 5 of the project's catalogue")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if target.release_in("<1.3"):
            return
        reach: Reach | None = None
        for island in view.islands:
            anchor = island.anchor
            if not is_quantized_anchor(view, island):
                continue
            bypasses, others = int32_readers(view, island)
            wide = list({bypass.reader.name: bypass.reader for bypass in bypasses}.values())
            if not wide:
                continue
            reach = reach or Reach(view)
            most = _largest(view, island, reach)
            overflow = target.release_in(WIDENS_CONVS_FROM) and any(
                overflows(view, bypass, reach, most) for bypass in bypasses
            )
            yield self.finding(
                view,
                target,
                (anchor,),
                case="overflow" if overflow else _case(wide, others),
                island=island,
                anchor=anchor.name,
                readers=", ".join(node.name for node in wide),
                others=f", and otherwise by {', '.join(node.name for node in others)}" if others else "",
            )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """A view between the convolution's codes and each reader in int32: the rescales on its sides stay two."""
        del target
        island = view.island_of(view.graph[finding.nodes[0]])
        if island is None:
            return None
        edits: list[Edit] = []
        for bypass in int32_readers(view, island)[0]:
            rewrite = standing_apart(view, bypass.reader, view.graph[bypass.path[-1]])
            edits.extend(rewrite.edits if rewrite is not None else ())
        return Rewrite(tuple(edits)) if edits else None


def _largest(view: View, island: Island, reach: Reach) -> float:
    """What no value of the convolution exceeds: each weight as large as its scale allows, on the side of its input.

    A bias counts as no larger than the range of the result. Infinite where the scales are not known.
    """
    data, weight = (view.in_dq(island.anchor, place) for place in (0, 1))
    if data is None or weight is None or weight.meta is None or island.output_q is None:
        return math.inf
    qparams, out = view.qparams(weight), view.qparams(island.output_q)
    if qparams is None or not qparams.known or out is None or out.per_channel or None in weight.meta.shape:
        return math.inf
    outputs, inputs, *kernel = (size or 1 for size in weight.meta.shape)
    taps = (outputs if view.transposed(island.anchor) else inputs) * math.prod(kernel)
    most = max(qparams.scales) * max(abs(qparams.qmin), abs(qparams.qmax)) * max(map(abs, reach.of(data)))
    return taps * most + max(abs(out.low), abs(out.high))


def _case(wide: list[Node], others: list[Node]) -> str:
    if others:
        return "forked"
    return "added" if any(node.kind in _ADDS for node in wide) else "computed"
