"""OP709: a sum or mean over a dimension that a view has just merged from several, on ExecuTorch 1.4."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from math import prod
from operator import mul

from fuseguard.backend.elementwise import LONGEST_CHAIN, has_one_operand, producer_of, readers_of, tensor_operand
from fuseguard.backend.merged_duplicates import numbers_of
from fuseguard.backend.releases import MOVES_VIEWS_PAST_REDUCTIONS
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Arg, Node, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op709")

_REDUCTIONS = ("sum", "mean")
_MOVED = "PropagateViewCopyPermutePass swaps view and sum and keeps the dimension's number"


class SumOverMergedDims(Rule):
    code = "OP709"
    name = "sum-over-merged-dims"
    summary = "A sum or mean reduces a dimension that a view directly before it merges from several."
    why = (
        "PropagateViewCopyPermutePass of ExecuTorch 1.4 moves views past sums. If the view merges dimensions, as "
        "flatten(2) does, and the sum reduces the merged one, the sum that is left before the view reduces only one of "
        "them: the other rows are silently dropped. A mean is lowered as a sum and a multiplication. A view with other "
        "readers stays where it is. 1.3 moves no views, and 1.5 takes into account what they merge. The program is not "
        "at fault, so the rule reports nothing for other releases."
    )
    remedy = (
        "Reduce the dimensions as they are (x.mean((2, 3)) instead of x.flatten(2).mean(-1)), upgrade ExecuTorch, or "
        "let fuseguard keep the reduction on the CPU (guard)."
    )
    scope = "node"
    message = "{op} reduces dimension {dim}, which {reshape} has merged from several just before"
    effects = EffectsTable(
        [
            EffectRow("*", "<1.4", "*", Effect.EXACT, reference="views are not moved past sums"),
            EffectRow("*", MOVES_VIEWS_PAST_REDUCTIONS.releases, "*", Effect.WRONG, reference=_MOVED),
            EffectRow("*", ">=1.5", "*", Effect.EXACT, reference="PropagateViewCopyPermutePass._maybe_swap_view_args"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #20625",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if not MOVES_VIEWS_PAST_REDUCTIONS.in_force(target):
            return
        for node in view.of_kind(*_REDUCTIONS):
            if not node.annotated:
                continue
            views = _views_before(view, node)
            dim = _merged_dim(view, views, node) if views else None
            if dim is not None:
                yield self.finding(view, target, (node,), case="*", op=node.name, dim=dim, reshape=views[-1].name)


def _views_before(view: View, node: Node) -> list[Node]:
    """The chain of views that only the node reads, nearest first, with elementwise ops on one tensor between them."""
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
    """Whether only ``node``, and ops merged with it, read the result: otherwise, no view is moved past them."""
    alike = numbers_of(view).alike
    return all(
        reader is node or alike.get(reader.name, reader) == alike.get(node.name)
        for reader in readers_of(view, producer)
    )


def _merged_dim(view: View, views: list[Node], node: Node) -> int | None:
    """The first dimension reduced by ``node`` that ``views`` merge from several larger than one."""
    source = view.producer(views[-1])
    if source is None or source.meta is None or views[0].meta is None:
        return None
    before = [size or 0 for size in source.meta.shape]
    after = [size or 0 for size in views[0].meta.shape]
    for dim in _dims(node.arg(1, "dim"), len(after)):
        # A merged dimension begins and ends where dimensions did before, with more than one of size between.
        start, end = prod(after[:dim]), prod(after[: dim + 1])
        inside = [size for size, after in zip(before, accumulate(before, mul), strict=True) if start < after <= end]
        if sum(size != 1 for size in inside) > 1:
            return dim
    return None


def _dims(dim: Arg, rank: int) -> tuple[int, ...]:
    dims = dim if isinstance(dim, tuple) else (dim,)
    found = tuple(item % rank for item in dims if isinstance(item, int))
    return found or tuple(range(rank))
