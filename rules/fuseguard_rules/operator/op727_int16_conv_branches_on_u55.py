"""OP727: an int16 convolution that an Ethos-U55 delegate would have to rescale in several ways."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.fused_activation import is_quantized_anchor
from fuseguard.backend.int32_rescales import COMPARISONS, Bypass, int32_readers
from fuseguard.backend.releases import WIDENS_CONVS
from fuseguard.backend.rewrites import readers_apart
from fuseguard.backend.shared_outputs import value_numbers
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, View
from fuseguard.ir.view import Island
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op727")

_BRANCHES = "RewriteConvPass._insert_a16w8_output_branches, and Vela has no such command for U55"

#: Accelerators that rescale the sums of a convolution as part of it.
_REFUSING = ("ethos-u55", "ethos-u65")


class Int16ConvBranchesOnU55(Rule):
    code = "OP727"
    name = "int16-conv-branches-on-u55"
    summary = "An Ethos-U55 or U65 delegate rescales the sums of an int16 convolution in several ways. Vela refuses it."
    why = (
        "From 1.5 on, RewriteConvPass gives each op that works in int32 (add, mul, maximum and the like) a RESCALE of "
        "its own on the sums of an int16 convolution, and all other readers one more. An Ethos-U55 or U65 rescales "
        "the sums of a convolution as part of it, and in one way only. Vela ends with 'Non-passthrough operation "
        "(Conv2D) could not run on NPU', and to_edge_transform_and_lower raises. For U85, Vela compiles the same TOSA. "
        "The TOSA reference model runs it, too."
    )
    remedy = (
        "Quantize the convolution to int8, repair the program (a view before each reader that works in int32), or let "
        "fuseguard keep the convolution on the CPU (guard)."
    )
    scope = "cluster"
    message = "{anchor} computes in int16 and is rescaled in {count} ways: for {readers}{others}"
    accelerator = "ethos-u55-128"
    effects = EffectsTable(
        [EffectRow("*", "*", "*", Effect.CRASH, reference=_BRANCHES, engine="vela", measured_on=("1.5.0", "1.5.1"))]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("found by this project's Vela engine", "executorch #21910")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if not target.accelerator.startswith(_REFUSING) or not WIDENS_CONVS.in_force(target):
            return
        for island in view.islands:
            if not is_quantized_anchor(view, island):
                continue
            wide, others = _branches(view, island, target)
            count = len(wide) + bool(others)
            if wide and count > 1:
                yield self.finding(
                    view,
                    target,
                    (island.anchor,),
                    case="*",
                    island=island,
                    anchor=island.anchor.name,
                    count=count,
                    readers=", ".join(bypass.reader.name for bypass in wide),
                    others=" and for all others" if others else "",
                )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Insert a view between the convolution's codes and each int32 reader: one rescale is left."""
        island = view.island_of(view.graph[finding.nodes[0]])
        return readers_apart(view, _branches(view, island, target)[0]) if island is not None else None


def _branches(view: View, island: Island, target: Target) -> tuple[list[Bypass], list[Node]]:
    """The int32 readers that are different values, and all other readers. No comparison runs on these accelerators."""
    readers, others = int32_readers(view, island)
    numbers = value_numbers(view, target) if len(readers) > 1 else {}
    wide: dict[int | str, Bypass] = {}
    for bypass in readers:
        if bypass.reader.kind in COMPARISONS:
            others = [*others, bypass.reader]
        else:
            wide.setdefault(numbers.get(bypass.reader.name, bypass.reader.name), bypass)
    return list(wide.values()), others
