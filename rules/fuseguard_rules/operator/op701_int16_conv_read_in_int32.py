"""OP701: an op that works in int32 reads an int16 convolution."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fuseguard.backend.fused_activation import is_quantized_anchor
from fuseguard.backend.int32_bounds import overflows
from fuseguard.backend.int32_rescales import SUMS, int32_readers
from fuseguard.backend.releases import REWRITES_INT16_CONVS, WIDENS_CONVS
from fuseguard.backend.rewrites import readers_apart
from fuseguard.backend.value_range import Reach
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, View
from fuseguard.ir.view import Island
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op701")

_UNPREDICTABLE = "RewriteConvPass.insert_identity_int32_rescale, #21910"
_FORK = "RewriteConvPass hands the int32 accumulator to every user, #21910"
_COMBINED = "RewriteConvPass._insert_a16w8_output_branches saturates nothing, #21910"


class Int16ConvFork(Rule):
    code = "OP701"
    name = "int16-conv-read-in-int32"
    summary = "An op that works in int32 reads an int16 convolution and bypasses its rounding and saturation."
    why = (
        "add, mul, comparisons and the like work in int32, so InsertRescaleInt32Pass inserts a RESCALE before them, "
        "made for the codes of the convolution's output. If such a RESCALE reads an int16 convolution, directly or "
        "through one permute, RewriteConvPass of 1.3 and 1.4 omits the convolution's own rescale. It gives this "
        "RESCALE, and every other reader, the raw accumulator, whose scale is input x weight. From 1.5 on (#21910), it "
        "combines the two rescales on a separate branch without int16 between them. What the program saturates to "
        "int16 is then not saturated, and what it rounds is not rounded. This is closer to the float model, but a "
        "product with a value twice as large as int16 holds overflows int32, and the result is garbage. ExecuTorch 1.2 "
        "lowers the convolution differently, and exactly."
    )
    remedy = (
        "Up to 1.4, let fuseguard keep the convolution on the CPU (guard), repair the program (a view before each such "
        "reader), or quantize the convolution to int8. From 1.5 on, this is needed only for products, or where the "
        "result must equal the quantized program's even if an output of the convolution saturates."
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
    bad = examples.BAD
    # An int16 convolution alone is off by one step on 1.5.1, even without an int32 reader: not a good example.
    good = examples.GOOD
    references = ("executorch #21910", "executorch #22566")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if not REWRITES_INT16_CONVS.in_force(target):
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
            overflow = WIDENS_CONVS.in_force(target) and any(
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
                others=f"; its other readers are {', '.join(node.name for node in others)}" if others else "",
            )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Insert a view between the convolution's codes and each int32 reader: the rescales on both sides stay."""
        del target
        island = view.island_of(view.graph[finding.nodes[0]])
        return readers_apart(view, int32_readers(view, island)[0]) if island is not None else None


def _largest(view: View, island: Island, reach: Reach) -> float:
    """A bound on the convolution's values: each weight as large as its scale allows, with the sign of its input.

    A bias counts as no larger than the range of the result. Infinite where the scales are not known.
    """
    data, weight = (view.in_dq(island.anchor, place) for place in (0, 1))
    if data is None or weight is None or weight.meta is None or island.output_q is None:
        return math.inf
    qparams, out = view.qparams(weight), view.qparams(island.output_q)
    if qparams is None or not qparams.known or out is None or out.per_channel or None in weight.meta.shape:
        return math.inf
    if weight.meta.rank < 2:
        return math.inf
    outputs, inputs, *kernel = (size or 1 for size in weight.meta.shape)
    taps = (outputs if view.transposed(island.anchor) else inputs) * math.prod(kernel)
    most = max(qparams.scales) * max(abs(qparams.qmin), abs(qparams.qmax)) * max(map(abs, reach.of(data)))
    return taps * most + max(abs(out.low), abs(out.high))


def _case(wide: list[Node], others: list[Node]) -> str:
    if others:
        return "forked"
    # InsertRescaleInt32Pass shifts up before it adds: the accumulator then leaves int32.
    return "added" if any(node.kind in SUMS for node in wide) else "computed"
