"""BO601: an INT delegate returns codes where the surrounding program expects floats."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fuseguard.backend.partition import (
    CpuReach,
    is_quantized_split,
    stays_on_cpu,
    stays_on_cpu_with_float,
    stays_outside,
)
from fuseguard.engine import Call, Effect, EffectRow, EffectsTable, Finding, Pair, Replace, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, Trait, View
from fuseguard.ir.graph import Arg
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.boundary.bo601")

_DETAG = "TOSAPartitioner._detag_boundary_nodes, #22966"
_LOWERED = "what is left in float is lowered, and Q and DQ with it"
_FOLDED = "FoldAndAnnotateQParamsPass folds the split's DQ; its partition ends before the half's Q"


class FloatTailLeavesDelegate(Rule):
    code = "BO601"
    name = "float-tail-leaves-delegate"
    summary = "A split feeds both the CPU and the accelerator, and one half leaves an INT delegate as bare codes."
    why = (
        "The halves of a split are quantized one by one, after the split. If one half goes through an op that stays on "
        "the CPU and comes back, the quantize op of the other half falls into the following partition, and the split's "
        "own partition ends in a float value. TOSAPartitioner._detag_boundary_nodes removes a quantize op from the "
        "entry of an INT partition and a dequantize op from its exit, but not such a tail. The delegate then yields "
        "int8 where the program expects float32, and a device refuses it or reads garbage (executorch #19364). Fixed "
        "after 1.5.1 by #22966. With float support, an op that the backend does not know has the same effect. An op "
        "that is merely left in float is delegated there, so the split stays whole."
    )
    remedy = (
        "Let fuseguard replace the split with slices that have their own dequantize and quantize ops (repair), keep "
        "the split off the accelerator (guard), or quantize the block between."
    )
    scope = "boundary"
    message = "{op}: {kept} stays on the accelerator, but {left} goes through {cpu} on the CPU and comes back"
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
        """Cut out each part with a separate op, which works in the split's domain and ends in a Q there.

        Each part also gets its own dequantize op. The parts are in two partitions, so a shared one would be de-tagged,
        and the slices after it too.
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
        """Splits with a part that goes through the CPU only because an op on its path is refused."""
        for node, _, _, cpu in _torn(view, target, refused, stays_outside):
            if cpu.name in refused:
                yield from ((item, cpu) for item in (node, *view.users(node)))


def _torn(
    view: View,
    target: Target,
    refused: frozenset[str] = frozenset(),
    stays: Callable[[View, Node, Target], bool] = stays_on_cpu,
) -> Iterator[tuple[Node, Node, Node, Node]]:
    """Splits with a part that stays on the accelerator, one that leaves it and comes back, and the CPU's first op.

    ``stays`` says what the CPU computes, beside what is refused.
    """
    splits = [node for node in view.calls(Trait.MULTI_OUTPUT) if is_quantized_split(view, node)]
    if not splits:
        return
    reach = CpuReach(view, target, refused, stays)
    for node in splits:
        halves = _halves(view, node, reach)
        cpu = reach.through(halves[1]) if halves is not None else None
        if halves is not None and cpu is not None:
            yield node, *halves, cpu


def _halves(view: View, split: Node, reach: CpuReach) -> tuple[Node, Node] | None:
    """A part that stays on the accelerator and one that leaves it and comes back; None unless both exist."""
    parts = [part for part in view.users(split) if view.out_q(part)]
    left = next((part for part in parts if reach.through(part) is not None), None)
    kept = next((part for part in parts if reach.through(part) is None), None)
    return (kept, left) if left is not None and kept is not None else None


def _cut(split: Node, source: Node, number: Arg) -> Call | None:
    """The slice that equals part ``number``; None if the sizes are not known.

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
