"""QP303: a zero point where TOSA allows none, on int16 and int32 codes or on weights."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.quantized_values import (
    Boundary,
    boundaries,
    computes_in_float,
    full_int16,
    passes_codes,
    reads_zero_point,
)
from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rule
from fuseguard.ir import Graph, QParams, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.qparams import INTEGER_RANGES
from fuseguard.target import Target

_WIDE = ("int16", "int32")
_SHAPE = (1, 4, 4, 4)
_INT16 = ("int16",)


def _between_adds(middle: QParams) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", _SHAPE, full_int16(0.000187))
    y = b.quantized_input("y", _SHAPE, full_int16(0.000311))
    value = b.requantize(b.call("aten.add.Tensor", x, y), middle)
    return b.output(b.requantize(b.call("aten.mul.Tensor", value, y), full_int16(0.000713)))


def _permuted(qparams: QParams) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", _SHAPE, qparams)
    return b.output(b.requantize(b.call("aten.permute.default", x, (0, 2, 1, 3)), qparams))


def _behind_float(qparams: QParams, *readers: str, annotated: bool = True) -> Graph:
    """A product of floats, quantized, and perhaps ops on it, the last one symmetric again."""
    b = GraphBuilder()
    x = b.input("x", _SHAPE)
    value = b.requantize(b.call("aten.mul.Tensor", x, x, annotated=False), qparams)
    for target in readers:
        value = b.call(target, value, annotated=annotated)
        value = b.requantize(value, full_int16(0.000187)) if annotated else value
    return b.output(value)


def _requantized(before: QParams, after: QParams) -> Graph:
    b = GraphBuilder()
    value = b.call("aten.permute.default", b.quantized_input("x", _SHAPE, before), (0, 2, 1, 3))
    return b.output(b.requantize(b.requantize(value, before), after))


def _conv(zero_point: int) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", _SHAPE, int8(0.0487, 3))
    weight = b.quantized_constant("weight", (4, 4, 1, 1), 0.01031)
    stored = QParams.per_tensor(0.0487 * 0.01031, zero_point, -(2**31) + 1, 2**31 - 1, "int32")
    bias = b.dequantize(b.constant("bias", (4,), "int32"), stored)
    return b.output(b.requantize(b.call("aten.conv2d.default", x, weight, bias, shape=_SHAPE), int8(0.0713, 2)))


def _wide_conv(qparams: QParams) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", _SHAPE, qparams)
    weight = b.quantized_constant("weight", (4, 4, 1, 1), 0.01031)
    value = b.call("aten.conv2d.default", x, weight, None, shape=_SHAPE)
    return b.output(b.requantize(value, full_int16(0.000713)))


class IllegalZeroPoint(Rule):
    code = "QP303"
    name = "illegal-zero-point"
    summary = "A zero point other than 0 on int16 or int32 codes, where TOSA allows none."
    why = (
        "TOSA has zero points for 8-bit codes alone: RESCALE, CONV2D and MATMUL want 0 for int16 and int32, and the "
        "bias of a convolution is added to the accumulator as it is. Arm's A16W8 configuration is symmetric, so it "
        "never makes one; an affine 16-bit configuration does. An op that only passes codes on, or looks them up in "
        "a table made on the host, never meets the zero point, and quantizing a float is arithmetic on floats."
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
    bad = (
        Example("int16 zero point 7 behind an add", lambda: _between_adds(full_int16(0.000287, 7)), extensions=_INT16),
        Example("int16 zero point 7 through a permute", lambda: _permuted(full_int16(0.000187, 7)), extensions=_INT16),
        Example(
            "int16 requantized to zero point 7",
            lambda: _requantized(full_int16(0.000187), full_int16(0.000187, 7)),
            extensions=_INT16,
        ),
        Example(
            "int16 zero point 7 requantized to 0",
            lambda: _requantized(full_int16(0.000187, 7), full_int16(0.000187)),
            extensions=_INT16,
        ),
        Example(
            "int16 zero point 7 of a float op's result into an abs",
            lambda: _behind_float(full_int16(0.000187, 7), "aten.abs.default"),
            extensions=_INT16,
        ),
        Example("bias with zero point 500", lambda: _conv(500)),
        Example("int16 zero point 7 into a conv", lambda: _wide_conv(full_int16(0.000187, 7)), extensions=_INT16),
    )
    good = (
        Example("symmetric int16 between add and mul", lambda: _between_adds(full_int16(0.000287)), extensions=_INT16),
        Example("symmetric bias", lambda: _conv(0)),
        Example(
            "int16 zero point 7 of a float op's result",
            lambda: _behind_float(full_int16(0.000187, 7)),
            extensions=_INT16,
        ),
        Example(
            "int16 zero point 7 between float ops",
            lambda: _behind_float(full_int16(0.000187, 7), "aten.exp.default", annotated=False),
            extensions=_INT16,
        ),
    )
    references = ("class 16 of the project's catalogue",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for boundary in boundaries(view):
            qparams = boundary.qparams
            if qparams.dtype not in _WIDE or not any(qparams.zero_points):
                continue
            if boundary.ops and all(map(computes_in_float, boundary.ops)) and not boundary.requantized:
                continue
            low, high = INTEGER_RANGES[qparams.dtype]
            if any(not low <= zero_point <= high for zero_point in qparams.zero_points):
                continue  # QP304's: no code of the dtype at all
            yield self.finding(
                view,
                target,
                boundary.nodes,
                case=_case(boundary),
                qparams=() if qparams.per_channel else ((boundary.label, str(qparams)),),
                value=boundary.label,
                zero_point=next(zero_point for zero_point in qparams.zero_points if zero_point),
                dtype=qparams.dtype,
            )


def _case(boundary: Boundary) -> str:
    """What reads the zero point: the row of the effects table."""
    producer = boundary.producer
    if boundary.constant and boundary.qparams.dtype == "int32":
        return "bias"
    if boundary.requantized:
        return "rescaled"
    if producer is not None and not passes_codes(producer):
        return "rescaled"
    readers = [op for op in boundary.consumers if not passes_codes(op)]
    if any(not reads_zero_point(op) for op in readers):
        return "rescaled"
    return "anchor-input" if readers else "passed"
