"""BO601: an INT delegate hands out codes where the program around it expects floats."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rule
from fuseguard.ir import Graph, Node, Trait, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.boundary.placement import CpuReach, is_quantized_split

if TYPE_CHECKING:
    import torch

_DETAG = "TOSAPartitioner._detag_boundary_nodes, #22966"
_LOWERED = "Q and DQ are lowered, so that nothing is de-tagged"


def _split(first: str, second: str) -> Callable[[], Graph]:
    """``first`` and ``second`` say what becomes of each half: ``cpu``, ``npu`` or ``output``."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", (1, 8, 4, 4), int8(0.0487, 3))
        halves = b.call("aten.split.Tensor", x, 4, 1, shape=(1, 8, 4, 4))
        parts = [b.call("operator.getitem", halves, part, shape=(1, 4, 4, 4)) for part in (0, 1)]
        outputs = []
        for part, fate in zip(parts, (first, second), strict=True):
            value = b.requantize(part, int8(0.0487, 3))
            if fate == "cpu":
                value = b.requantize(b.call("aten.exp.default", value, annotated=False), int8(0.0731, -128))
            elif fate == "npu":
                value = b.requantize(b.call("aten.tanh.default", value), int8(0.00787, 3))
            outputs.append(value)
        return b.output(*outputs)

    return build


def _program() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.boundary.example_modules import shared_split

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
        "#22966."
    )
    remedy = (
        "Let fuseguard keep the split off the accelerator (fuseguard.executorch.guard), quantize the block between, or "
        "replace the split by slices, each of which is quantized on its own."
    )
    scope = "boundary"
    message = "{op}: {kept} stays on the accelerator and {left} goes through {cpu}, which does not, and comes back"
    effects = EffectsTable(
        [
            EffectRow("*", "*", "INT", Effect.RUNTIME_FAULT, reference=_DETAG),
            EffectRow("*", "*", "INT+FP", Effect.EXACT, reference=_LOWERED),
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
    )
    good = (
        Example("split: both halves on the accelerator", _split("npu", "npu"), _program),
        Example("split: both halves through the CPU", _split("cpu", "cpu")),
    )
    references = ("executorch #19364", "executorch #22966", "executorch #18191")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node, kept, left, cpu in _torn(view):
            yield self.finding(
                view,
                target,
                (node, *view.users(node)),
                case="*",
                op=node.name,
                kept=kept.name,
                left=left.name,
                cpu=cpu.name,
            )

    def exposed(self, view: View, target: Target, refused: frozenset[str]) -> Iterator[tuple[Node, Node]]:
        """Splits of which one part goes through the CPU only since something on its way is refused."""
        del target
        for node, _, _, cpu in _torn(view, refused):
            if cpu.name in refused:
                yield from ((item, cpu) for item in (node, *view.users(node)))


def _torn(view: View, refused: frozenset[str] = frozenset()) -> Iterator[tuple[Node, Node, Node, Node]]:
    """Splits with a part that stays on the accelerator, one that leaves it and comes back, and the CPU's first op."""
    splits = [node for node in view.calls(Trait.MULTI_OUTPUT) if is_quantized_split(view, node)]
    if not splits:
        return
    reach = CpuReach(view, refused)
    for node in splits:
        parts = [part for part in view.users(node) if view.out_q(part)]
        left = next((part for part in parts if part.name in reach.through), None)
        kept = next((part for part in parts if part.name not in reach.through), None)
        if left is not None and kept is not None:
            yield node, kept, left, reach.through[left.name]
