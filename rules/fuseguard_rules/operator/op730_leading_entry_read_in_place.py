"""OP730: an entry of a value of five dimensions that Vela would read in place for Ethos-U55."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fuseguard.backend.sliced_operands import SlicedOperand, sliced_operands
from fuseguard.engine import Call, Effect, EffectRow, EffectsTable, Finding, Pair, Replace, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op730")

_FAULT = "Vela 5.1.0 ends with a segmentation fault"
_MEASURED = ("1.2.0", "1.3.1", "1.5.0", "1.5.1")
_COPIED = "the backend's TOSA has another form here, which Vela 5.1.0 compiles"


class LeadingEntryReadInPlace(Rule):
    code = "OP730"
    name = "leading-entry-read-in-place"
    summary = "An op reads one leading entry of a value of five dimensions, for Ethos-U55 or U65. Vela crashes."
    why = (
        "Vela lets an elementwise op read a part of a value where it lies, in at most four dimensions. One of several "
        "leading entries of a value of five dimensions, which has several leading entries itself, has no such form. "
        "Vela 5.1.0 ends with a segmentation fault, and takes the Python process with it, without a message. Attention "
        "in batches is written like this: q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0), then q * scale. With a batch "
        "of one, with a matmul, convolution or sum as the reader, and for Ethos-U85, Vela compiles it."
    )
    remedy = (
        "Join the two leading dimensions and take a slice: qkv.reshape(3 * batch, ...)[:batch] (repair does this), or "
        "let fuseguard keep the op on the CPU (guard)."
    )
    scope = "node"
    message = "{selection} is one of {count} entries of {source}, and {reader} would read it in place"
    accelerator = "ethos-u55-128"
    effects = EffectsTable(
        [
            EffectRow("*", ">=1.4,<1.5", "*", Effect.EXACT, reference=_COPIED, engine="vela", measured_on=("1.4.1",)),
            EffectRow("*", "*", "*", Effect.CRASH, reference=_FAULT, engine="vela", measured_on=_MEASURED),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("found by this project's Vela engine",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for found in sliced_operands(view, target).values():
            yield self.finding(
                view,
                target,
                (found.selection,),
                case="*",
                selection=found.selection.name,
                count=found.source.meta.shape[0] if found.source.meta is not None else 0,
                source=found.source.name,
                reader=found.reader.name,
            )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """A slice of the value with its two leading dimensions joined: the same codes. Not of a squeezed slice."""
        found = sliced_operands(view, target).get(finding.nodes[0])
        return _joined(view, found) if found is not None else None


def _joined(view: View, found: SlicedOperand) -> Rewrite | None:
    op, index = found.selection, found.selection.arg(2, "index", 0)
    if op.kind == "getitem":
        op, index = view.producer(op) or op, op.args[1]
    dq, qparams = view.in_dq(op, 0), view.in_qp(op, 0)
    shape = found.source.meta.shape if found.source.meta is not None else ()
    known = [size for size in shape if size is not None]
    if op.kind not in ("select", "unbind") or dq is None or qparams is None or not isinstance(index, int):
        return None
    if len(known) != len(shape):
        return None
    first = index % known[0] * known[1]
    joined = Call("aten.reshape.default", ((math.prod(known[:2]), *known[2:]),))
    part = Call("aten.slice.Tensor", (0, first, first + known[1]))
    return Rewrite((Replace(found.selection.name, dq.name, (joined, Pair(qparams), part)),))
