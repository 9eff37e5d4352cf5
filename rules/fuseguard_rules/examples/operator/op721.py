"""Examples of OP721, op-form-not-lowered."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_rules.examples.programs import program_of

_program = partial(program_of, "operator.form_modules")

_SHAPE = (1, 4, 6, 6)
_QPARAMS = int8(0.0237, -3)


def _padded(*amounts: int, shape: tuple[int, ...], mode: str = "constant") -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, _QPARAMS)
        return b.output(b.requantize(b.call("aten.pad.default", x, amounts, mode, shape=shape), _QPARAMS))

    return build


def _logical(name: str, dtype: str) -> Callable[[], Graph]:
    """A logical op of what an op of codes yields, cast to ``dtype``."""

    def build() -> Graph:
        b = GraphBuilder()
        value = b.requantize(b.call("aten.neg.default", b.quantized_input("x", _SHAPE, _QPARAMS)), _QPARAMS)
        if dtype != "float32":
            value = b.call("aten._to_copy.default", value, dtype=dtype, annotated=False, kwargs={"dtype": dtype})
        others = (value,) if name in ("logical_and", "logical_or", "logical_xor") else ()
        args = (1,) if name in ("any", "all") else others
        overload = "dim" if name in ("any", "all") else "default"
        shape = (1, 6, 6) if name in ("any", "all") else _SHAPE
        return b.output(b.call(f"aten.{name}.{overload}", value, *args, shape=shape, dtype="bool", annotated=False))

    return build


def _of_bools(target: str) -> Callable[[], Graph]:
    """An op of two comparisons."""

    def build() -> Graph:
        b = GraphBuilder()
        x, y = (b.quantized_input(name, _SHAPE, _QPARAMS) for name in ("x", "y"))
        masks = (b.call(f"aten.{name}.Tensor", x, y, dtype="bool") for name in ("gt", "lt"))
        return b.output(b.call(target, *masks, dtype="bool", annotated=False))

    return build


def _added(dim: int) -> Callable[[], Graph]:
    """Two rows or channels of an input, added to the codes of another one."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", (4, 4, 6), _QPARAMS)
        index = b.constant("index", (2,), dtype="int32", values=(0, 2))
        shape = (2, 4, 6) if dim == 0 else (4, 2, 6)
        y = b.quantized_input("y", shape, _QPARAMS)
        added = b.call("aten.index_add.default", x, dim, index, y, shape=(4, 4, 6), annotated=False)
        return b.output(b.requantize(added, _QPARAMS))

    return build


BAD = (
    Example("pad that crops", _padded(-1, -1, -1, -1, shape=(1, 4, 4, 4)), _program("cropped")),
    Example("pad that crops and pads", _padded(-1, 2, shape=(1, 4, 6, 7)), _program("moved")),
    Example("logical_not of numbers", _logical("logical_not", "float32"), _program("inverted_numbers")),
    Example("logical_and of numbers", _logical("logical_and", "float32")),
    Example("any of numbers", _logical("any", "float32"), _program("any_number")),
    Example("all of numbers", _logical("all", "float32"), _program("all_numbers")),
    Example("logical_not of int32", _logical("logical_not", "int32"), _program("inverted_integers")),
    Example("bools that are equal", _of_bools("aten.eq.Tensor"), _program("equal_bools")),
    Example("bools that are added", _of_bools("aten.add.Tensor")),
    Example("larger one of two bools", _of_bools("aten.maximum.default")),
    Example("index_add to columns", _added(1), _program("added_to_columns")),
)

GOOD = (
    Example("bools of which one is true", _of_bools("aten.logical_xor.default")),
    Example("pad by nothing negative", _padded(1, 2, shape=(1, 4, 6, 9)), _program("padded")),
    Example("logical_not of bools", _logical("logical_not", "bool"), _program("inverted_bools")),
    Example("index_add to rows", _added(0), _program("added_to_rows")),
)
