"""Example graphs of OP704: a cat or stack of constants."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.ir import Arg, Graph, QParams
from fuseguard.ir.builder import GraphBuilder, int8, int16

_PART = (1, 4, 8, 8)
_QPARAMS, _AFTER = int8(0.0487, 3), int8(0.0971, -2)
WIDE, WIDE_AFTER = int16(0.000487), int16(0.000971)
#: Parts that are computed from a buffer: op and arguments.
_COMPUTED: dict[str, tuple[str, tuple[Arg, ...]]] = {
    "permute": ("aten.permute.default", ((0, 1, 3, 2),)),
    "sigmoid": ("aten.sigmoid.default", ()),
    "abs": ("aten.abs.default", ()),
}


def cat(*parts: str, qparams: QParams = _QPARAMS, after: QParams = _AFTER) -> Callable[[], Graph]:
    """A cat of ``parts`` plus an input.

    Each part is a ``buffer``, ``again`` (the first buffer once more), ``pair`` (a buffer that is requantized),
    ``float`` (a float buffer), a ``full``, an ``input`` or an op on a buffer.
    """

    def build() -> Graph:
        b = GraphBuilder()
        whole = (1, 4 * len(parts), 8, 8)
        x = b.quantized_input("x", whole, qparams)
        values = []
        for number, part in enumerate(parts):
            if part == "full":
                value = b.requantize(b.call("aten.full.default", _PART, number - 1.5, shape=_PART), qparams)
            elif part == "float":
                value = b.requantize(b.constant(f"part{number}", _PART, "float32"), qparams)
            elif part == "input":
                value = b.quantized_input(f"y{number}", _PART, qparams)
            else:
                codes = "part0" if part == "again" else b.constant(f"part{number}", _PART, qparams.dtype)
                value = b.dequantize(codes, qparams)
            if part in _COMPUTED:
                target, arguments = _COMPUTED[part]
                value = b.requantize(b.call(target, value, *arguments, shape=_PART), qparams)
            elif part == "pair":
                value = b.requantize(value, qparams)
            values.append(value)
        joint = b.requantize(b.call("aten.cat.default", tuple(values), 1, shape=whole), qparams)
        return b.output(b.requantize(b.call("aten.add.Tensor", joint, x), after))

    return build


def stack() -> Graph:
    """A stack of two buffers, plus an input."""
    b = GraphBuilder()
    whole = (1, 2, *_PART[1:])
    x = b.quantized_input("x", whole, _QPARAMS)
    values = tuple(b.dequantize(b.constant(f"part{number}", _PART), _QPARAMS) for number in range(2))
    joint = b.requantize(b.call("aten.stack.default", values, 1, shape=whole), _QPARAMS)
    return b.output(b.requantize(b.call("aten.add.Tensor", joint, x), _AFTER))
