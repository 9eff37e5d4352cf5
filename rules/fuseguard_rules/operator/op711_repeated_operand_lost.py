"""OP711: a cat that joins a tensor with itself, of which the backend keeps one copy when it moves a permute past it."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.elementwise import CHANNELS_LAST, LONGEST_CHAIN, has_one_operand, readers_of
from fuseguard.backend.merged_duplicates import numbers_of
from fuseguard.backend.releases import MOVES_PERMUTES_BEFORE_CATS, MOVES_VIEWS_OF_CONV1D
from fuseguard.engine import Call, Effect, EffectRow, EffectsTable, Finding, Replace, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Arg, Node, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op711")

_MOVED = "PropagateViewCopyPermuteUpPass._maybe_split_upwards_cat_fanout: all_input_nodes names each input once"
#: The permute before an op that the backend computes in NHWC, by rank.
_NHWC = {3: (0, 2, 1), 4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}


class RepeatedOperandLost(Rule):
    code = "OP711"
    name = "repeated-operand-lost"
    summary = "A cat joins a one-channel tensor with itself (grey to RGB) before a convolution, pool or permute."
    why = (
        "Since 1.4, PropagateViewCopyPermuteUpPass moves the permute before a convolution or pool past a cat if the "
        "permute changes the order of no element in the cat's inputs. This is so if the inputs have one channel. The "
        "pass builds the new cat from node.all_input_nodes, which names every input once: cat([x, x, x]) becomes "
        "cat([x]). A convolution then reads weights that are not there, and a pool or permute returns a tensor that "
        "is too small. Equal operands that are computed twice are merged earlier and lost in the same way."
    )
    remedy = (
        "Write x.repeat(1, 3, 1, 1) or x.expand(-1, 3, -1, -1), which the repair does if all operands are the same, or "
        "let fuseguard keep the cat on the CPU (guard)."
    )
    scope = "node"
    message = "{op} joins {operand} with itself; the permute of {reader} moves past it, and only one copy is joined"
    effects = EffectsTable(
        [
            EffectRow("*", "<1.4", "*", Effect.EXACT, reference="permutes are not moved past a cat"),
            EffectRow("3d", ">=1.4,<1.5", "*", Effect.EXACT, reference="convolutions of rank 3 put a view between"),
            EffectRow("3d", ">=1.5", "*", Effect.CRASH, reference=_MOVED),
            EffectRow("*", ">=1.4", "*", Effect.RUNTIME_FAULT, reference=_MOVED),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #20625",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if not MOVES_PERMUTES_BEFORE_CATS.in_force(target):
            return
        for node in view.of_kind("cat"):
            if not node.annotated:
                continue
            operand = _repeated(view, node)
            reader = _reader(view, node) if operand is not None else None
            if operand is None or reader is None:
                continue
            flat = reader.kind == "conv" and node.meta is not None and node.meta.rank == 3
            if flat and not MOVES_VIEWS_OF_CONV1D.in_force(target):
                continue
            yield self.finding(
                view,
                target,
                (node,),
                case="3d" if flat else "*",
                op=node.name,
                operand=operand.name,
                reader=reader.name,
            )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Replace a cat whose operands are all the same with a repeat."""
        del target
        node = view.graph[finding.nodes[0]]
        operands = [view.graph.node_of(arg) for arg in _operands(node)]
        numbers = {numbers_of(view).number(item) for item in operands if item is not None}
        first, dim = operands[0], _dim(node)
        if len(numbers) != 1 or first is None or node.meta is None or dim is None or not view.is_dq(first):
            return None
        repeats = tuple(len(operands) if axis == dim else 1 for axis in range(node.meta.rank))
        return Rewrite((Replace(node.name, first.name, (Call("aten.repeat.default", (repeats,)),)),))


def _operands(node: Node) -> tuple[Arg, ...]:
    members = node.arg(0, "tensors", ())
    return members if isinstance(members, tuple) else ()


def _dim(node: Node) -> int | None:
    dim, rank = node.arg(1, "dim", 0), node.meta.rank if node.meta is not None else 0
    return dim % rank if isinstance(dim, int) and rank else None


def _repeated(view: View, cat: Node) -> Node | None:
    """An operand that the cat has twice, or an equal one."""
    seen: set[int] = set()
    for operand in map(view.graph.node_of, _operands(cat)):
        if operand is None:
            return None
        number = numbers_of(view).number(operand)
        if number in seen:
            return operand
        seen.add(number)
    return None


def _reader(view: View, cat: Node) -> Node | None:
    """The op whose permute moves past the cat: the permute changes the cat but none of its operands."""
    layouts = _layouts_after(view, cat)
    if not layouts or cat.meta is None:
        return None
    reader, permutation = layouts[0]
    shapes = [item.meta.shape for arg in _operands(cat) if (item := view.graph.node_of(arg)) and item.meta]
    if any(other != permutation for _, other in layouts) or len(permutation) != cat.meta.rank:
        return None
    unchanged = all(_keeps_order(shape, permutation) for shape in shapes)
    return reader if unchanged and not _keeps_order(cat.meta.shape, permutation) else None


def _layouts_after(view: View, node: Node) -> list[tuple[Node, tuple[int, ...]]]:
    """The permutes of all readers of ``node``, past elementwise ops on one tensor; empty if it has other readers."""
    for _ in range(LONGEST_CHAIN):
        readers = readers_of(view, node)
        layouts = [(reader, permutation) for reader in readers if (permutation := _permutation(reader))]
        if len(layouts) == len(readers):
            return layouts
        if len(readers) != 1 or not has_one_operand(view, readers[0]):
            return []
        node = readers[0]
    return []


def _permutation(reader: Node) -> tuple[int, ...]:
    """How the backend permutes what ``reader`` reads; () if it does not."""
    if reader.kind == "permute":
        dims = reader.arg(1, "dims", ())
        rank = len(dims) if isinstance(dims, tuple) else 0
        return tuple(dim % rank for dim in dims if isinstance(dim, int)) if isinstance(dims, tuple) else ()
    rank = reader.meta.rank if reader.meta is not None else 0
    return _NHWC.get(rank, ()) if reader.op == "call" and reader.kind in CHANNELS_LAST else ()


def _keeps_order(shape: tuple[int | None, ...], permutation: tuple[int, ...]) -> bool:
    """Whether a permutation moves only dimensions of size one."""
    axes = [axis for axis in permutation if axis < len(shape) and shape[axis] != 1]
    return axes == sorted(axes)
