"""Examples of DT510, reduction-of-raw-numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fuseguard.engine import Example
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import Arg

if TYPE_CHECKING:
    import torch

_SHAPE = (1, 4, 6, 6)
_REDUCED = (1, 1, 6, 6)
_OUT = int8(0.0713, 2)
_CUMSUM, _SUM, _PROD = "aten.cumsum.default", "aten.sum.dim_IntList", "aten.prod.dim_int"


def _of(
    read: str,
    target: str,
    *args: Arg,
    shape: tuple[int, ...] = _REDUCED,
    dtype: str = "float32",
    cast: str = "",
    quantized: QParams | None = None,
    scaled: bool = False,
) -> Callable[[], Graph]:
    """A reduction of an input of the dtype ``read``, or of what it is ``cast`` to; ``dtype`` is that of its result.

    ``quantized``: Arm's quantizer has marked it, and its result has these qparams; ``scaled``: it is multiplied then.
    """

    def build() -> Graph:
        b = GraphBuilder()
        data = b.input("x", _SHAPE, read)
        if cast:
            data = b.call("aten._to_copy.default", data, dtype=cast, annotated=False, kwargs={"dtype": cast})
        kwargs = {"dtype": dtype} if "amax" not in target else {}
        value = b.call(target, data, *args, shape=shape, dtype=dtype, annotated=quantized is not None, kwargs=kwargs)
        value = b.requantize(value, quantized) if quantized is not None else value
        if scaled:
            factor = b.quantized_input("factor", shape, int8(0.0487, 3))
            value = b.requantize(b.call("aten.mul.Tensor", value, factor, shape=shape), int8(0.5, -4))
        return b.output(value)

    return build


def _program() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.dtype.modules import positions_counted

    return positions_counted()


def _counts() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.dtype.modules import counts_summed

    return counts_summed()


BAD = (
    Example("cumsum of bools in float", _of("bool", _CUMSUM, 1, shape=_SHAPE), _program),
    Example("cumsum of int32 in int32", _of("int32", _CUMSUM, 1, shape=_SHAPE, dtype="int32")),
    Example("sum of bools in float", _of("bool", _SUM, (1,), True)),
    Example("sum of bools in int32", _of("bool", _SUM, (1,), True, dtype="int32")),
    Example("sum of int8 numbers in int32", _of("int8", _SUM, (1,), True, dtype="int32")),
    Example("sum of int32 in float", _of("int8", _SUM, (1,), True, cast="int32")),
    Example("quantized sum of int32 in float", _of("int8", _SUM, (1,), True, cast="int32", quantized=_OUT)),
    Example(
        "scaled sum of int32 in float",
        _of("int8", _SUM, (1,), True, cast="int32", quantized=_OUT, scaled=True),
        _counts,
    ),
    Example(
        "scaled sum of int32 without a zero point",
        _of("int8", _SUM, (1,), True, cast="int32", quantized=int8(0.0713), scaled=True),
    ),
    Example("product of bools in float", _of("bool", _PROD, 1, True)),
    Example("amax of bools", _of("bool", "aten.amax.default", (1,), True, dtype="bool")),
)

GOOD = (
    Example("cumsum of bools in int64", _of("bool", _CUMSUM, 1, shape=_SHAPE, dtype="int64")),
    Example("cumsum of bools that are cast to float", _of("bool", _CUMSUM, 1, shape=_SHAPE, cast="float32")),
)
