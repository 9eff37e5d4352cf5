"""Examples of DT511, cast-rounds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_rules.examples.programs import program_of

_program = partial(program_of, "dtype.modules")

_SHAPE = (1, 4, 6, 6)
_CAST = "aten._to_copy.default"


def _cast(*dtypes: str, scale: float = 0.0237, rounded: bool = False) -> Callable[[], Graph]:
    """A negated input that is cast to each of ``dtypes`` in turn."""

    def build() -> Graph:
        b = GraphBuilder()
        qparams = int8(scale, -3)
        value = b.requantize(b.call("aten.neg.default", b.quantized_input("x", _SHAPE, qparams)), qparams)
        if rounded:
            value = b.call("aten.round.default", value, annotated=False)
        for dtype in dtypes:
            value = b.call(_CAST, value, dtype=dtype, annotated=False, kwargs={"dtype": dtype})
        return b.output(value)

    return build


BAD = (
    Example("float to int8", _cast("int8"), _program("cast_to_int8")),
    Example("float to int16", _cast("int16"), _program("cast_to_int16")),
    Example("float16 to int32", _cast("float16", "int32"), _program("half_cast_to_int32")),
    Example("float to int8 and back", _cast("int8", "float32")),
)

GOOD = (
    Example("float to int32", _cast("int32"), _program("cast_to_int32")),
    Example("float to int32 to int8", _cast("int32", "int8")),
    Example("rounded float to int8", _cast("int8", rounded=True)),
    Example("integers in float to int8", _cast("int8", scale=1.0)),
)
