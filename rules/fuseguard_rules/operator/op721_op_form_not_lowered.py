"""OP721: a form of an op that the partitioner takes and its lowering rejects."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.unlowered_forms import LOGICAL, numbers_of, pad_amounts, unlowered_forms
from fuseguard.engine import Call, Effect, EffectRow, EffectsTable, Finding, Insert, Pair, Rewrite, Rule, SetArgument
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op721")


class OpFormNotLowered(Rule):
    code = "OP721"
    name = "op-form-not-lowered"
    summary = "A pad is negative, a logical op reads numbers, a comparison reads bools, or the like."
    why = (
        "The partitioner asks each op's support check whether the backend can lower it. For some ops, there is no "
        "check of what their lowering requires. The TOSA PAD op takes no negative padding, which crops in PyTorch. "
        "LOGICAL_NOT, LOGICAL_AND, LOGICAL_OR, LOGICAL_XOR, REDUCE_ANY and REDUCE_ALL take only bools, but PyTorch's "
        "ops treat every number except zero as true. ADD, EQUAL, GREATER, MAXIMUM and the like take no bools. The "
        "edge dialect turns an index_add into an index_put that accumulates, and AccumulateIndexPutPass reads the old "
        "values with an index that leaves out dimensions, which the backend cannot lower. An as_strided with "
        "contiguous strides becomes a view, even if it takes only the first of its operand's elements. In all of "
        "these cases, lowering raises an exception."
    )
    remedy = (
        "Slice instead of padding by a negative number. Compare with zero before a logical op (x != 0). Use a logical "
        "op for bools (torch.logical_xor instead of !=). Move the dimension of an index_add to the front. Slice "
        "instead of taking the first elements with as_strided. Or let fuseguard keep the op on the CPU (guard)."
    )
    scope = "node"
    message = "{op} {form}, which the partitioner accepts and the lowering rejects"
    effects = EffectsTable(
        [
            EffectRow("float", "*", "INT", Effect.CPU_FALLBACK, reference="CheckProperQuantization"),
            EffectRow("pad", "<1.4", "*", Effect.RUNTIME_FAULT, reference="TOSA PAD: padding is not checked"),
            EffectRow("pad", "*", "*", Effect.CRASH, reference="TOSA PAD: Expected padding values to be non-negative"),
            EffectRow("put", "*", "INT", Effect.CPU_FALLBACK, reference="CheckProperQuantization"),
            EffectRow("put", "*", "*", Effect.CRASH, reference="AccumulateIndexPutPass: index.Tensor with None"),
            EffectRow(
                "bools", "*", "*", Effect.CRASH, reference="TOSA EQUAL and the like: Unsupported dtype torch.bool"
            ),
            EffectRow("*", "*", "*", Effect.CRASH, reference="TOSA LOGICAL_NOT and the like: requires bool inputs"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for found in unlowered_forms(view, target):
            yield self.finding(view, target, (found.node,), case=found.case, op=found.node.name, form=found.form)

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Slice before a pad that crops, and cast what a logical op reads to bool."""
        del target
        node = view.graph[finding.nodes[0]]
        if node.kind == "pad":
            return _cropped_first(view, node)
        if node.kind not in LOGICAL:
            return None
        cast = Call("aten.to.dtype", ("bool",), annotated=False)
        edits = [Insert(value.name, (node.name,), (cast,)) for value in numbers_of(view, node)]
        return Rewrite(tuple(edits))


def _cropped_first(view: View, node: Node) -> Rewrite | None:
    """A slice of each dimension that the pad crops, and then the pad without what is negative."""
    data, qparams, amounts = view.producer(node), view.in_qp(node, 0), pad_amounts(node)
    if data is None or data.meta is None:
        return None
    steps: list[Pair | Call] = []
    for place in range(0, len(amounts), 2):
        before, after = amounts[place : place + 2]
        dim = data.meta.rank - 1 - place // 2
        size = data.meta.shape[dim]
        if min(before, after) >= 0:
            continue
        if size is None:
            return None
        steps.append(Call("aten.slice.Tensor", (dim, max(-before, 0), size + min(after, 0))))
        if qparams is not None:
            steps.append(Pair(qparams))
    kept = tuple(max(amount, 0) for amount in amounts)
    return Rewrite((Insert(data.name, (node.name,), tuple(steps)), SetArgument(node.name, 1, "pad", kept)))
