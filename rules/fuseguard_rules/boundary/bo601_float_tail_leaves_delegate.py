"""BO601: an INT delegate hands out codes where the program around it expects floats."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.partition import CpuReach, is_quantized_split, stays_on_cpu_with_float
from fuseguard.engine import Call, Effect, EffectRow, EffectsTable, Finding, Pair, Replace, Rewrite, Rule
from fuseguard.ir import Node, Trait, View
from fuseguard.ir.graph import Arg
from fuseguard.target import Target
from fuseguard_rules.examples.boundary import bo601 as examples

_DETAG = "TOSAPartitioner._detag_boundary_nodes, #22966"
_LOWERED = "what is left in float is lowered, and Q and DQ with it"
_FOLDED = "FoldAndAnnotateQParamsPass folds the split's DQ; its partition ends before the half's Q"


class FloatTailLeavesDelegate(Rule):
    code = "BO601"
    name = "float-tail-leaves-delegate"
    summary = "A split feeds both the CPU and the accelerator, and one half leaves an INT delegate as bare codes."
    why = (
        "The halves of a split are quantized one by one, behind it. If one half goes through an op that stays on the "
        "CPU and comes back, the other half's quantize op falls into the partition behind, so the split's own "
        "partition ends in a float value. TOSAPartitioner._detag_boundary_nodes takes a quantize op off the entry of "
        "an INT partition and a dequantize op off its exit, but not such a tail: the delegate yields int8 where the "
        "program expects float32. A device refuses it or reads garbage (executorch #19364). Fixed after 1.5.1 by "
        "#22966. With float support the same comes of an op that the backend does not know; what is merely left in "
        "float is delegated, and the split stays whole."
    )
    remedy = (
        "Let fuseguard put slices in place of the split, each with dequantize and quantize ops of its own (repair), "
        "keep the split off the accelerator (guard), or quantize the block between."
    )
    scope = "boundary"
    message = "{op}: {kept} stays on the accelerator and {left} goes through {cpu}, which does not, and comes back"
    effects = EffectsTable(
        [
            EffectRow("*", "*", "INT", Effect.RUNTIME_FAULT, reference=_DETAG),
            EffectRow("unknown", "*", "INT+FP", Effect.RUNTIME_FAULT, reference=_FOLDED),
            EffectRow("float", "*", "INT+FP", Effect.EXACT, reference=_LOWERED),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #19364", "executorch #22966", "executorch #18191")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        reach: CpuReach | None = None
        for node, kept, left, cpu in _torn(view, target):
            reach = reach or CpuReach(view, target, stays=stays_on_cpu_with_float)
            yield self.finding(
                view,
                target,
                (node, *view.users(node)),
                case="float" if _halves(view, node, reach) is None else "unknown",
                op=node.name,
                kept=kept.name,
                left=left.name,
                cpu=cpu.name,
            )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Cuts each part out by an op of its own, in the split's domain and ending in a Q there.

        With a dequantize op of its own as well: one that parts shared would be de-tagged, since the parts are in two
        partitions, and the slices behind it with it.
        """
        del target
        split = view.graph[finding.nodes[0]]
        source = view.in_dq(split, 0)
        qparams = view.qparams(source) if source is not None else None
        if source is None or qparams is None or not qparams.usable:
            return None
        edits = []
        for part in view.graph.users(split):
            cut = _cut(split, source, part.arg(1, "index"))
            if cut is None:
                return None
            ends_in_q = all(view.is_q(user) for user in view.users(part))
            edits.append(Replace(part.name, source.name, (cut,) if ends_in_q else (cut, Pair(qparams))))
        return Rewrite(tuple(edits))

    def exposed(self, view: View, target: Target, refused: frozenset[str]) -> Iterator[tuple[Node, Node]]:
        """Splits of which one part goes through the CPU only since something on its way is refused."""
        for node, _, _, cpu in _torn(view, target, refused):
            if cpu.name in refused:
                yield from ((item, cpu) for item in (node, *view.users(node)))


def _torn(view: View, target: Target, refused: frozenset[str] = frozenset()) -> Iterator[tuple[Node, Node, Node, Node]]:
    """Splits with a part that stays on the accelerator, one that leaves it and comes back, and the CPU's first op."""
    splits = [node for node in view.calls(Trait.MULTI_OUTPUT) if is_quantized_split(view, node)]
    if not splits:
        return
    reach = CpuReach(view, target, refused)
    for node in splits:
        halves = _halves(view, node, reach)
        if halves is not None:
            yield node, *halves, reach.through[halves[1].name]


def _halves(view: View, split: Node, reach: CpuReach) -> tuple[Node, Node] | None:
    """A part that stays on the accelerator and one that leaves it and comes back; None if there are not both."""
    parts = [part for part in view.users(split) if view.out_q(part)]
    left = next((part for part in parts if part.name in reach.through), None)
    kept = next((part for part in parts if part.name not in reach.through), None)
    return (kept, left) if left is not None and kept is not None else None


def _cut(split: Node, source: Node, number: Arg) -> Call | None:
    """The slice that is the part of that ``number``; None where the sizes are not known.

    Schemas: split(x, size, dim=0), split_with_sizes(x, sizes, dim=0), chunk(x, chunks, dim=0).
    """
    shape = source.meta.shape if source.meta is not None else ()
    dim, sizes = split.arg(2, "dim", 0), split.args[1] if len(split.args) > 1 else None
    if not isinstance(dim, int) or not isinstance(number, int) or not -len(shape) <= dim < len(shape):
        return None
    length = shape[dim]
    if isinstance(sizes, tuple):
        known = [size for size in sizes if isinstance(size, int)]
        if len(known) != len(sizes) or not 0 <= number < len(known):
            return None
        start = sum(known[:number])
        return Call("aten.slice.Tensor", (dim, start, start + known[number]))
    if not isinstance(sizes, int) or sizes < 1 or length is None or number < 0:
        return None
    size = -(-length // sizes) if split.target.startswith("aten.chunk") else sizes
    return Call("aten.slice.Tensor", (dim, number * size, min((number + 1) * size, length)))
