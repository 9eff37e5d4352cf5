"""DT506: a 16-bit lookup table that is off by a few steps, because it interpolates."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fuseguard.backend.lookup_table import table_error
from fuseguard.backend.quantized_values import full_int16, is_constant
from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rule
from fuseguard.ir import Graph, QParams, Trait, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target

_INT16 = ("int16",)


def _unary(target: str, data: QParams, out: QParams) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", (1, 4, 4, 4), data)
        return b.output(b.requantize(b.call(target, x), out))

    return build


def _square() -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 16, 16, 16), full_int16(2.0**-12))
    return b.output(b.requantize(b.call("aten.pow.Tensor_Scalar", x, 2), full_int16(0.000257)))


class InterpolatedTable(Rule):
    code = "DT506"
    name = "interpolated-table"
    summary = "A 16-bit lookup table differs from its function by a few steps."
    why = (
        "TOSA's TABLE has 513 entries for the 65536 codes of int16 and interpolates between them, so a function that "
        "bends within 128 codes comes out a little different; before 1.5 the last 128 codes get one value. Up to a "
        "256th of the table's largest value, half a step of int8, is reported here; more is an error (DT503)."
    )
    remedy = (
        "Usually nothing. Narrow the range of the operator's input, leave the operator in float, or use the policy "
        "bit-exact to keep it on the CPU (guard)."
    )
    scope = "node"
    message = "{node} interpolates between 513 entries and is off by at most {steps} of 65536 steps"
    effects = EffectsTable([EffectRow("*", "*", "*", Effect.BOUNDED, reference="TOSA TABLE, InsertTableOpsPass")])
    bad = (
        Example(
            "int16 sin over two and a half periods",
            _unary("aten.sin.default", full_int16(0.00023968), full_int16(1 / 32767)),
            extensions=_INT16,
        ),
        Example("int16 square that saturates", _square, extensions=_INT16),
        Example(
            "int16 hardswish",
            _unary("aten.hardswish.default", full_int16(0.00023), full_int16(0.00023)),
            extensions=_INT16,
        ),
    )
    good = (
        Example("int8 sin", _unary("aten.sin.default", int8(0.0487, 3), int8(1 / 127))),
        Example(
            "int16 sigmoid over its own range",
            _unary("aten.sigmoid.default", full_int16(0.000287), full_int16(1 / 32767)),
            extensions=_INT16,
        ),
    )
    references = ("executorch #21629", "class 11 of the project's catalogue")
    refused = False

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.calls(Trait.TABLE):
            data, quantizers = view.in_qp(node, 0), view.out_q(node)
            out = view.qparams(quantizers[0]) if quantizers else None
            error = table_error(node, data, out, target.release_in)
            if is_constant(view, node) or data is None or out is None or not error.steps or not error.tolerable:
                continue
            yield self.finding(
                view,
                target,
                (node,),
                case="*",
                qparams=(("input", str(data)), ("output", str(out))),
                bound_steps=float(error.steps),
                bound_value=error.steps * out.scale,
                node=node.name,
                steps=error.steps,
            )
