"""DT503: a lookup table between codes of different dtypes, or one of 16 bits that does not hold its function."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fuseguard.backend.lookup_table import SHIFT_CLAMPED_FROM, parameters_of, table_error, worst_error
from fuseguard.backend.quantized_values import full_int16, is_constant
from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rule
from fuseguard.ir import Graph, Node, QParams, Trait, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target

_INT16 = ("int16",)
_SHAPE = (1, 4, 4, 4)
_WIDER = ("int16", "int32")


def _unary(target: str, data: QParams, out: QParams) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, data)
        return b.output(b.requantize(b.call(target, x), out))

    return build


class LookupTable(Rule):
    code = "DT503"
    name = "lookup-table-width"
    summary = "A table operator whose input and output dtypes differ, or whose 16-bit table does not hold its function."
    why = (
        "TOSA's TABLE maps int8 to int8, or int16 to 16 bits with 513 entries and interpolation between them. "
        "InsertTableOpsPass makes the table for the output's dtype and never asks for the input's. What the function "
        "does between two entries 128 codes apart is lost: steps (floor, round), poles (reciprocal and rsqrt near 0), "
        "periods (sin of a wide range). Before 1.5 the last 128 codes get one value. Before 1.4 the table is shifted "
        "right by ceil(log2(largest code)) - 15, and where the output uses 2**14 codes or fewer (a sigmoid that shares "
        "its range with a wide tensor) that count is negative and the table comes out as zeros."
    )
    remedy = (
        "Give the operator's input and output one dtype by a quantize/dequantize pair. For a 16-bit table narrow the "
        "range of its input, leave the operator in float or quantize it to int8 (a table of 256 entries is exact); for "
        "the last codes and for a table of zeros upgrade ExecuTorch."
    )
    scope = "node"
    message = "{node} {fault}"
    effects = EffectsTable(
        [
            EffectRow("dtype", "*", "*", Effect.CRASH, reference="tosa.TABLE: Table of wrong size"),
            EffectRow("width", "<1.4", "*", Effect.WRONG, reference="generate_16_bit_table_values, #20668"),
            EffectRow("width", ">=1.4", "*", Effect.EXACT, reference="generate_16_bit_table_values, #20668"),
            EffectRow("endpoint", "<1.5", "*", Effect.WRONG, reference="generate_16_bit_table_values, #21629"),
            EffectRow("endpoint", ">=1.5", "*", Effect.EXACT, reference="generate_16_bit_table_values, #21629"),
            EffectRow("interpolated", "*", "*", Effect.WRONG, reference="TOSA TABLE: 513 entries for 65536 codes"),
        ]
    )
    bad = (
        Example(
            "sigmoid from int8 to int16",
            _unary("aten.sigmoid.default", int8(0.0487, 3), full_int16(1 / 32768)),
            extensions=_INT16,
        ),
        Example(
            "sigmoid from int16 to int8",
            _unary("aten.sigmoid.default", full_int16(0.000187), int8(1 / 256, -128)),
            extensions=_INT16,
        ),
        Example(
            "int16 sigmoid in a range of 400",
            _unary("aten.sigmoid.default", full_int16(0.000187), full_int16(400 / 32767)),
            only_on="<1.4",
            extensions=_INT16,
        ),
        Example(
            "int16 exp whose last codes are steep",
            _unary("aten.exp.default", full_int16(0.0001), full_int16(27 / 32767)),
            only_on="<1.5",
            extensions=_INT16,
        ),
        Example(
            "int16 sin over thirty periods",
            _unary("aten.sin.default", full_int16(0.00301), full_int16(1 / 32767)),
            extensions=_INT16,
        ),
    )
    good = (
        Example("int8 sigmoid", _unary("aten.sigmoid.default", int8(0.0487, 3), int8(1 / 256, -128))),
        Example(
            "int16 sigmoid over its own range",
            _unary("aten.sigmoid.default", full_int16(0.000287), full_int16(1 / 32767)),
            extensions=_INT16,
        ),
    )
    references = ("executorch #20668", "executorch #21629", "class 11 of the project's catalogue")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.calls(Trait.TABLE):
            data, quantizers = view.in_qp(node, 0), view.out_q(node)
            out = view.qparams(quantizers[0]) if quantizers else None
            if is_constant(view, node) or data is None or out is None:
                continue
            case, fault, steps = _judged(node, data, out, target)
            if case:
                yield self.finding(
                    view,
                    target,
                    (node,),
                    case=case,
                    qparams=(("input", str(data)), ("output", str(out))),
                    node=node.name,
                    fault=fault,
                    bound_steps=steps,
                    bound_value=steps * out.scale if steps else None,
                )


def _judged(node: Node, data: QParams, out: QParams, target: Target) -> tuple[str, str, float | None]:
    """The row of the effects table, what is wrong, and by how many steps at most; "" if nothing is."""
    if (data.dtype, out.dtype) == _WIDER:
        return "", "", None  # a 16-bit table, and a RESCALE that widens what it yields
    if data.dtype != out.dtype:
        return "dtype", f"reads {data.dtype} codes and writes {out.dtype}; a table has one dtype", None
    error = table_error(node, data, out, target.release_in)
    if error.tolerable:
        # Where only a newer release gets it right nothing in the program is at fault, so that one is not told of it.
        return "", "", None
    steps = float(error.steps)
    if not worst_error(node.kind, data, out, parameters_of(node), endpoint=True, shift_clamped=True).tolerable:
        return "interpolated", "changes too much between two of the table's entries, 128 codes apart", steps
    if not target.release_in(SHIFT_CLAMPED_FROM) and not (
        worst_error(node.kind, data, out, parameters_of(node), endpoint=True, shift_clamped=False).tolerable
    ):
        return "width", "uses so few codes of int16 that its table comes out as zeros", steps
    return "endpoint", "is steep in the last 128 codes, for which the table has one value", steps
