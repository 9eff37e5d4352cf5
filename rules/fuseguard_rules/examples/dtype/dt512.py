"""Examples of DT512, function-misevaluated."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import Arg
from fuseguard_rules.examples.programs import program_of

_program = partial(program_of, "dtype.float_modules")

_SHAPE = (1, 4, 6, 6)
#: What Arm's quantizer leaves in float.
_LEFT = ("function",)


def _function(name: str, *numbers: Arg, scale: float = 0.0077, zero_point: int = -1) -> Callable[[], Graph]:
    """A function of floats after a negated input."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, int8(scale, -1 - zero_point))
        value = b.requantize(b.call("aten.neg.default", x), int8(scale, zero_point))
        return b.output(b.call(f"aten.{name}.default", value, *numbers, annotated=False))

    return build


def _of_floats(name: str, *numbers: Arg) -> Callable[[], Graph]:
    """The function of a float input, beside a quantized op."""

    def build() -> Graph:
        b = GraphBuilder()
        value = b.call(f"aten.{name}.default", b.input("x", (1, 4, 16, 16)), *numbers, annotated=False)
        y = b.quantized_input("y", _SHAPE, int8(0.0077, 0))
        return b.output(value, b.requantize(b.call("aten.neg.default", y), int8(0.0077, -1)))

    return build


def _after_average(name: str) -> Callable[[], Graph]:
    """The function of the average of four values, which is computed in NHWC."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", (1, 4, 8, 12), int8(0.0077, -1))
        pooled = b.requantize(b.call("aten.avg_pool2d.default", x, (2, 2), shape=(1, 4, 4, 6)), int8(0.0077, -1))
        return b.output(b.call(f"aten.{name}.default", pooled, annotated=False))

    return build


def _table(name: str, *numbers: Arg) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        value = b.quantized_input("x", _SHAPE, int8(0.0077, -1))
        return b.output(b.requantize(b.call(f"aten.{name}.default", value, *numbers), int8(0.0133, -40)))

    return build


BAD = (
    Example("float expm1", _function("expm1")),
    Example("float elu", _function("elu")),
    Example("float selu", _function("selu"), _program("selu"), unquantized=_LEFT),
    Example("float selu of a float input", _of_floats("selu")),
    Example("float celu with an alpha of 2", _function("celu", 2.0)),
    Example(
        "float log1p of -0.94 to 0",
        _function("log1p", scale=0.0037, zero_point=127),
        _program("log1p"),
        unquantized=_LEFT,
    ),
    Example("float atan", _function("atan")),
    Example("float asin", _function("asin")),
    Example("float asin of an average", _after_average("asin")),
    Example("float asinh of numbers down to -256", _function("asinh", scale=2.0, zero_point=-1)),
    Example("int8 elu with an alpha of 0.5", _table("elu", 0.5), only_on="<1.3"),
)

GOOD = (
    Example("int8 expm1", _table("expm1")),
    Example("float elu of a float input whose alpha is 0", _of_floats("elu", 0)),
    Example("float expm1 of multiples of 0.4", _function("expm1", scale=0.4)),
    Example("float log1p of positive numbers", _function("log1p", scale=0.0077, zero_point=-128)),
)
