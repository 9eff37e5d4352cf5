"""QP301: a constant operand so small that the observer's smallest scale leaves it only a few codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fuseguard.backend.quantized_values import OBSERVER_FLOORS
from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rule
from fuseguard.ir import Graph, Node, View
from fuseguard.ir.builder import GraphBuilder, int8, int16
from fuseguard.target import Target

if TYPE_CHECKING:
    import torch

#: With eight codes or more the constant is off by at most a sixteenth.
_FEW_CODES = 8.0
#: Below this the constant happens to lie on the grid (1/16384 is four codes of 2**-16).
_NEGLIGIBLE = 0.01


def _mean(side: int) -> Graph:
    """What ``x.mean((2, 3), keepdim=True)`` of values in [0, 1] becomes from 1.3 on."""
    count = side * side
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 2, side, side), int8(1 / 255, -128))
    total = b.call("aten.sum.dim_IntList", x, (2, 3), True, shape=(1, 2, 1, 1))
    total = b.requantize(total, int8(0.00194 * count, -128))
    reciprocal = b.dequantize(b.constant("reciprocal", (1,)), int8(max(2.0**-16, 1 / count / 255), -128))
    product = b.call("aten.mul.Tensor", total, reciprocal, shape=(1, 2, 1, 1))
    return b.output(b.requantize(product, int8(0.00194, -128)))


def _wide_mean(side: int) -> Graph:
    """The same in A16W8, whose observers stop at a scale of 2**-12."""
    count = side * side
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 2, side, side), int16(1 / 32767))
    total = b.call("aten.sum.dim_IntList", x, (2, 3), True, shape=(1, 2, 1, 1))
    total = b.requantize(total, int16(1.94e-5 * count))
    reciprocal = b.dequantize(b.constant("reciprocal", (1,), "int16"), int16(2.0**-12))
    product = b.call("aten.mul.Tensor", total, reciprocal, shape=(1, 2, 1, 1))
    return b.output(b.requantize(product, int16(1.94e-5)))


def _filled(value: float, scale: float) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 4, 4), int8(0.0487, 3))
    constant = b.requantize(b.call("aten.full.default", (1,), value, shape=(1,)), int8(scale, -128))
    return b.output(b.requantize(b.call("aten.mul.Tensor", x, constant, shape=(1, 4, 4, 4)), int8(2.0**-16, -128)))


def _epsilon(scale: float) -> Graph:
    """A small number added to a variance, whose sum has steps of ``scale``."""
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 4, 4), int8(scale, -128))
    epsilon = b.requantize(b.call("aten.full.default", (1,), 1e-5, shape=(1,)), int8(2.0**-16, -128))
    return b.output(b.requantize(b.call("aten.add.Tensor", x, epsilon, shape=(1, 4, 4, 4)), int8(scale, -128)))


def _program(side: int) -> Callable[[], tuple[torch.nn.Module, tuple[torch.Tensor, ...]]]:
    def build() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
        from fuseguard_rules.examples.qparams.modules import mean_over

        return mean_over(side)

    return build


@dataclass(frozen=True, slots=True)
class _Constant:
    """A constant operand: its real value, the qparams' scale, and the node that reads it."""

    value: float
    scale: float
    reader: Node
    label: str

    @property
    def codes(self) -> float:
        return abs(self.value) / self.scale

    @property
    def stored(self) -> float:
        """Its absolute value after quantization."""
        return round(self.codes) * self.scale

    @property
    def error(self) -> float:
        return abs(self.stored - abs(self.value)) / abs(self.value)


