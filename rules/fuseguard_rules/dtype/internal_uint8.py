"""DT504: uint8 codes at an operator; the backend has uint8 at the program's inputs and outputs alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fuseguard.engine import Effect, EffectsTable, Example, Finding, Rule
from fuseguard.ir import Graph, QParams, Trait, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.qparams.boundaries import Boundary, boundaries
from fuseguard_rules.qparams.evidence import seen

_SHAPE = (1, 4, 4, 4)
_IN, _OUT = int8(0.0487, 3), int8(0.0713, 2)


def _uint8(scale: float, zero_point: int) -> QParams:
    return QParams.per_tensor(scale, zero_point, 0, 255, "uint8")


def _conv(data: QParams, out: QParams, *, requantized: bool = False) -> Callable[[], Graph]:
    """``requantized``: uint8 at input and output, int8 at the convolution, as the quantizer's set_io makes it."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, data)
        x = b.requantize(x, _IN) if requantized else x
        weight = b.quantized_constant("weight", (4, 4, 1, 1), 0.01031)
        value = b.call("aten.conv2d.default", x, weight, None, shape=_SHAPE)
        value = b.requantize(value, _OUT) if requantized else value
        return b.output(b.requantize(value, out))

    return build


def _unary(target: str, qparams: QParams, out: QParams, *args: object) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, qparams)
        return b.output(b.requantize(b.call(target, x, *args, shape=_SHAPE), out))  # type: ignore[arg-type]

    return build


def _between() -> Graph:
    b = GraphBuilder()
    x, y = b.quantized_input("x", _SHAPE, _IN), b.quantized_input("y", _SHAPE, int8(0.0311, -5))
    value = b.requantize(b.call("aten.add.Tensor", x, y), _uint8(0.0487, 128))
    return b.output(b.requantize(b.call("aten.mul.Tensor", value, y), _OUT))


class InternalUint8(Rule):
    code = "DT504"
    name = "internal-uint8"
    summary = "An operator reads or writes uint8 codes, which the backend supports at inputs and outputs alone."
    why = (
        "TOSA has no uint8 tensors. The backend carries uint8 as flags on the RESCALE at the program's inputs and "
        "outputs, where the quantizer requantizes to int8; every pass behind it asks for int8 or int16. Convolutions, "
        "tables and pools refuse uint8 in lowering; element-wise ops and data movement take the codes for something "
        "else without a word."
    )
    remedy = (
        "Quantize to int8 inside the program. For uint8 at its boundary use the quantizer's set_io, or insert a "
        "quantize/dequantize pair with int8 qparams between the uint8 value and the operator."
    )
    scope = "node"
    preview = True
    message = "{value} is uint8 at {ops}; uint8 is for the program's inputs and outputs alone"
    effects = EffectsTable(
        [
            *seen("refused", Effect.CRASH, "TOSA dialect: Unsupported input dtype uint8", {">=1.5": ("INT+FP",)}),
            *seen("taken", Effect.WRONG, "InsertRescaleInt32Pass skips what is not int8", {">=1.5": ("INT+FP",)}),
        ]
    )
    bad = (
        Example("uint8 into a conv", _conv(_uint8(0.0487, 131), _OUT)),
        Example("uint8 out of a conv", _conv(_IN, _uint8(0.0713, 131))),
        Example("uint8 through a sigmoid", _unary("aten.sigmoid.default", _uint8(0.0487, 131), _uint8(1 / 256, 0))),
        Example("uint8 between add and mul", _between),
        Example(
            "uint8 through a permute",
            _unary("aten.permute.default", _uint8(0.0487, 131), _uint8(0.0487, 131), (0, 2, 1, 3)),
        ),
    )
    good = (
        Example(
            "uint8 at input and output, int8 at the conv",
            _conv(_uint8(0.0487, 131), _uint8(0.0713, 130), requantized=True),
        ),
        Example("int8 throughout", _conv(_IN, _OUT)),
    )
    references = ("executorch #21393", "executorch #20976", "class 21 of the project's catalogue")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for boundary in boundaries(view):
            if boundary.qparams.dtype != "uint8" or not boundary.ops:
                continue
            yield self.finding(
                view,
                target,
                boundary.nodes,
                case="taken" if all(_takes(op.info.traits) for op in boundary.ops) else "refused",
                qparams=((boundary.label, str(boundary.qparams)),),
                value=boundary.label,
                ops=_named(boundary),
            )


def _takes(traits: Trait) -> bool:
    """Whether lowering accepts the codes in silence."""
    return bool(traits & (Trait.RESCALED | Trait.TRANSPARENT))


def _named(boundary: Boundary) -> str:
    return ", ".join(op.name for op in boundary.ops)
