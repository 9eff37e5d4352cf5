"""OP709: a sum or mean over a dimension that a view has just merged from several, on ExecuTorch 1.4."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate
from math import prod
from operator import mul
from typing import TYPE_CHECKING

from fuseguard.backend.elementwise import LONGEST_CHAIN, has_one_operand, producer_of, readers_of, tensor_operand
from fuseguard.backend.merged_duplicates import numbers_of
from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rule
from fuseguard.ir import Arg, Graph, Node, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target

if TYPE_CHECKING:
    import torch

#: The release whose PropagateViewCopyPermutePass moves a view past a reduction without minding what it merged.
MOVES_ON = ">=1.4,<1.5"

_REDUCTIONS = ("sum", "mean")
_MOVED = "PropagateViewCopyPermutePass swaps view and sum and keeps the dimension's number"
_SHAPE, _FLAT = (1, 4, 6, 6), (1, 4, 36)


def _graph(dim: int, *between: str) -> Callable[[], Graph]:
    """A view that merges height and width, perhaps an op, and a reduction over ``dim``."""

    def build() -> Graph:
        b = GraphBuilder()
        qparams = int8(0.0487, 3)
        value = b.quantized_input("x", _SHAPE, qparams)
        value = b.requantize(b.call("aten.view.default", value, _FLAT, shape=_FLAT), qparams)
        for target in between:
            further = (b.quantized_input("y", _FLAT, qparams),) if "add" in target else ()
            # An abs with room for all that it yields: nothing saturates between it and the sum.
            qparams = int8(0.0487, -128) if "abs" in target else qparams
            value = b.requantize(b.call(target, value, *further, shape=_FLAT), qparams)
        shape = tuple(size for axis, size in enumerate(_FLAT) if axis != dim)
        return b.output(b.requantize(b.call("aten.sum.dim_IntList", value, (dim,), shape=shape), int8(0.3019, -7)))

    return build


def _shared() -> Graph:
    """What is flattened is read by its sum and by a subtraction, as in a group_norm."""
    b = GraphBuilder()
    qparams, sums = int8(0.0487, 3), int8(0.3019, -7)
    x = b.quantized_input("x", _SHAPE, qparams)
    flat = b.quantize(b.call("aten.view.default", x, _FLAT, shape=_FLAT), qparams)
    read = b.dequantize(flat, qparams)
    total = b.requantize(b.call("aten.sum.dim_IntList", read, (2,), True, shape=(1, 4, 1)), sums)
    difference = b.call("aten.sub.Tensor", b.dequantize(flat, qparams), total, shape=_FLAT)
    return b.output(b.requantize(difference, int8(0.3471, 5)))


def _program() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.operator.modules import mean_of_flattened

    return mean_of_flattened()


class SumOverMergedDims(Rule):
    code = "OP709"
    name = "sum-over-merged-dims"
    summary = "A sum or mean goes over a dimension that a view right in front of it merges from several."
    why = (
        "PropagateViewCopyPermutePass of ExecuTorch 1.4 moves views past sums. Where the view merges dimensions, as "
        "flatten(2) does, and the sum goes over the merged one, the sum that is left in front of the view goes over "
        "one of them only: the other rows are dropped without a word. A mean is lowered as a sum and a "
        "multiplication. A view that anything else reads stays where it is. 1.3 moves no views, and 1.5 minds what "
        "they merge. Nothing in the program is at fault, so other releases are not warned about it."
    )
    remedy = (
        "Sum over the dimensions as they are (x.mean((2, 3)) in place of x.flatten(2).mean(-1)), upgrade ExecuTorch, "
        "or let fuseguard keep the reduction on the CPU (guard)."
    )
    scope = "node"
    message = "{op} goes over dimension {dim}, which {reshape} has merged from several just before"
    effects = EffectsTable(
        [
            EffectRow("*", "<1.4", "*", Effect.EXACT, reference="views are not moved past sums"),
            EffectRow("*", MOVES_ON, "*", Effect.WRONG, reference=_MOVED),
            EffectRow("*", ">=1.5", "*", Effect.EXACT, reference="PropagateViewCopyPermutePass._maybe_swap_view_args"),
        ]
    )
    bad = (
        Example("sum over flattened height and width", _graph(2), _program, only_on=MOVES_ON),
        Example("sum over an abs of them", _graph(2, "aten.abs.default"), only_on=MOVES_ON),
    )
    good = (
        Example("sum over another dimension", _graph(1)),
        Example("an addition between view and sum", _graph(2, "aten.add.Tensor")),
        Example("a view that a subtraction reads too", _shared),
    )
    references = ("executorch #20625",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if not target.release_in(MOVES_ON):
            return
        for node in view.ops:
            if node.kind not in _REDUCTIONS or not node.annotated:
                continue
            views = _views_before(view, node)
            dim = _merged_dim(view, views, node) if views else None
            if dim is not None:
                yield self.finding(view, target, (node,), case="*", op=node.name, dim=dim, reshape=views[-1].name)


def _views_before(view: View, node: Node) -> list[Node]:
    """The views that the node alone reads through one another, nearest first, elementwise ops on one tensor between
    them.
    """
    found: list[Node] = []
    current = node
    for _ in range(LONGEST_CHAIN):
        operand = tensor_operand(view, current)
        producer = producer_of(view, operand) if operand is not None else None
        if producer is None or not producer.annotated or not _reads_alone(view, current, producer):
            break
        if producer.kind == "view":
            found.append(producer)
        elif not has_one_operand(view, producer):
            break
        current = producer
    return found


def _reads_alone(view: View, node: Node, producer: Node) -> bool:
    """Whether nothing but ``node``, and what is merged with it, reads the result: else no view is moved past them."""
    described = numbers_of(view).described
    return all(
        reader is node or described.get(reader.name, reader) == described.get(node.name)
        for reader in readers_of(view, producer)
    )


def _merged_dim(view: View, views: list[Node], node: Node) -> int | None:
    """The first dimension reduced by ``node`` that ``views`` make of several larger than one."""
    source = view.graph.node_of(views[-1].args[0])
    if source is None or source.meta is None or views[0].meta is None:
        return None
    before = [size or 0 for size in source.meta.shape]
    after = [size or 0 for size in views[0].meta.shape]
    for dim in _dims(node.arg(1, "dim"), len(after)):
        # A merged dimension begins and ends where dimensions did before, with more than one of size between.
        start, end = prod(after[:dim]), prod(after[: dim + 1])
        inside = [size for size, behind in zip(before, accumulate(before, mul), strict=True) if start < behind <= end]
        if sum(size != 1 for size in inside) > 1:
            return dim
    return None


def _dims(dim: Arg, rank: int) -> tuple[int, ...]:
    dims = dim if isinstance(dim, tuple) else (dim,)
    found = tuple(item % rank for item in dims if isinstance(item, int))
    return found or tuple(range(rank))
