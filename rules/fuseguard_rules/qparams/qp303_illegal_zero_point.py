"""QP303: a zero point where TOSA allows none, on int16 and int32 codes or on weights."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.quantized_values import Boundary, boundaries, passes_codes, reads_zero_point, stays_in_float
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.ir.qparams import INTEGER_RANGES
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.qparams.qp303")

_WIDE = ("int16", "int32")


class IllegalZeroPoint(Rule):
    code = "QP303"
    name = "illegal-zero-point"
    summary = "int16 or int32 codes have a zero point other than 0, which TOSA does not allow."
    why = (
        "TOSA has zero points only for 8-bit codes: RESCALE, CONV2D and MATMUL require 0 for int16 and int32, and the "
        "bias of a convolution is added to the accumulator unchanged. Arm's A16W8 configuration is symmetric, so it "
        "never makes one; an affine 16-bit configuration does. An op that only passes codes on, or looks them up in a "
        "table made on the host, does not use the zero point, and quantizing a float is float arithmetic."
    )
    remedy = "Quantize 16-bit activations and 32-bit biases symmetrically (torch.per_tensor_symmetric, zero point 0)."
    scope = "node"
    message = "{value} has zero point {zero_point} on {dtype} codes; TOSA allows only 0"
    effects = EffectsTable(
        [
            EffectRow("rescaled", "*", "*", Effect.CRASH, reference="tosa.RESCALE: requires zp to be zero"),
            EffectRow("anchor-input", "*", "*", Effect.RUNTIME_FAULT, reference="the reference model aborts"),
            EffectRow("bias", "*", "*", Effect.WRONG, reference="RewriteConvPass reads no zero point of the bias"),
            EffectRow("passed", "*", "*", Effect.EXACT, reference="codes pass through, no zero point"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for boundary in boundaries(view):
            qparams = boundary.qparams
            if qparams.dtype not in _WIDE or not any(qparams.zero_points):
                continue
            float_ops = [stays_in_float(op, target) for op in boundary.ops]
            if float_ops and all(float_ops) and not boundary.requantized:
                continue
            low, high = INTEGER_RANGES[qparams.dtype]
            if any(not low <= zero_point <= high for zero_point in qparams.zero_points):
                continue  # QP304's: not a code of the dtype
            yield self.finding(
                view,
                target,
                boundary.nodes,
                case=_case(boundary, target),
                qparams=() if qparams.per_channel else ((boundary.label, str(qparams)),),
                value=boundary.label,
                zero_point=next(zero_point for zero_point in qparams.zero_points if zero_point),
                dtype=qparams.dtype,
            )


def _case(boundary: Boundary, target: Target) -> str:
    """What reads the zero point: the row of the effects table."""
    producer = boundary.producer
    if boundary.constant and boundary.qparams.dtype == "int32":
        return "bias"
    if boundary.requantized:
        return "rescaled"
    if producer is not None and not passes_codes(producer, target):
        return "rescaled"
    readers = [op for op in boundary.consumers if not passes_codes(op, target)]
    if any(not reads_zero_point(op) for op in readers):
        return "rescaled"
    return "anchor-input" if readers else "passed"
