"""DT503: a lookup table for codes of another dtype or width than the backend's table."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fuseguard.engine import Effect, EffectsTable, Example, Finding, Rule
from fuseguard.ir import Graph, QParams, Trait, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.qparams.boundaries import full_int16
from fuseguard_rules.qparams.evidence import BOTH, seen

_INT16 = ("int16",)
_SHAPE = (1, 4, 4, 4)
#: Largest absolute value of what the function yields.
_BOUNDED = {"sigmoid": 1.0, "tanh": 1.0, "hardsigmoid": 1.0, "sin": 1.0, "cos": 1.0, "erf": 1.0}
#: Below this largest code, ceil(log2(code)) + 1 - 16 is negative: a shift by a negative count.
_WIDE_ENOUGH = 2.0**14
#: From here on generate_16_bit_table_values clamps the shift to 0 (#20668).
_SHIFT_CLAMPED = ">=1.4"


def _sigmoid(data: QParams, out: QParams) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, data)
        return b.output(b.requantize(b.call("aten.sigmoid.default", x), out))

    return build


class LookupTable(Rule):
    code = "DT503"
    name = "lookup-table-width"
    summary = "A table operator whose input and output dtypes differ, or whose 16-bit output uses too few bits."
    why = (
        "TOSA's TABLE maps int8 to int8, or int16 to 16 bits and 7 fractional ones. InsertTableOpsPass makes the table "
        "for the output's dtype and never asks for the input's. Before 1.4 it shifts a 16-bit table right by "
        "ceil(log2(largest code)) - 15, and where the output uses 2**14 codes or fewer (a sigmoid that shares its "
        "range with a wide tensor) that count is negative and the table comes out as zeros."
    )
    remedy = (
        "Give the operator's input and output one dtype by a quantize/dequantize pair. For the 16-bit table upgrade "
        "ExecuTorch to 1.4 or newer, or keep the operator's output range to itself."
    )
    scope = "node"
    preview = True
    message = "{node} {fault}"
    effects = EffectsTable(
        [
            *seen("dtype", Effect.CRASH, "tosa.TABLE: Table of wrong size", {"<1.3": BOTH, ">=1.5": ("INT+FP",)}),
            *seen("width", Effect.WRONG, "generate_16_bit_table_values, #20668", {"<1.3": ("INT+FP",)}, "<1.4"),
            *seen("width", Effect.EXACT, "generate_16_bit_table_values, #20668", {}, ">=1.4"),
        ]
    )
    bad = (
        Example("sigmoid from int8 to int16", _sigmoid(int8(0.0487, 3), full_int16(1 / 32768)), extensions=_INT16),
        Example("sigmoid from int16 to int8", _sigmoid(full_int16(0.000187), int8(1 / 256, -128)), extensions=_INT16),
        Example(
            "int16 sigmoid in a range of 400",
            _sigmoid(full_int16(0.000187), full_int16(400 / 32767)),
            only_on="<1.4",
            extensions=_INT16,
        ),
    )
    good = (
        Example("int8 sigmoid", _sigmoid(int8(0.0487, 3), int8(1 / 256, -128))),
        Example(
            "int16 sigmoid over its own range", _sigmoid(full_int16(0.000187), full_int16(1 / 32767)), extensions=_INT16
        ),
    )
    references = ("executorch #20668", "class 11 of the project's catalogue")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.calls(Trait.TABLE):
            data, quantizers = view.in_qp(node, 0), view.out_q(node)
            out = view.qparams(quantizers[0]) if quantizers else None
            if data is None or out is None:
                continue
            case, fault = "", ""
            if data.dtype != out.dtype:
                case, fault = "dtype", f"reads {data.dtype} codes and writes {out.dtype}; a table has one dtype"
            elif out.dtype == "int16" and node.kind in _BOUNDED and not target.release_in(_SHIFT_CLAMPED):
                # Nothing in the program is at fault, so releases that make the table right do not hear of it.
                largest = _BOUNDED[node.kind] / out.scale if not out.per_channel and out.scale > 0 else _WIDE_ENOUGH + 1
                if largest <= _WIDE_ENOUGH:
                    case, fault = (
                        "width",
                        f"uses {largest:.0f} of the codes of int16; the table needs {_WIDE_ENOUGH:.0f}",
                    )
            if case:
                labelled = (("input", str(data)), ("output", str(out)))
                yield self.finding(view, target, (node,), case=case, qparams=labelled, node=node.name, fault=fault)
