"""Which values get a dimension too many in a delegate, and which ops cannot take them.

Source: ``DecomposeQuantNodesPass`` and ``DecomposeRoundPass`` of ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1. In a
delegate with float support, the first replaces a quantize op of floats by arithmetic with a ``round``. The second
compares what is rounded with a zero of shape (1,), so that the result of a value of rank 0 has rank 1. Where a view of
the other operand moves past arithmetic before that (:mod:`fuseguard.backend.fuse_identical_inputs`), the view states
the shape that the program has.

Rules that depend on it: OP720.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from fuseguard.backend.fuse_identical_inputs import passed_by_views
from fuseguard.backend.int64_results import stays_for_int64
from fuseguard.backend.partition import stays_outside
from fuseguard.backend.per_view import once_per_view
from fuseguard.ir import Node, Trait, View
from fuseguard.ir.ops import CASTS
from fuseguard.target import Target

#: Elementwise ops that none of the traits stands for: the result has the rank of the operand that has most.
_BY_ELEMENT = frozenset((
    "clone", "copy", "div", "logical_and", "logical_not", "logical_or", "logical_xor", "bitwise_and", "bitwise_not",
    "bitwise_or", "bitwise_xor", "masked_fill", "neg", "square", "where", "getitem", "addcdiv", "addcmul", "hardshrink",
    "isinf", "isnan", "lerp", "log_sigmoid", "mish", "softplus", "softshrink", "threshold", *CASTS,
))  # fmt: skip
_NOT_FLOAT = Trait.GETITEM | Trait.CONSTANT | Trait.CONTROL_FLOW
_ELEMENTWISE = Trait.UNARY | Trait.ACTIVATION | Trait.ARITHMETIC
#: Their result has the shape that they are given, whatever their operand's.
_SHAPED = frozenset(("view", "full"))
#: They need an operand of at most as many dimensions as their result has.
_SPREAD = frozenset(("expand", "repeat"))
_JOINS = Trait.LIST_INPUT


class Misfit(NamedTuple):
    """An op in a delegate, those of its operands that have a dimension too many, and what gave it to them."""

    op: Node
    operands: tuple[Node, ...]
    sources: tuple[Node, ...]


def misfits(view: View, target: Target, refused: frozenset[str] = frozenset()) -> Iterator[Misfit]:
    """The ops that cannot take an operand that has a dimension too many. Without float support they are the same ones,
    although the quantize op stays on the CPU.

    ``refused`` are names of nodes that stay on the CPU whatever they are.
    """
    extra: dict[str, tuple[Node, ...]] = {}
    for node in view.calls():
        if node.name in refused or not (extra or (node.meta is not None and node.meta.rank == 0)):
            continue
        if _is_source(view, target, node, refused):
            extra[node.name] = (node,)
        if not extra or node.name in extra:
            continue
        operands = tuple(item for item in view.graph.inputs(node) if item.name in extra)
        if not operands or _stays(view, target, node):
            continue
        if _fails(view, node, operands):
            yield Misfit(node, operands, _sources(operands, extra))
        elif _hands_on(view, node, extra) and node.name not in passed_by_views(view, target):
            extra[node.name] = _sources(operands, extra)


@once_per_view
def misfits_by_source(view: View, target: Target) -> Mapping[str, tuple[Misfit, ...]]:
    """The same, with nothing refused, by the name of what gave the dimension."""
    found: dict[str, list[Misfit]] = {}
    for misfit in misfits(view, target):
        for source in misfit.sources:
            found.setdefault(source.name, []).append(misfit)
    return {name: tuple(items) for name, items in found.items()}


def _is_source(view: View, target: Target, node: Node, refused: frozenset[str]) -> bool:
    """Whether a node rounds a float of rank 0 in float: a quantize op of one, or a round that is not annotated."""
    if node.meta is None or node.meta.rank != 0:
        return False
    if node.kind == "round":
        return target.has_float and not node.annotated
    producer = view.producer(node) if view.is_q(node) else None
    if producer is None or view.is_dq(producer):
        return False
    if producer.op != "call" or producer.name in refused:
        return True
    return not producer.annotated and not producer.info.has(_NOT_FLOAT)


def _sources(operands: tuple[Node, ...], extra: Mapping[str, tuple[Node, ...]]) -> tuple[Node, ...]:
    if len(operands) == 1:
        return extra[operands[0].name]
    return tuple({source.name: source for item in operands for source in extra[item.name]}.values())


def _stays(view: View, target: Target, node: Node) -> bool:
    return stays_outside(view, node, target) or stays_for_int64(view, target, node)


def _fails(view: View, node: Node, operands: tuple[Node, ...]) -> bool:
    """Whether an op goes by the dimensions of an operand that has one too many."""
    if node.kind in _SPREAD:
        return any(_rank(item) + 1 > _rank(node) for item in operands)
    if node.info.has(_JOINS):
        joined = view.graph.inputs(node)
        shapes = {item.meta.shape for item in joined if item.meta is not None}
        return len(operands) < len(joined) or len(shapes) > 1
    return not (_is_elementwise(view, node) or node.kind in _SHAPED or node.kind in ("unsqueeze", "squeeze"))


def _hands_on(view: View, node: Node, extra: Mapping[str, tuple[Node, ...]]) -> bool:
    """Whether the result has a dimension too many as well."""
    if node.kind in _SHAPED or node.kind in _SPREAD:
        return False
    ranks = [_rank(item) + (item.name in extra) for item in view.graph.inputs(node)]
    return not _is_elementwise(view, node) or max(ranks) > _rank(node)


def _is_elementwise(view: View, node: Node) -> bool:
    if view.is_q(node) or view.is_dq(node):
        return True
    return node.kind != "sum" and (node.info.has(_ELEMENTWISE) or node.kind in _BY_ELEMENT)


def _rank(node: Node) -> int:
    return node.meta.rank if node.meta is not None else 0
