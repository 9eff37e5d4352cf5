"""OP708: an op whose first operand is a single number, where the backend moves a permute onto the wrong operand."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.elementwise import (
    CHANNELS_LAST,
    LONGEST_CHAIN,
    has_one_operand,
    producer_of,
    readers_of,
    tensor_operand,
)
from fuseguard.backend.int32_rescales import COMPARISONS, SUMS
from fuseguard.backend.permute_moves import WITH_NUMBER, PermuteMoves
from fuseguard.backend.releases import MOVES_PERMUTES
from fuseguard.engine import Call, Effect, EffectRow, EffectsTable, Finding, Insert, Pair, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, Trait, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op708")

#: Of ARITHMETIC, the ops of two operands.
_BINARY = frozenset((*SUMS, "mul", "maximum", "minimum", *COMPARISONS, "ne"))
_MOVED = "PropagateViewCopyPermuteUpPass._move_node takes the first input, #22880"


class PermuteLandsOnScalar(Rule):
    code = "OP708"
    name = "permute-lands-on-scalar"
    summary = "The first operand of an op is a number (1 - x), and a permute or an op computed in NHWC is next to it."
    why = (
        "Since 1.5, PropagateViewCopyPermuteUpPass moves permutes, including those around convolutions and pools, "
        "through elementwise ops. It may move one through an op with two operands if one operand is a single number, "
        "which no permute changes. But it then puts the permute before the first operand, whichever that is. If the "
        "first operand is the number, the permute of the other one is lost: the elements come out in another order, "
        "or in a shape that the next op does not accept. 1 - x is such an op; x - 1 is not. Before that, "
        "PropagateViewCopyPermuteDownPass moves permutes down through elementwise ops, slices, and sums, products and "
        "concatenations of tensors that all have the same permute. If a permute has moved down past the op with the "
        "number and then past such a join, it does not move up again: (1 - conv(x)) + conv(y) is right, but 1 - "
        "(conv(x) + conv(y)) is not. A permute is removed before that if all that is computed from it ends in a view "
        "of one size at most, as (1 - conv(x)).mean((2, 3)) does in INT for a batch of 1. The edge dialect turns a "
        "log_sigmoid into minimum(0, x), which the backend delegates where floats are lowered."
    )
    remedy = (
        "Write the number second (-x + 1), let fuseguard keep the op on the CPU (guard), or repair the program: the "
        "repair expands the number to the tensor's shape, so that it is no longer a single number."
    )
    scope = "node"
    message = "{op} has the single number {number} as its first operand, and the permute {place} {layout} lands on it"
    effects = EffectsTable(
        [
            EffectRow("*", "<1.5", "*", Effect.EXACT, reference="permutes are not moved, before #20625"),
            EffectRow("made", "*", "INT", Effect.CPU_FALLBACK, reference="CheckProperQuantization"),
            EffectRow("made", ">=1.5", "*", Effect.CRASH, reference=_MOVED),
            EffectRow("order", ">=1.5", "*", Effect.WRONG, reference=_MOVED),
            EffectRow("joined", ">=1.5", "*", Effect.CRASH, reference=_MOVED),
            EffectRow("viewed", ">=1.5", "*", Effect.CRASH, reference="a view of the other shape"),
            EffectRow("shape", ">=1.5", "*", Effect.RUNTIME_FAULT, reference=_MOVED),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #20625", "executorch #22880")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if not MOVES_PERMUTES.in_force(target):
            return
        moves = PermuteMoves(view, target)
        for node in view.ops:
            made = node.kind == WITH_NUMBER
            number = None if made or not node.info.has(Trait.ARITHMETIC) else _leading_number(view, node)
            if number is None and not made:
                continue
            down, up = moves.down_to(node), moves.up_to(node)
            above, below = down.of if down is not None else None, up.of if up is not None else None
            if not made and above is not None and below is not None and {above.kind, below.kind} <= CHANNELS_LAST:
                continue  # their permutes cancel out before they are moved
            if above is not None and below is None and not moves.comes_back(node):
                continue  # it has moved down through an op of several operands, past which none moves up
            if not made and above is not None and below is None and moves.vanishes(node):
                continue  # its elements are read in any order
            layout = below or above
            if layout is None or (node.kind == "mul" and above is not None and _feeds(view, above, node)):
                continue  # a number times a convolution is folded into the convolution
            yield self.finding(
                view,
                target,
                (node,),
                case=_case(view, node, below),
                op=node.name,
                number="0" if number is None else number.name,
                place="before" if below is not None else "after",
                layout=layout.name,
            )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Expand the number to the shape of the op's result."""
        del target
        node = view.graph[finding.nodes[0]]
        if node.kind == WITH_NUMBER:
            return None  # the edge dialect makes the number, and there is nothing to expand
        data, qparams = view.in_dq(node, 0), view.in_qp(node, 0)
        shape = node.meta.shape if node.meta is not None else ()
        if data is None or qparams is None or not qparams.usable or not shape or None in shape:
            return None
        call = Call("aten.expand.default", (tuple(shape),))
        return Rewrite((Insert(data.name, (node.name,), (call, Pair(qparams))),))


