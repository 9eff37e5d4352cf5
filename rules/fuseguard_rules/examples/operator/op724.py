"""Examples of OP724, result-is-delegate-input."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import Arg

_SHAPE = (1, 4, 4, 6)
_QPARAMS = int8(0.0487, 3)

#: Operator, arguments after the first, shape of the result.
_Step = tuple[str, tuple[Arg, ...], tuple[int, ...]]


def _of_input(*steps: _Step, beside: bool = True, after: bool = False) -> Callable[[], Graph]:
    """What ops make of the input, each of them quantized; ``beside`` its absolute values, or ``after`` these."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, _QPARAMS)
        value = b.requantize(b.call("aten.abs.default", x), _QPARAMS) if after else x
        for target, args, shape in steps:
            value = b.requantize(b.call(target, value, *args, shape=shape), _QPARAMS)
        if not beside:
            return b.output(value)
        return b.output(value, b.requantize(b.call("aten.abs.default", x), _QPARAMS))

    return build


_CLONE: _Step = ("aten.clone.default", (), _SHAPE)
_PERMUTED: _Step = ("aten.permute.default", ((0, 2, 3, 1),), (1, 4, 6, 4))
_RESTORED: _Step = ("aten.permute.default", ((0, 3, 1, 2),), _SHAPE)
_LONGER: _Step = ("aten.unsqueeze.default", (0,), (1, *_SHAPE))
_SHORTER: _Step = ("aten.squeeze.dims", ((0,),), _SHAPE)
_FLAT: _Step = ("aten.view.default", ((1, 96),), (1, 96))
_BACK: _Step = ("aten.view.default", (_SHAPE,), _SHAPE)

BAD = (
    Example("a clone of the input beside another op", _of_input(_CLONE)),
    Example("dropout of the input beside another op", _of_input(("aten.dropout.default", (0.5, False), _SHAPE))),
    Example("a view of the input to its shape, by way of another one, beside another op", _of_input(_FLAT, _BACK)),
    Example("a permute of the input there and back", _of_input(_PERMUTED, _RESTORED, beside=False)),
    Example("a dimension that is added to the input and removed", _of_input(_LONGER, _SHORTER, beside=False)),
    Example("a pad of the input by nothing", _of_input(("aten.constant_pad_nd.default", ((0, 0),), _SHAPE),
                                                       beside=False)),
)  # fmt: skip

GOOD = (
    Example("a clone of the input alone, which is not delegated", _of_input(_CLONE, beside=False)),
    Example("a clone of an op's result", _of_input(_CLONE, after=True)),
    Example("a permute of the input beside another op", _of_input(_PERMUTED)),
    Example("a slice of all of the input beside another op, which to_edge drops", _of_input(
        ("aten.slice.Tensor", (1, 0, 4), _SHAPE))),
)  # fmt: skip
