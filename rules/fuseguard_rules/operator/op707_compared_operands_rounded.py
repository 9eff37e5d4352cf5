"""OP707: maximum, minimum or a comparison rounds the operand with the larger scale before it compares."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fuseguard.backend.int32_rescales import compared, smallest_scales
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op707")

#: An operand whose scale is this close to a multiple of the other one still lies on the other's grid.
_MULTIPLE = 1e-6


class OperandsRounded(Rule):
    code = "OP707"
    name = "compared-operands-rounded"
    summary = "maximum, minimum or a comparison reads operands of different scales and rounds one of them."
    why = (
        "InsertRescaleInt32Pass rescales both operands of maximum, minimum and the comparisons to the smaller of their "
        "scales, as integers without spare bits. The operand with the larger scale is rounded to the grid of the other "
        "one, by up to half of its step, and rounded again after the op. add and sub keep 20 more bits. A clamp whose "
        "bounds are tensors becomes maximum and minimum."
    )
    remedy = (
        "Usually nothing: the difference is within one rounding. Otherwise, give both operands one scale "
        "(SharedQuantizationSpec), or use the bit-exact policy to keep the op on the CPU (guard)."
    )
    scope = "node"
    message = "{node} rescales its operands to a scale of {scale:.4g} and rounds them there"
    effects = EffectsTable([EffectRow("*", "*", "*", Effect.BOUNDED, reference="InsertRescaleInt32Pass")])
    bad = examples.BAD
    good = examples.GOOD
    references = ("found by this project's differential tests",)
    refused = False

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for name, scale in smallest_scales(view).items():
            node = view.graph[name]
            inputs = compared(view, node)
            if all(_is_multiple(qparams.scale, scale) for qparams in inputs):
                continue
            out = view.out_qp(node)
            if out is not None and not out.usable:
                out = None  # per channel, or impossible (QP304): there is no one step to count in
            if out is not None and _is_unseen([item.scale for item in inputs], scale, out.scale):
                continue
            steps = float(math.ceil(scale / (2 * out.scale))) if out is not None else None
            yield self.finding(
                view,
                target,
                (node,),
                case="*",
                qparams=tuple((f"input {place}", str(qparams)) for place, qparams in enumerate(inputs)),
                bound_steps=steps,
                bound_value=steps * out.scale if steps is not None and out is not None else None,
                node=name,
                scale=scale,
            )


def _is_unseen(scales: list[float], grid: float, result: float) -> bool:
    """Whether the result is the same as if nothing had been rounded to ``grid``.

    This holds if the result is quantized to that grid itself. It also holds if the rounded operands are multiples of a
    coarser result's scale: half a step of the grid is less than half a step of the result, which restores their codes.
    """
    if abs(result / grid - 1.0) < _MULTIPLE:
        return True
    rounded = [scale for scale in scales if not _is_multiple(scale, grid)]
    return grid < result and all(_is_multiple(scale, result) for scale in rounded)


def _is_multiple(scale: float, of: float) -> bool:
    ratio = scale / of
    return round(ratio) >= 1 and abs(ratio - round(ratio)) < _MULTIPLE * ratio
