"""QP304: qparams that integer arithmetic cannot implement."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.quantized_values import Boundary, boundaries, passes_codes, reads_zero_point
from fuseguard.engine import Effect, EffectRow, EffectsTable, Evidence, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.ir.qparams import INTEGER_RANGES, can_scale
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.qparams.qp304")


class ImpossibleQParams(Rule):
    code = "QP304"
    name = "impossible-qparams"
    summary = "The scale, zero point, code range or channel count is one that no quantized tensor can have."
    why = (
        "Nothing between the quantizer and the serializer validates qparams. FoldAndAnnotateQParamsPass copies them "
        "into the operators, and _compute_multiplier_and_shift either asserts or serializes the result. A scale must "
        "be a positive normal float. A zero point and both ends of the code range must be codes of the dtype. "
        "Per-channel qparams must name an axis of the tensor and hold one scale for each of its channels."
    )
    remedy = (
        "Correct the observer or the tool that wrote these qparams. The usual cause is a range of zero width, or one "
        "that contains NaN or infinity (from an observer that never saw data, or saw infinities)."
    )
    scope = "node"
    message = "{value} is quantized with impossible qparams: {fault}"
    effects = EffectsTable(
        [
            EffectRow("scale", "*", "*", Effect.CRASH, reference="RescaleVisitor._compute_multiplier_and_shift"),
            EffectRow("scale-in-table", "*", "*", Effect.EXACT, reference="InsertTableOpsPass: no RESCALE"),
            EffectRow("zero-point", "*", "*", Effect.CRASH, reference="tosa.RESCALE: zero point outside valid range"),
            EffectRow("zero-point-read", "*", "*", Effect.WRONG, reference="operand input_zp wraps to 8 bits"),
            EffectRow("zero-point-passed", "*", "*", Effect.EXACT, reference="codes pass through, no zero point"),
            EffectRow("range", "*", "*", Effect.BOUNDED, reference="RESCALE knows no qmin and qmax"),
            EffectRow("channels", "*", "*", Effect.CRASH, Evidence.SOURCE_READ, "dequantize_per_channel asserts"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for boundary in boundaries(view):
            found = _fault(view, boundary)
            if found is None:
                continue
            aspect, text = found
            yield self.finding(
                view,
                target,
                boundary.nodes,
                case=_case(aspect, boundary, target),
                qparams=() if boundary.qparams.per_channel else ((boundary.label, str(boundary.qparams)),),
                value=boundary.label,
                fault=text,
            )


def _fault(view: View, boundary: Boundary) -> tuple[str, str] | None:
    """Which aspect is impossible, and how; the most severe first."""
    qparams = boundary.qparams
    for scale in qparams.scales:
        if not can_scale(scale):
            return "scale", f"scale {scale:g} is not a positive normal float"
    low, high = qparams.dtype_range
    if qparams.dtype in INTEGER_RANGES:
        for zero_point in qparams.zero_points:
            if not low <= zero_point <= high:
                return "zero-point", f"zero point {zero_point} is not a code of {qparams.dtype}"
    if qparams.qmin > qparams.qmax:
        return "range", f"qmin {qparams.qmin} is above qmax {qparams.qmax}"
    if qparams.qmin < low or qparams.qmax > high:
        return "range", f"codes [{qparams.qmin}, {qparams.qmax}] do not fit {qparams.dtype}"
    return _channel_fault(view, boundary) if qparams.per_channel else None


def _channel_fault(view: View, boundary: Boundary) -> tuple[str, str] | None:
    """Axis and channel count. The count is the length of the scales, which needs none of their values."""
    node, axis = boundary.quantizers[0], boundary.qparams.axis
    scales = view.graph.node_of(node.arg(1, "scales"))
    if axis is None or node.meta is None:
        return None
    if not -node.meta.rank <= axis < node.meta.rank:
        return "channels", f"axis {axis} of a tensor with {node.meta.rank} dimensions"
    channels = node.meta.shape[axis]
    counts = scales.meta.shape if scales is not None and scales.meta is not None else ()
    if channels is not None and len(counts) == 1 and counts[0] is not None and counts[0] != channels:
        return "channels", f"{counts[0]} scales for the {channels} channels on axis {axis}"
    return None


def _case(aspect: str, boundary: Boundary, target: Target) -> str:
    """The row of the effects table: how the ops around the value react to the fault."""
    passed = all(passes_codes(op, target) for op in boundary.ops) and not boundary.requantized
    scales = boundary.qparams.scales
    if aspect == "scale":
        negative = all(can_scale(abs(scale)) for scale in scales)
        return "scale-in-table" if passed and negative else "scale"
    if aspect == "zero-point":
        if passed:
            return "zero-point-passed"
        producer = boundary.producer
        rescaled = boundary.requantized or any(
            not passes_codes(op, target) and not reads_zero_point(op) for op in boundary.consumers
        )
        if rescaled or (producer is not None and not passes_codes(producer, target)):
            return "zero-point"
        return "zero-point-read"
    return aspect