class CollapsedConstant(Rule):
    code = "QP301"
    name = "collapsed-constant"
    summary = "A constant operand is smaller than a few steps of its own scale, which an observer may not shrink."
    why = (
        "Arm's observers do not choose a scale below 2**-16 (2**-12 in A16W8), so a tiny constant keeps only a few "
        "codes, or none. From 1.3 on DecomposeMeanDimPass turns mean into sum and a multiplication by 1/N before "
        "quantization, and 1/N over a large area is such a constant. The fault is in the quantized program: the "
        "eager program and the delegate agree, and both are off."
    )
    remedy = (
        "Write torch.nn.functional.adaptive_avg_pool2d(x, 1) in place of x.mean((2, 3)): it stays an average pool. "
        "For other constants scale in two steps, give the configuration a smaller eps (eps=2**-30 in "
        "get_symmetric_quantization_config from 1.3 on, epsilon in the A16W8 one), or leave the operation in float."
    )
    scope = "node"
    message = (
        "{reader} reads a constant of {value:.4g} through a scale of {scale:.4g}: it becomes {stored:.4g}, "
        "a relative error of {percent:.1f} %"
    )
    effects = EffectsTable(
        [
            EffectRow("few-codes", "*", "*", Effect.QUALITY, reference="observer eps; DecomposeMeanDimPass, #19242"),
            EffectRow("zero", "*", "*", Effect.WRONG, reference="observer eps; DecomposeMeanDimPass, #19242"),
        ]
    )
    bad = (
        Example("mean over 112 x 112", lambda: _mean(112), _program(112)),
        Example(
            "A16W8 mean over 112 x 112",
            lambda: _wide_mean(112),
            _program(112),
            extensions=("int16",),
            config="a16w8",
        ),
        Example("multiplication by a full of 5e-5", lambda: _filled(5e-5, 2.0**-16)),
        Example("multiplication by a full of 5e-6", lambda: _filled(5e-6, 2.0**-16)),
    )
    good = (
        Example("mean over 8 x 8", lambda: _mean(8), _program(8)),
        Example("mean over 128 x 128, whose reciprocal is four codes exactly", lambda: _mean(128)),
        Example("multiplication by a full of 5e-3", lambda: _filled(5e-3, 5e-3 / 255)),
        Example("epsilon that is beneath the steps of its sum", lambda: _epsilon(0.0079)),
    )
    references = ("executorch #19242", "class 4 of the project's catalogue")
    refused = False
    in_program = True

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.calls():
            constant = _filled_constant(view, node) if view.is_q(node) else _factor(view, node)
            if constant is None or constant.codes >= _FEW_CODES or constant.error < _NEGLIGIBLE:
                continue
            yield self.finding(
                view,
                target,
                (constant.reader,),
                case="zero" if constant.stored == 0 else "few-codes",
                reader=constant.reader.name,
                value=constant.value,
                scale=constant.scale,
                stored=constant.stored,
                percent=100 * constant.error,
            )


def _filled_constant(view: View, q: Node) -> _Constant | None:
    """A literal in the graph (full, scalar_tensor) that is quantized at the observer's smallest scale."""
    producer, qparams = view.owner(q), view.qparams(q)
    if producer is None or producer.kind != "full" or qparams is None or qparams.per_channel:
        return None
    if qparams.scale not in OBSERVER_FLOORS:
        return None
    position = 0 if "scalar_tensor" in producer.target else 1
    value = producer.arg(position, "fill_value" if position else "s")
    if not producer.target.startswith(("aten.full", "aten.scalar_tensor")) or not isinstance(value, int | float):
        return None
    constant = _Constant(float(value), qparams.scale, producer, producer.name)
    return constant if 0 < abs(value) < 1 and not _is_below_rounding(view, q, constant) else None


def _is_below_rounding(view: View, q: Node, constant: _Constant) -> bool:
    """Whether the constant is only added to what is rounded to larger steps: the epsilon of a batch_norm."""
    readers = [reader for dq in view.users(q) for reader in view.users(dq)]
    lost = abs(constant.stored - abs(constant.value))
    for reader in readers:
        results = [view.qparams(item) for item in view.out_q(reader)] if reader.kind in ("add", "sub") else []
        if not results or any(out is None or out.per_channel or lost > out.scale / 2 for out in results):
            return False
    return bool(readers)


def _factor(view: View, node: Node) -> _Constant | None:
    """A single stored number that a quantized tensor is multiplied by.

    No weight is read. Multiplying by a number scales the range of the tensor by it, so the two observed scales
    state its value; where the product shares a wider range with other tensors they only bound it from above.
    """
    if node.kind != "mul" or len(node.args) < 2:
        return None
    quantizers = view.out_q(node)
    out = view.qparams(quantizers[0]) if quantizers else None
    for position in (0, 1):
        stored, data = view.in_dq(node, position), view.in_qp(node, 1 - position)
        if stored is None or data is None or out is None:
            continue
        source, qparams = view.graph.node_of(stored.args[0]), view.qparams(stored)
        if source is None or source.op == "call" or source.meta is None or qparams is None or qparams.per_channel:
            continue
        if any(size != 1 for size in source.meta.shape) or qparams.scale not in OBSERVER_FLOORS:
            continue
        if out.scale < min(OBSERVER_FLOORS):
            continue  # written by hand: no observer gives it, and it tells nothing of the factor
        if data.per_channel or out.per_channel or data.scale <= 0 or (out.qmin, out.qmax) != (data.qmin, data.qmax):
            continue
        return _Constant(out.scale / data.scale, qparams.scale, node, source.name)
    return None
