"""PL405: integers that nobody quantized, in an op that the backend then takes for a quantized one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fuseguard.backend.quantized_operands import INPUT, SHAPE
from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rule
from fuseguard.ir import Arg, Graph, Node, Trait, View
from fuseguard.ir.builder import GraphBuilder
from fuseguard.target import Target

_INTEGERS = ("int8", "int16")

_NO_QPARAMS = "No input quantization parameter found"
_NO_RESCALE = "TOSA has no 8-bit or 16-bit form: Unsupported dtype, inconsistent dtype"
_PRODUCT = "TOSA MUL of int8 yields int32: Invalid TOSA graph"
_BOUND = "ConvertToClampPass: min_val must be an integer"
_UNCHECKED = "TOSAProINTFPSupportList accepts it, CheckArmQuantized does not"

#: Ops by what lowering lacks: the qparams it reads a zero point from, the RESCALE that would bring the operands to
#: int32, an integer bound. Data movement, pools, amax, clamp with its own bounds and bitwise ops work on any integers;
#: ne of integers is in no support list.
_CASES = {
    **dict.fromkeys(("pad", "neg", "matmul"), "qparams"),  # int16 has no zero point, so that neg needs none
    **dict.fromkeys(
        ("abs", "add", "sub", "maximum", "minimum", "eq", "ge", "gt", "le", "lt"), "rescale"
    ),
    "mul": "product",
    "relu": "clamp",
}  # fmt: skip


def _graph(
    target: str,
    *rest: Arg,
    inputs: int = 1,
    shape: tuple[int, ...] = SHAPE,
    dtype: str = "int8",
    quantize: bool = False,
) -> Callable[[], Graph]:
    """``target`` on integers: user inputs as they are, or (``quantize``) codes whose DQ comes only behind the op."""

    def build() -> Graph:
        b = GraphBuilder()
        names = [f"x{number}" for number in range(inputs)]
        codes = [b.quantize(b.input(n, SHAPE), INPUT) if quantize else b.input(n, SHAPE, "int8") for n in names]
        value = b.call(target, *codes, *rest, shape=shape, dtype=dtype, annotated=False)
        return b.output(b.dequantize(value, INPUT) if quantize else value)

    return build


class RawInteger(Rule):
    code = "PL405"
    name = "raw-integers-taken-for-quantized"
    summary = "An op computes with int8 or int16 tensors that no dequantize op turns into values."
    why = (
        "is_quantized (tosa_supported_operators.py) takes a node whose inputs and output are integers for quantized, "
        "so the partitioner accepts it in either profile. Yet FoldAndAnnotateQParamsPass finds no Q and DQ to fold: "
        "pad, neg and matmul then miss the zero point that they read from the qparams, and InsertRescaleInt32Pass "
        "leaves arithmetic and comparisons in int8, for which TOSA has no operator. Lowering dies. int32 works."
    )
    remedy = (
        "Let the op compute on floats between a dequantize and a quantize op, or on int32 (x.to(torch.int32)), or let "
        "fuseguard keep it on the CPU (guard)."
    )
    scope = "node"
    message = "{node} computes with the {dtype} tensors {inputs}, which nothing dequantizes"
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
    bad = (
        Example("pad of an int8 input", _graph("aten.constant_pad_nd.default", (1, 1, 1, 1), 0, shape=(1, 4, 10, 10))),
        Example("neg of an int8 input", _graph("aten.neg.default")),
        Example("add of two int8 inputs", _graph("aten.add.Tensor", inputs=2)),
        Example("mul of two int8 inputs", _graph("aten.mul.Tensor", inputs=2)),
        Example("add of codes before they are dequantized", _graph("aten.add.Tensor", inputs=2, quantize=True)),
        Example("comparison of two int8 inputs", _graph("aten.gt.Tensor", inputs=2, dtype="bool")),
        Example("matmul of two int8 inputs", _graph("aten.matmul.default", inputs=2)),
        Example("relu of an int8 input", _graph("aten.relu.default")),
        Example("sigmoid of an int8 input", _graph("aten.sigmoid.default", dtype="float32")),
    )
    good = (
        Example("permute of an int8 input", _graph("aten.permute.default", (0, 1, 3, 2))),
        Example("bitwise and of two int8 inputs", _graph("aten.bitwise_and.Tensor", inputs=2)),
    )
    references = ("bug class 14 of the project's catalogue",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.ops:
            case = "table" if node.info.has(Trait.TABLE) else _CASES.get(node.kind)
            if case is None or node.meta is None:
                continue
            if node.meta.dtype not in (*_INTEGERS, "bool") and case != "table":
                continue  # promoted to int32 or to float in front of the op
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
