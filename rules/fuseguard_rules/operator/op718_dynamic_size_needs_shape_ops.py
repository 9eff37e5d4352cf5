"""OP718: an op with a dynamic size that becomes a view or slice whose size the target cannot compute."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.proper_quantization import is_annotated
from fuseguard.backend.releases import TAKES_SYMBOLIC_SIZES
from fuseguard.backend.symbolic_sizes import becomes_view, makes_constant
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op718")

_CHECK = "SymbolicShapeSupportCheck asks before the passes have decomposed the op"
_SHAPE_OPS = "SymbolicToTosaShapesPass: TOSA spec doesn't support shape extension"

_BEFORE = "SymbolicShapeSupportCheck of 1.3.0 to 1.5.0 rejects every dynamic size"


class DynamicSizeNeedsShapeOps(Rule):
    code = "OP718"
    name = "dynamic-size-needs-shape-ops"
    summary = "A linear, a Conv1d, a select, a split, an index_put, a full_like or the like has a dynamic size."
    why = (
        "From 1.5.1 on, the backend accepts tensors with dynamic sizes, but it has to know the sizes that are "
        "arguments of an op. SymbolicShapeSupportCheck looks at the op as it is in the program. The passes then turn "
        "a linear, a Conv1d, a grouped convolution, a cumulative sum, a select, a split, a reduction that drops its "
        "dimension, an index_put or a view with an inferred size into views, slices and scatters, whose arguments "
        "include the dynamic size. Without the TOSA extension shape, which TOSA 1.0 does not have, lowering then "
        "fails: 'doesn't support shape extension', or, for a linear whose batch is dynamic, \"'Node' object has no "
        "attribute 'node'\". A full_like, ones_like or zeros_like (a masked_fill contains one) becomes a constant of "
        "that size, and lowering fails with \"Expected first value in node.meta['val'] to be FakeTensor\". 1.3.0 to "
        "1.5.0 leave every op with a dynamic size on the CPU, and 1.2 lowers these ops, so the rule reports nothing "
        "for these releases."
    )
    remedy = (
        "Give the op fixed sizes: export the program for each size that you need, without dynamic_shapes. Or keep the "
        "op on the CPU (guard). A reduction can keep its dimension (keepdim=True)."
    )
    scope = "cluster"
    message = "{op} has a dynamic size and becomes {made}, whose size TOSA would have to compute"
    effects = EffectsTable(
        [
            EffectRow("float", "*", "INT", Effect.CPU_FALLBACK, reference="CheckArmQuantized"),
            EffectRow("*", ">=1.5.1", "*", Effect.CRASH, reference=f"{_CHECK}; {_SHAPE_OPS}"),
            EffectRow("*", "<1.5.1", "*", Effect.EXACT, reference=_BEFORE),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if not TAKES_SYMBOLIC_SIZES.in_force(target):
            return
        for node in view.ops:
            made = becomes_view(view, node, target)
            if made:
                case = "quantized" if is_annotated(view, node) or makes_constant(node) else "float"
                yield self.finding(view, target, (node,), case=case, op=node.name, made=made)
