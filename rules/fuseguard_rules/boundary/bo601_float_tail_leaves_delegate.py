"""BO601: an INT delegate hands out codes where the program around it expects floats."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fuseguard.backend.partition import CpuReach, is_quantized_split, stays_on_cpu_with_float
from fuseguard.engine import Call, Effect, EffectRow, EffectsTable, Example, Finding, Pair, Replace, Rewrite, Rule
from fuseguard.ir import Graph, Node, Trait, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import Arg
from fuseguard.target import Target

if TYPE_CHECKING:
    import torch

_DETAG = "TOSAPartitioner._detag_boundary_nodes, #22966"
_LOWERED = "what is left in float is lowered, and Q and DQ with it"
_FOLDED = "FoldAndAnnotateQParamsPass folds the split's DQ; its partition ends before the half's Q"


#: op -> (ATen target, arguments behind the value, channels of each part)
_SPLITS: dict[str, tuple[str, tuple[Arg, ...], tuple[int, ...]]] = {
    "split": ("aten.split.Tensor", (4, 1), (4, 4)),
    "split_with_sizes": ("aten.split_with_sizes.default", ((3, 1, 4), 1), (3, 1, 4)),
    "chunk": ("aten.chunk.default", (3, 1), (3, 3, 2)),
    "unbind": ("aten.unbind.int", (1,), ()),
}


def _split(*fates: str, op: str = "split") -> Callable[[], Graph]:
    """``fates`` say what becomes of each part: ``cpu``, ``index`` (which stays there, too), ``flip`` (so before 1.4),
    ``npu`` or ``output``.
    """

    def build() -> Graph:
        b = GraphBuilder()
        target, arguments, channels = _SPLITS[op]
        x = b.quantized_input("x", (1, 8 if channels else len(fates), 4, 4), int8(0.0487, 3))
        parts = b.call(target, x, *arguments)
        shapes = [(1, channels[number], 4, 4) if channels else (1, 4, 4) for number in range(len(fates))]
        values = [b.call("operator.getitem", parts, number, shape=shape) for number, shape in enumerate(shapes)]
        outputs = []
        for part, fate in zip(values, fates, strict=True):
            value = b.requantize(part, int8(0.0487, 3))
            if fate == "cpu":
                value = b.requantize(b.call("aten.exp.default", value, annotated=False), int8(0.0731, -128))
            elif fate == "index":
                rows = b.call("aten.arange.start_step", 1, -1, -1, shape=(2,), dtype="int32", annotated=False)
                value = b.call("aten.index.Tensor", value, (None, rows), shape=(1, 2, 4, 4))
                value = b.requantize(value, int8(0.0487, 3))
            elif fate == "flip":
                value = b.requantize(b.call("aten.flip.default", value, (2,)), int8(0.0487, 3))
            elif fate == "npu":
                value = b.requantize(b.call("aten.tanh.default", value), int8(0.00787, 3))
            outputs.append(value)
        return b.output(*outputs)

    return build


def _program() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.boundary.modules import shared_split

    return shared_split()


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
    bad = (
        Example(
            "split: one half through a block left in float",
            _split("cpu", "npu"),
            _program,
            unquantized=("float_block",),
        ),
        Example("split: one half through the CPU, the other an output", _split("cpu", "output")),
        Example("split: one half indexed behind a whole dimension, the other an output", _split("index", "output")),
        Example("split: one half flipped, the other an output", _split("flip", "output"), only_on="<1.4"),
        Example("split: one half indexed behind a whole dimension, the other computed with", _split("index", "npu")),
        Example("sizes: one of three parts through the CPU", _split("npu", "cpu", "npu", op="split_with_sizes")),
        Example("chunk: two of three parts through the CPU", _split("cpu", "npu", "cpu", op="chunk")),
    )
    good = (
        Example("split: both halves on the accelerator", _split("npu", "npu"), _program),
        Example("split: both halves through the CPU", _split("cpu", "cpu")),
        Example("unbind, which becomes slices: one part through the CPU", _split("npu", "cpu", op="unbind")),
    )
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
        if source is None or qparams is None or qparams.per_channel:
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
