"""OP715: a clamp between two tensors, which the backend splits into maximum and minimum without qparams between."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.decompose_clamp import TensorClamp, keeps_half, mistakes_scale, tensor_clamp
from fuseguard.engine import Call, Effect, EffectRow, EffectsTable, Finding, Pair, Replace, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import QParams, Ref, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op715")

_KEPT = "FoldAndAnnotateQParamsPass._has_partial_binary_tensor_qdq_inputs, #21589"
_SCALE = "InsertRescaleInt32Pass takes the value before minimum for one at the upper bound's scale"

_SAME = "InsertRescaleInt32Pass: all three are at one scale"


class TensorBoundsLoseScale(Rule):
    code = "OP715"
    name = "tensor-bounds-lose-scale"
    summary = "Both bounds of a quantized clamp are tensors; the backend loses the scale between the two steps."
    why = (
        "DecomposeTOSAUnsupportedClampPass turns a clamp whose bounds are tensors into minimum(maximum(x, lower), "
        "upper). It runs before FoldAndAnnotateQParamsPass, so nothing states the scale of maximum's result. "
        "InsertRescaleInt32Pass then assumes the scale of the upper bound, and every value that the clamp passes on is "
        "scaled by the ratio of the two. From 1.5 on, with floats, the fold keeps the Q and DQ of minimum, because "
        "only one of its operands has any, and the Q gets codes. A clamp with one bound becomes one op, which is "
        "correct. The rule reports nothing for releases that lower the program correctly."
    )
    remedy = (
        "Let fuseguard replace the clamp with maximum and minimum and a Q and DQ between them (repair), which changes "
        "no value, or keep the clamp on the CPU (guard)."
    )
    scope = "cluster"
    message = "both bounds of {clamp} are tensors, and {fault}"
    effects = EffectsTable(
        [
            EffectRow("half", ">=1.5", "INT+FP", Effect.CRASH, reference=_KEPT),
            EffectRow("half", "*", "*", Effect.EXACT, reference=_SAME),
            EffectRow("scale", ">=1.5", "INT+FP", Effect.CRASH, reference=_KEPT),
            EffectRow("scale", "*", "*", Effect.WRONG, reference=_SCALE),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #21589",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.ops:
            clamp = tensor_clamp(view, node)
            if clamp is None:
                continue
            if mistakes_scale(clamp, view.out_qp(node)):
                case = "scale"
                fault = f"the value compared with the upper bound is taken to have scale {clamp.qparams[2].scale:g}"
            elif keeps_half(clamp, target):
                case, fault = "half", "with float support, the quantize op after it gets codes"
            else:
                continue
            yield self.finding(
                view,
                target,
                (node,),
                case=case,
                qparams=tuple(zip(("input", "lower bound", "upper bound"), map(str, clamp.qparams), strict=False)),
                clamp=node.name,
                fault=fault,
            )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Replace it with maximum and minimum, with the pair between them that the pass omits.

        If data and lower bound have the same qparams, the larger of the two is a code of these qparams. Otherwise, the
        pair has the qparams of the result: quantizing is monotone, so it may come before minimum as well as after it.
        """
        del target
        node = view.graph[finding.nodes[0]]
        clamp = tensor_clamp(view, node)
        between = _between(view, clamp) if clamp is not None else None
        if clamp is None or clamp.lower is None or clamp.upper is None or between is None:
            return None
        steps = (
            Call("aten.maximum.default", (Ref(clamp.lower.name),)),
            Pair(between),
            Call("aten.minimum.default", (Ref(clamp.upper.name),)),
        )
        return Rewrite((Replace(node.name, clamp.data.name, steps),))


def _between(view: View, clamp: TensorClamp) -> QParams | None:
    data, lower = clamp.qparams[:2]
    if data == lower:
        return data
    readers = view.users(clamp.node)
    results = {view.qparams(reader) for reader in readers}
    result = results.pop() if len(results) == 1 and all(map(view.is_q, readers)) else None
    return result if result is not None and result.usable else None
