"""Examples of QP307, float-mean-rounded."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fuseguard.engine import Example
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import Arg
from fuseguard_rules.examples.programs import program_of

_program = partial(program_of, "qparams.mean_modules")

_SHAPE, _POOLED = (1, 4, 6, 6), (1, 4, 1, 1)
_VOLUME, _POINT = (1, 4, 2, 4, 4), (1, 4, 1, 1, 1)
_QPARAMS = int8(0.05, 3)

#: What Arm's quantizer leaves in float.
_HEAD = ("head",)


def _graph(
    target: str,
    *args: Arg,
    given: tuple[int, ...] = _SHAPE,
    shape: tuple[int, ...] = _POOLED,
    after: QParams | None = None,
    through: str = "",
) -> Callable[[], Graph]:
    """An op left in float on absolute values, its result in float or quantized; ``through`` an op in front of it."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", given, _QPARAMS)
        value = b.requantize(b.call("aten.abs.default", x), _QPARAMS)
        if through:
            value = b.call(through, value, annotated=False)
        result = b.call(target, value, *args, shape=shape, annotated=False)
        return b.output(result if after is None else b.requantize(result, after))

    return build


_MEAN: tuple[str, tuple[int, int], bool] = ("aten.mean.dim", (2, 3), True)

BAD = (
    Example("float mean of codes", _graph(*_MEAN), _program("pooled"), unquantized=_HEAD),
    Example("float mean of codes, quantized with another scale", _graph(*_MEAN, after=int8(0.07, -100))),
    Example("adaptive average pool to one element in float", _graph("aten.adaptive_avg_pool2d.default", (1, 1))),
    Example(
        "adaptive average pool of volumes, which Arm's quantizer leaves in float",
        _graph("aten.adaptive_avg_pool3d.default", (1, 1, 1), given=_VOLUME, shape=_POINT, after=int8(0.02, -128)),
        _program("pooled_volume"),
    ),
    Example("float variance of codes", _graph("aten.var.correction", (2, 3), shape=(1, 4))),
    Example(
        "float layer norm of codes",
        _graph("aten.layer_norm.default", (6,), shape=_SHAPE),
        _program("normalized"),
        unquantized=_HEAD,
    ),
)

GOOD = (
    Example("float mean of floats that a relu makes of codes", _graph(*_MEAN, through="aten.relu.default")),
    Example("float mean of codes, quantized with their own scale", _graph(*_MEAN, after=_QPARAMS)),
    Example("float mean of one value each", _graph("aten.mean.dim", (0,), True, shape=_SHAPE)),
    Example(
        "adaptive average pool to four elements in float",
        _graph("aten.adaptive_avg_pool2d.default", (2, 2), shape=(1, 4, 2, 2)),
    ),
    Example(
        "adaptive average pool of rows in float, which has a view in front of it",
        _graph("aten.adaptive_avg_pool1d.default", (1,), given=(1, 4, 16), shape=(1, 4, 1)),
    ),
    Example("float sum of codes", _graph("aten.sum.dim_IntList", (2, 3), True)),
)
