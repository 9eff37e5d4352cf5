"""QD205: a value shares its scale with much larger ones and has only a few codes left."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fuseguard.backend.fold_qparams import carries_codes, code_inputs, origins_of
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, QParams, Ref, Trait, View, activation_bounds
from fuseguard.ir.intervals import IMAGES, Range, arithmetic
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.qdomain.graphs")

#: A value that can take fewer codes than this is reported: 8 of 256 is less than 3 bits.
FEWEST_CODES = 8

_EAGER = "visible in the eager quantized program"


class RangePoisonedDomain(Rule):
    code = "QD205"
    name = "range-poisoned-domain"
    summary = "A value is joined with much larger ones, and their shared scale leaves it a handful of codes."
    why = (
        "Values that a cat, stack or where joins into one tensor share one observer, and therefore the range of the "
        "largest: a mask of -1e9, pixel coordinates, raw logits. Small values are then rounded to a few codes, or to "
        "one. The backend computes exactly what the program says, but the program is coarse. The rule reports only "
        "what follows from the graph: the largest range that the op's inputs or its function allow spans fewer than "
        "eight codes."
    )
    remedy = (
        "Keep values of different magnitude apart: return them as separate outputs, scale them before they are joined, "
        "mask with a value just below the data's own range, or quantize to 16 bits (A16W8)."
    )
    scope = "node"
    message = (
        "{op} yields values in [{low:.4g}, {high:.4g}] but shares a step of {step:.4g} with the values that it is "
        "joined with: it has at most {codes} of {available} codes"
    )
    effects = EffectsTable(
        [
            EffectRow("*", "*", "*", Effect.QUALITY, reference=_EAGER),
        ]
    )
    bad = examples.POISONED
    good = examples.HEALTHY
    references = ("executorch #20976", "executorch #15976", "executorch #18009", "executorch #21437")
    refused = False
    in_program = True

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        joined = _joined(view)
        for node in view.calls():
            if node.name not in joined or not node.annotated or node.info.has(Trait.TRANSPARENT):
                continue
            after = view.out_qp(node)
            interval = _values(view, node)
            if after is None or not after.usable or interval is None:
                continue
            codes = math.floor((interval[1] - interval[0]) / after.scale) + 1
            if codes >= FEWEST_CODES:
                continue
            yield self.finding(
                view,
                target,
                (node,),
                case="*",
                qparams=((f"output of {node.name}", str(after)),),
                op=node.name,
                low=interval[0],
                high=interval[1],
                step=after.scale,
                codes=codes,
                available=after.qmax - after.qmin + 1,
            )


def _joined(view: View) -> set[str]:
    """Names of the values whose codes are joined with others, found backwards from the ops that join."""
    marked = {item.name for node, _ in origins_of(view).joins for item in code_inputs(view, node)}
    if not marked:
        return marked
    for node in reversed(view.calls()):
        if node.name not in marked:
            continue
        if view.is_q(node) or view.is_dq(node):
            marked |= {arg.name for arg in node.args[:1] if isinstance(arg, Ref)}
        elif carries_codes(node):
            marked |= {item.name for item in code_inputs(view, node)}
    return marked


def _values(view: View, node: Node) -> Range | None:
    """The values ``node`` can have at most, from its function's image or its inputs' qparams; None if unknown."""
    if node.kind in IMAGES or node.info.has(Trait.ACTIVATION):
        low, high = IMAGES[node.kind] if node.kind in IMAGES else activation_bounds(node)
        return (low, high) if math.isfinite(low) and math.isfinite(high) else None
    operands = [_range(view.in_qp(node, position)) for position in range(min(2, len(node.args)))]
    if len(operands) != 2 or node.kwargs:
        return None  # arguments such as alpha scale an operand
    left, right = operands
    if left is None or right is None or node.kind not in ("add", "sub", "mul"):
        return None
    return arithmetic(node.kind, left, right)


def _range(qparams: QParams | None) -> Range | None:
    return (qparams.low, qparams.high) if qparams is not None and qparams.usable else None
