"""PL405: an op on integers that nobody quantized, which the backend treats as a quantized op."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.int32_rescales import COMPARISONS, PICKS, SUMS
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, Trait, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.placement.pl405")

_INTEGERS = ("int8", "int16")

_NO_QPARAMS = "No input quantization parameter found"
_NO_RESCALE = "TOSA has no 8-bit or 16-bit form: Unsupported dtype, inconsistent dtype"
_PRODUCT = "TOSA MUL of int8 yields int32: Invalid TOSA graph"
_BOUND = "ConvertToClampPass: min_val must be an integer"
_UNCHECKED = "TOSAProINTFPSupportList accepts it, CheckArmQuantized does not"

#: Ops by what lowering lacks: the qparams that it reads a zero point from, the RESCALE that would convert the operands
#: to int32, an integer bound. Data movement, pools, amax, clamp with its own bounds and bitwise ops work on any
#: integers; ne of integers is in no support list.
_CASES = {
    **dict.fromkeys(("pad", "neg", "matmul"), "qparams"),  # int16 has no zero point, so that neg needs none
    **dict.fromkeys((*SUMS, *PICKS, *COMPARISONS), "rescale"),
    "mul": "product",
    "relu": "clamp",
}  # fmt: skip


class RawInteger(Rule):
    code = "PL405"
    name = "raw-integers-taken-for-quantized"
    summary = "An op computes with int8 or int16 tensors that no dequantize op turns into values."
    why = (
        "is_quantized (tosa_supported_operators.py) treats a node whose inputs and output are integers as quantized, "
        "so the partitioner accepts it in either profile. But FoldAndAnnotateQParamsPass finds no Q and DQ to fold. "
        "pad, neg and matmul then lack the zero point that they read from the qparams, and InsertRescaleInt32Pass "
        "leaves arithmetic and comparisons in int8, for which TOSA has no operator. Lowering crashes. int32 works."
    )
    remedy = (
        "Let the op compute on floats between a dequantize and a quantize op, or on int32 (x.to(torch.int32)), or let "
        "fuseguard keep it on the CPU (guard)."
    )
    scope = "node"
    message = "{node} computes with the {dtype} tensors {inputs}, which no op dequantizes"
    effects = EffectsTable(
        [
            EffectRow("qparams", "*", "*", Effect.CRASH, reference=_NO_QPARAMS),
            EffectRow("rescale", "*", "*", Effect.CRASH, reference=_NO_RESCALE),
            EffectRow("product", "<1.4", "*", Effect.RUNTIME_FAULT, reference=_PRODUCT),
            EffectRow("product", ">=1.4", "*", Effect.CRASH, reference=_NO_RESCALE),
            EffectRow("clamp", "*", "*", Effect.CRASH, reference=_BOUND),
            EffectRow("table", "*", "INT", Effect.CPU_FALLBACK, reference=_UNCHECKED),
            EffectRow("table", "*", "INT+FP", Effect.CRASH, reference=_UNCHECKED),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.ops:
            case = "table" if node.info.has(Trait.UNARY) else _CASES.get(node.kind)
            if case is None or node.meta is None:
                continue
            if node.meta.dtype not in (*_INTEGERS, "bool") and case != "table":
                continue  # promoted to int32 or to float before the op
            raw = _raw_inputs(view, node)
            if raw and not (node.kind == "neg" and node.meta.dtype == "int16"):
                yield self.finding(
                    view,
                    target,
                    (node,),
                    case=case,
                    node=node.name,
                    dtype=raw[0].meta.dtype if raw[0].meta else "",
                    inputs=", ".join(item.name for item in raw),
                )


def _raw_inputs(view: View, node: Node) -> tuple[Node, ...]:
    """The inputs of ``node`` if all of them are int8 or int16; one of another dtype would have them promoted."""
    inputs = view.graph.inputs(node)
    return inputs if all(item.meta is not None and item.meta.dtype in _INTEGERS for item in inputs) else ()
