"""QP302: scales so far apart that a RESCALE between them is out of range."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fuseguard.backend.quantized_values import OBSERVER_FLOORS, full_int16
from fuseguard.backend.rescales import rescales_around
from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rule
from fuseguard.ir import Graph, Node, QParams, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target

_SHAPE = (1, 4, 4, 4)


def _binary(target: str, x_scale: float, y_scale: float, out: float | None) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, int8(x_scale, 3))
        y = b.quantized_input("y", _SHAPE, int8(y_scale, -5))
        value = b.call(target, x, y, dtype="float32" if out is not None else "bool")
        return b.output(value if out is None else b.requantize(value, int8(out, 2)))

    return build


def _conv(data: QParams, out: QParams) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, data)
        weight = b.quantized_constant("weight", (4, 4, 1, 1), 0.01031)
        return b.output(b.requantize(b.call("aten.conv2d.default", x, weight, None, shape=_SHAPE), out))

    return build


def _half_requantized(out: QParams) -> Graph:
    """Halves of a split: one is requantized, the other goes out as it is."""
    b = GraphBuilder()
    halves = b.call("aten.split.Tensor", b.quantized_input("x", (1, 8, 4, 4), int8(0.0487, 3)), 4, 1)
    parts = [b.call("operator.getitem", halves, number, shape=_SHAPE) for number in (0, 1)]
    first, second = (b.requantize(part, int8(0.0487, 3)) for part in parts)
    return b.output(b.requantize(first, out), second)


def _sum(out: float) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, int8(0.0487, 3))
        value = b.call("aten.sum.dim_IntList", x, (1,), True, shape=(1, 1, 4, 4))
        return b.output(b.requantize(value, int8(out, 2)))

    return build


def _scaled(out: float) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, full_int16(0.000287))
        factor = b.quantized_constant("factor", (1, 4, 1, 1), max(OBSERVER_FLOORS), dtype="int16")
        return b.output(b.requantize(b.call("aten.mul.Tensor", x, factor, shape=_SHAPE), full_int16(out)))

    return build


class ScaleRatio(Rule):
    code = "QP302"
    name = "scale-ratio-out-of-range"
    summary = "Two scales at one operator lie so far apart that the RESCALE between them overflows."
    why = (
        "TOSA's RESCALE multiplies by a 31-bit number and shifts right by 2 to 62 bits, and demands that the value "
        "fit into the shift: a result of about 2**30 steps or more is TOSA_UNPREDICTABLE, and a factor from 2**29 on "
        "cannot be encoded at all. InsertRescaleInt32Pass brings the operands of maximum, minimum and the comparisons "
        "to the smaller of their scales, so operands that are 2**22 apart get there. In A16W8 a convolution has "
        "15-bit multipliers: a factor from 2**13 on cannot be encoded, and a result of 2**31 steps is undefined. A "
        "factor that is too small does no harm: the result rounds to 0."
    )
    remedy = (
        "Bring the two ranges together: clamp or rescale the larger one before the operator, keep infinities and mask "
        "values like -1e9 out of quantized tensors, or leave the operator in float."
    )
    scope = "node"
    message = "{node} needs a RESCALE of {what} by {factor:.4g}{limit}"
    effects = EffectsTable(
        [
            EffectRow("shift", "*", "*", Effect.CRASH, reference="_compute_multiplier_and_shift: range [2, 62]"),
            EffectRow("overflow", "*", "*", Effect.UNDEFINED, reference="TOSA apply_scale_32: value against shift"),
        ]
    )
    bad = (
        Example("maximum of operands 2**22 apart", _binary("aten.maximum.default", 0.0487 / 2**22, 0.0487, 0.0513)),
        Example("comparison of operands 2**25 apart", _binary("aten.gt.Tensor", 0.0487 / 2**25, 0.0487, None)),
        Example("add whose output scale is 1e-9", _binary("aten.add.Tensor", 0.0487, 0.0311, 1e-9)),
        Example("mul whose output scale is 2**-30 of its inputs'", _binary("aten.mul.Tensor", 48.7, 31.1, 1e-6)),
        Example("conv whose output scale is 1e-13", _conv(int8(0.0487, 3), int8(1e-13, 2))),
        Example("conv whose output scale is 1e-9", _conv(int8(0.0487, 3), int8(1e-9, 2))),
        Example("half of a split, requantized to a scale of 1e-9", lambda: _half_requantized(int8(1e-9, 3))),
        Example("sum whose output scale is 1e-9", _sum(1e-9)),
        Example(
            "A16W8 conv, output scale 1e-9",
            _conv(full_int16(0.000187), full_int16(1e-9)),
            extensions=("int16",),
        ),
        Example(
            "int16 mul by constants at the observer's floor, output scale 1e-10",
            _scaled(1e-10),
            extensions=("int16",),
        ),
        Example(
            "A16W8 conv, output scale 1e-10",
            _conv(full_int16(0.000187), full_int16(1e-10)),
            extensions=("int16",),
        ),
    )
    good = (
        Example("maximum of operands 2**20 apart", _binary("aten.maximum.default", 0.0487 / 2**20, 0.0487, 0.0513)),
        Example("add of operands 2**30 apart", _binary("aten.add.Tensor", 0.0487 / 2**30, 0.0487, 0.0513)),
        Example("conv whose output scale is a 16th of its products'", _conv(int8(0.0487, 3), int8(0.0000314, 2))),
        Example("sum whose output scale is a sixteenth of its input's", _sum(0.0487 / 16)),
        Example("mul whose product vanishes", _binary("aten.mul.Tensor", 4.87e-5, 3.11e-5, 1e9)),
    )
    references = ("executorch #15976", "class 12 of the project's catalogue")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.calls():
            for rescale in rescales_around(view, node):
                fault = rescale.fault()
                if not fault:
                    continue
                limit = "" if fault == "shift" else f", and values up to {rescale.reach:.4g} do not fit its shift"
                yield self.finding(
                    view,
                    target,
                    (node, *view.out_q(node)) if view.is_dq(node) else (node,),
                    case=fault,
                    qparams=_labelled(view, node),
                    node=node.name,
                    what=rescale.what,
                    factor=rescale.factor,
                    limit=limit or ", which has no shift",
                )
                break  # one finding for one operator


def _labelled(view: View, node: Node) -> tuple[tuple[str, str], ...]:
    found = [(f"input {i}", view.in_qp(node, i)) for i in range(2)]
    found += [("output", view.qparams(q)) for q in view.out_q(node)[:1]]
    return tuple((label, str(qparams)) for label, qparams in found if qparams is not None)
