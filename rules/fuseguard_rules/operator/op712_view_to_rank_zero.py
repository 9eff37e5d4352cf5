"""OP712: a view to rank 0 that the backend makes, on which ExecuTorch's check of the edge IR fails."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.insert_const_shapes import only_asserted, reduced_in_float, views_to_rank_zero
from fuseguard.backend.releases import CHECKS_SHAPES
from fuseguard.engine import (
    Call,
    Duplicate,
    Effect,
    EffectRow,
    EffectsTable,
    Finding,
    Insert,
    Pair,
    Rewrite,
    Rule,
    SetArgument,
)
from fuseguard.ir import Node, View
from fuseguard.target import Target
from fuseguard_rules.examples.operator import op712 as examples

_FAILS = "InsertConstShapesPass; EdgeOpArgValidator.call_function takes the next of no values"

_ANY_DIMS = "aten.any.dims"

#: The op that reduces the same dimensions but keeps them, by kind. Its arguments are the dimensions and True.
_KEEPING_DIMS = {
    "amax": "aten.amax.default",
    "amin": "aten.amin.default",
    "mean": "aten.mean.dim",
    "sum": "aten.sum.dim_IntList",
}


class ViewToRankZero(Rule):
    code = "OP712"
    name = "view-to-rank-zero"
    summary = "An op removes the last dimension of a value, and ExecuTorch's check of the edge IR fails on the result."
    why = (
        "A sum, amax, any or mean over all dimensions, a select, a squeeze and a reshape to () end in a view to rank "
        "0, and so does a dot or a loss, which the edge dialect reduces to a sum or a mean. InsertConstShapesPass "
        "gives the view its shape as a separate node, CONST_SHAPE(()), which yields an empty list. ExecuTorch runs its "
        "verifier of the edge IR after the backend's passes, and EdgeOpArgValidator asks each node for its first "
        "result: StopIteration. If another view follows directly, it merges with the first one, and nothing fails. The "
        "check is EdgeCompileConfig's _check_ir_validity, by default True. Arm's own ahead-of-time compiler sets it to "
        "False, and the same program is then lowered exactly. 1.2 and 1.3 lower it either way, so the rule reports "
        "nothing for them."
    )
    remedy = (
        "Keep a dimension (x.sum((1, 2, 3)) of a batch, x.mean(keepdim=True), x[0:1] instead of x[0]), or lower with "
        "EdgeCompileConfig(_check_ir_validity=False). fuseguard can insert a reduction that keeps its dimensions "
        "before the op, so that the CPU has only one element left to reduce (repair), or keep the op on the CPU "
        "(guard)."
    )
    scope = "node"
    message = "{op} yields a value without dimensions, whose shape ExecuTorch {release} cannot check"
    effects = EffectsTable(
        [
            EffectRow("*", "<1.4", "*", Effect.EXACT, reference="no CONST_SHAPE of a view is checked"),
            EffectRow("float", "*", "INT", Effect.CPU_FALLBACK, reference="CheckProperQuantization"),
            EffectRow("*", ">=1.4", "*", Effect.CRASH, reference=_FAILS, unchecked=Effect.EXACT),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    #: For assertions, which the edge dialect makes from one_hot, for instance. If they are refused, FX orders their ops
    #: last, after the output.
    fixed_by_guard = True

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if not CHECKS_SHAPES.in_force(target) or not target.ir_validity:
            return
        for node in views_to_rank_zero(view, target):
            yield self.finding(view, target, (node,), case="*", op=node.name, release=target.release)
        for node in reduced_in_float(view):
            yield self.finding(view, target, (node,), case="float", op=node.name, release=target.release)

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Insert the same reduction with dimensions before it, in the qparams of its result.

        The op then reduces one element, which it yields unchanged; the guard keeps it on the CPU. A DQ with other
        readers is copied first, because these would be in another partition. A value that only an assertion reads
        keeps its dimensions, because one element is enough for an assertion.
        """
        del target
        node = view.graph[finding.nodes[0]]
        if node.target == _ANY_DIMS and only_asserted(view, node):
            return _keeping_dims(view, node)
        if view.graph.dialect == "edge":
            return None  # the repair inserts ATen ops
        operand, qparams = view.in_dq(node, 0), view.out_qp(node)
        keeping = _KEEPING_DIMS.get(node.kind)
        if keeping is None or operand is None or qparams is None or not qparams.usable or _has_one_element(operand):
            return None
        if len(view.users(node)) != 1 or operand.meta is None:
            return None
        if len(view.users(operand)) > 1:
            return Rewrite((Duplicate((operand.name,), (node.name,)),))
        steps = (Call(keeping, (tuple(range(operand.meta.rank)), True)), Pair(qparams))
        return Rewrite((Insert(operand.name, (node.name,), steps),))


def _keeping_dims(view: View, node: Node) -> Rewrite | None:
    operand = view.producer(node)
    if operand is None or operand.meta is None:
        return None
    dims = node.arg(1, "dim") or tuple(range(operand.meta.rank))
    return Rewrite((SetArgument(node.name, 1, "dim", dims), SetArgument(node.name, 2, "keepdim", True)))


def _has_one_element(node: Node) -> bool:
    return node.meta is not None and all(size == 1 for size in node.meta.shape)