def _leading_number(view: View, node: Node) -> Node | None:
    """The first operand if it is a single number of the second operand's rank, and a permute may reorder the second.

    It may if more than one of its sizes is not 1. Otherwise the elements stay in order, and the lost permute only
    changes the shape, as a view does. In an op of floats, for which this was not measured, the number is a constant
    without dimensions, which the backend gives the other operand's rank.
    """
    if node.kind not in _BINARY or len(node.args) < 2:
        return None
    first, second = (view.graph.node_of(arg) for arg in node.args[:2])
    if first is None or second is None or first.meta is None or second.meta is None:
        return None
    if not node.annotated and (first.meta.rank or not first.info.has(Trait.CONSTANT)):
        return None
    single = (
        (first.meta.rank == second.meta.rank or not node.annotated)
        and second.meta.rank > 1
        and all(size == 1 for size in first.meta.shape)
    )
    fewest = 2 if node.annotated else 1
    return first if single and sum(size != 1 for size in second.meta.shape) >= fewest else None


def _feeds(view: View, producer: Node, node: Node) -> bool:
    operand = tensor_operand(view, node)
    return producer.kind == "conv" and operand is not None and producer_of(view, operand) is producer


def _case(view: View, node: Node, below: Node | None) -> str:
    """What becomes of a result whose elements are in another order, and whose shape is another one.

    ``made``: an op of floats whose shape does not fit, so that the lowering itself fails. ``joined``: an op that joins
    the result with tensors of the right shape. ``viewed``: a sum of it loses dimensions. ``shape``: an op that insists
    on the shape. Else ``order``.
    """
    if node.kind == WITH_NUMBER and not node.annotated:
        return "made"
    if node.kind == WITH_NUMBER or (below is not None and below.kind != "permute"):
        return "shape"
    readers = [] if below is not None else [item for item in readers_of(view, node) if item.op == "call"]
    if not node.annotated:
        return "made" if any(_joins(view, reader) for reader in readers) else "order"
    if any(_joins(view, reader) for reader in readers):
        return "joined" if _changes(node) else "order"
    if any(_sums_and_views(view, reader) for reader in readers):
        return "viewed"
    return "shape" if any(_insists(reader) for reader in readers) else "order"


def _joins(view: View, reader: Node) -> bool:
    return not has_one_operand(view, reader) and len(view.graph.inputs(reader)) > 1 and not reader.info.has(Trait.MAC)


def _insists(reader: Node) -> bool:
    return reader.kind in ("conv", "sum", "slice", "split", "chunk")


def _sums_and_views(view: View, reader: Node) -> bool:
    """Whether a sum of the result, perhaps through ops of one tensor, loses dimensions, right away or by a view."""
    summed = False
    node: Node | None = reader
    for _ in range(LONGEST_CHAIN):
        if node is None or node.op != "call":
            return False
        if summed and node.kind in ("view", "squeeze"):
            return True
        if node.kind == "sum":
            summed = True
            if node.arg(2, "keepdim", False) is not True:
                return True
        elif not has_one_operand(view, node):
            return False
        readers = readers_of(view, node)
        node = readers[0] if len(readers) == 1 else None
    return False


def _changes(node: Node) -> bool:
    """Whether a shape is another one in NHWC; where a permute makes another order, too."""
    shape = node.meta.shape if node.meta is not None else ()
    return (*shape[:1], *shape[2:], *shape[1:2]) != shape
