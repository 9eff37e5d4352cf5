"""OP708: an op whose first operand is a single number, where the backend moves a permute onto the wrong operand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fuseguard.backend.elementwise import (
    CHANNELS_LAST,
    has_one_operand,
    producer_of,
    readers_of,
    tensor_operand,
)
from fuseguard.backend.permute_moves import moved_down_to, moved_up_to
from fuseguard.engine import Call, Effect, EffectRow, EffectsTable, Example, Finding, Insert, Pair, Rewrite, Rule
from fuseguard.ir import Graph, Node, Trait, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target

if TYPE_CHECKING:
    import torch

#: From here on permutes are moved through elementwise ops (#20625); mended after 1.5.1 (#22880).
MOVES_FROM = ">=1.5"

_BINARY = frozenset({"add", "sub", "mul", "eq", "ge", "gt", "le", "lt", "ne"})
_MOVED = "PropagateViewCopyPermuteUpPass._move_node takes the first input, #22880"
_SHAPE, _ONE = (1, 4, 6, 8), (1, 1, 1, 1)


def _graph(*ops: str, first: bool = True) -> Callable[[], Graph]:
    """Ops in a row; ``sub`` subtracts from a constant, or the constant from the value unless ``first``."""

    def build() -> Graph:
        b = GraphBuilder()
        qparams = int8(0.0487, 3)
        value, shape = b.quantized_input("x", _SHAPE, qparams), _SHAPE
        for number, op in enumerate(ops):
            if op == "conv":
                weight = b.quantized_constant(f"weight_{number}", (shape[1], shape[1], 1, 1), 0.0103)
                made = b.call("aten.conv2d.default", value, weight, None, shape=shape)
            elif op == "permute":
                shape = (shape[0], shape[2], shape[3], shape[1])
                made = b.call("aten.permute.default", value, (0, 2, 3, 1), shape=shape)
            else:
                constant = b.dequantize(b.constant(f"number_{number}", _ONE), int8(0.0079))
                operands = (constant, value) if first else (value, constant)
                made = b.call("aten.sub.Tensor", *operands, shape=shape)
            value = b.requantize(made, qparams)
        return b.output(value)

    return build


def _beside(*ops: str) -> Callable[[], Graph]:
    """A convolution that is subtracted from a number, and beside it read by ``ops`` in a row."""

    def build() -> Graph:
        b = GraphBuilder()
        qparams, shape = int8(0.0487, 3), (1, 4, 6, 8)
        weight = b.quantized_constant("weight", (4, 4, 1, 1), 0.0103)
        x = b.quantized_input("x", shape, qparams)
        codes = b.quantize(b.call("aten.conv2d.default", x, weight, None, shape=shape), qparams)
        number = b.dequantize(b.constant("number", _ONE), int8(0.0079))
        rest = b.requantize(b.call("aten.sub.Tensor", number, b.dequantize(codes, qparams), shape=shape), qparams)
        value = b.dequantize(codes, qparams)
        for op in ops:
            if op == "pad":
                shape = (1, 4, shape[2] + 2, shape[3] + 2)
                value = b.call("aten.pad.default", value, (1, 1, 1, 1), "constant", 0.0, shape=shape)
            else:
                shape = (1, 4, shape[2] // 2, shape[3] // 2)
                value = b.call("aten.avg_pool2d.default", value, (2, 2), (2, 2), shape=shape)
            value = b.requantize(value, qparams)
        return b.output(rest, value)

    return build


def _program() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.operator.modules import conv_subtracted_from_one

    return conv_subtracted_from_one()


class PermuteLandsOnScalar(Rule):
    code = "OP708"
    name = "permute-lands-on-scalar"
    summary = "A number comes first in an op (1 - x) next to a permute or to what is computed in NHWC."
    why = (
        "Since 1.5 PropagateViewCopyPermuteUpPass moves permutes, also those around convolutions and pools, through "
        "elementwise ops. Through an op of two operands it may when one of them is a single number, which no permute "
        "changes; but then it puts the permute in front of the first operand, whichever that is. Where the first one "
        "is the number, the permute of the other is lost: the elements come out in another order, or in a shape that "
        "the next op does not take. 1 - x is such an op, x - 1 is not."
    )
    remedy = (
        "Write the number second (-x + 1), let fuseguard keep the op on the CPU (guard), or repair the program: the "
        "number expanded to the tensor's shape is no single number any more."
    )
    scope = "node"
    message = "{op} has the single number {number} as its first operand, and the permute {place} {layout} lands on it"
    effects = EffectsTable(
        [
            EffectRow("*", "<1.5", "*", Effect.EXACT, reference="permutes are not moved, before #20625"),
            EffectRow("order", ">=1.5", "*", Effect.WRONG, reference=_MOVED),
            EffectRow("shape", ">=1.5", "*", Effect.RUNTIME_FAULT, reference=_MOVED),
        ]
    )
    bad = (
        Example("conv2d subtracted from a number", _graph("conv", "sub"), _program, only_on=MOVES_FROM),
        Example("permute of 1 - x", _graph("sub", "permute"), only_on=MOVES_FROM),
        Example("conv2d of 1 - x", _graph("sub", "conv"), only_on=MOVES_FROM),
        Example("conv2d subtracted from a number, and padded for a pool", _beside("pad", "pool"), only_on=MOVES_FROM),
    )
    good = (
        Example("1 - x alone", _graph("sub")),
        Example("conv2d less a number", _graph("conv", "sub", first=False)),
        Example("1 - x between two convolutions", _graph("conv", "sub", "conv")),
        Example("conv2d subtracted from a number, and padded alone", _beside("pad")),
        Example("conv2d subtracted from a number, and pooled", _beside("pool")),
    )
    references = ("executorch #20625", "executorch #22880")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if not target.release_in(MOVES_FROM):
            return
        for node in view.calls(Trait.RESCALED):
            number = _leading_number(view, node)
            if number is None:
                continue
            above, below = moved_down_to(view, node, target), moved_up_to(view, node)
            if above is not None and below is not None and {above.kind, below.kind} <= CHANNELS_LAST:
                continue  # their permutes cancel out before they are moved
            layout = below or above
            if layout is None or (node.kind == "mul" and above is not None and _feeds(view, above, node)):
                continue  # a number times a convolution is folded into the convolution
            yield self.finding(
                view,
                target,
                (node,),
                case="shape" if _shape_matters(view, node, below) else "order",
                op=node.name,
                number=number.name,
                place="in front of" if below is not None else "behind",
                layout=layout.name,
            )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Expands the number to the shape of the op's result."""
        del target
        node = view.graph[finding.nodes[0]]
        data, qparams = view.in_dq(node, 0), view.in_qp(node, 0)
        shape = node.meta.shape if node.meta is not None else ()
        if data is None or qparams is None or qparams.per_channel or not shape or None in shape:
            return None
        call = Call("aten.expand.default", (tuple(shape),))
        return Rewrite((Insert(data.name, (node.name,), (call, Pair(qparams))),))


def _leading_number(view: View, node: Node) -> Node | None:
    """The first operand if it is a single number of the second operand's rank, and the second is a tensor of more."""
    if node.kind not in _BINARY or not node.annotated or len(node.args) < 2:
        return None
    first, second = (view.graph.node_of(arg) for arg in node.args[:2])
    if first is None or second is None or first.meta is None or second.meta is None:
        return None
    single = first.meta.rank == second.meta.rank > 1 and all(size == 1 for size in first.meta.shape)
    return first if single and any(size != 1 for size in second.meta.shape) else None


def _feeds(view: View, producer: Node, node: Node) -> bool:
    operand = tensor_operand(view, node)
    return producer.kind == "conv" and operand is not None and producer_of(view, operand) is producer


def _shape_matters(view: View, node: Node, below: Node | None) -> bool:
    """Whether an op that insists on shapes reads the result: one in NHWC, or one that joins it with other tensors."""
    if below is not None:
        return below.kind != "permute"
    return any(
        reader.op == "call" and not has_one_operand(view, reader) and len(view.graph.inputs(reader)) > 1
        and not reader.info.has(Trait.MAC)
        for reader in readers_of(view, node)
    )  # fmt: skip
