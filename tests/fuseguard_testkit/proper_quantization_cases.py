"""Small programs that tell apart what an INT-only backend asks of an op's quantization, and what it should answer.

Torch-free: the answers are held against the model everywhere, and against the installed backend in tests/releases.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fuseguard.backend.proper_quantization import Refusal
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import Arg

#: ``checked``: CheckProperQuantization targets it; ``free``: nobody asks; ``unlisted``: no INT list has it.
Way: TypeAlias = Literal["checked", "free", "unlisted"]
#: ``quantized``: DQ -> op -> Q. ``bare``: no Q, a permute reads it. ``both``: a Q and a permute read it. ``moved``: a
#: permute comes between DQ and op. ``float operand``: the last operand is a float input.
Variant: TypeAlias = Literal["quantized", "bare", "both", "moved", "float operand"]

SHAPE = (1, 4, 8, 8)
QPARAMS = int8(0.0487, 3)
PERMUTE = "aten.permute.default"

_CHECKED: dict[Variant, Refusal | None] = {
    "quantized": None,
    "bare": Refusal.FLOAT_OUTPUT,
    "both": Refusal.FLOAT_OUTPUT,
    "moved": Refusal.FLOAT_INPUT,
    "float operand": Refusal.FLOAT_INPUT,
}


@dataclass(frozen=True, slots=True)
class Op:
    """An ATen operator: target, arguments after its tensors, shape and dtype of the result, number of tensors."""

    target: str
    way: Way
    rest: tuple[Arg, ...] = ()
    shape: tuple[int, ...] = SHAPE
    tensors: int = 1
    dtype: str = "float32"
    takes: tuple[int, ...] = SHAPE
    since: str = ""


_HALVED = (1, 4, 4, 4)
_REDUCED = (1, 1, 8, 8)
_PAIR = ("eq", "ge", "gt", "le", "lt")

#: The 21 kinds of which the project once had two models that disagreed, and others that either of them had wrong.
OPS: tuple[Op, ...] = (
    Op("aten.relu.default", "checked"),
    Op("aten.hardtanh.default", "checked", (0.0, 6.0)),
    Op("aten.neg.default", "checked"),
    Op("aten.avg_pool2d.default", "checked", ((2, 2), (2, 2)), _HALVED),
    Op("aten.max_pool2d.default", "checked", ((2, 2), (2, 2)), _HALVED),
    Op("aten.mean.dim", "checked", ((1,), True), _REDUCED),
    Op("aten.upsample_nearest2d.vec", "checked", (None, (2.0, 2.0)), (1, 4, 16, 16)),
    Op("aten.upsample_bilinear2d.vec", "checked", (None, False, (2.0, 2.0)), (1, 4, 16, 16)),
    Op("aten.full_like.default", "checked", (0.5,)),
    Op("aten.abs.default", "free"),
    Op("aten.sum.dim_IntList", "free", ((1,), True), _REDUCED),
    Op("aten.maximum.default", "free", tensors=2),
    Op("aten.minimum.default", "free", tensors=2),
    *(Op(f"aten.{kind}.Tensor", "free", tensors=2, dtype="bool") for kind in _PAIR),
    Op("aten.ne.Tensor", "unlisted", tensors=2, dtype="bool"),
    Op("aten.addmm.default", "unlisted", shape=(8, 8), tensors=3, takes=(8, 8)),
    Op("aten.sigmoid.default", "checked"),
    Op("aten.square.default", "checked"),
    Op("aten.add.Tensor", "checked", tensors=2),
    Op("aten.mm.default", "checked", shape=(8, 8), tensors=2, takes=(8, 8)),
    Op("aten.adaptive_avg_pool2d.default", "checked", ((1, 1),), (1, 4, 1, 1)),
    Op("aten.adaptive_avg_pool2d.default", "free", ((2, 2),), (1, 4, 2, 2)),
    Op("aten.amax.default", "free", ((1,), True), _REDUCED),
    Op("aten.clamp.default", "free", (0.0, 2.0)),
    Op("aten.cat.default", "free", (1,), (1, 8, 8, 8), 2),
    Op("aten.pow.Tensor_Tensor", "free", tensors=2),
    Op("aten.sign.default", "free"),
    Op("aten.sqrt.default", "unlisted"),
    Op("aten.logit.default", "unlisted"),
    Op("aten.div.Tensor", "unlisted", tensors=2),
    Op("aten.add.Scalar", "unlisted", (0.3,)),
    Op("aten.mean.default", "unlisted", shape=()),
    Op("aten.softmax.int", "unlisted", (1,)),
    Op("aten.log10.default", "checked", since="1.3"),
    Op("aten.remainder.Scalar", "checked", (0.5,), since="1.3"),
    Op("aten.leaky_relu.default", "checked", since="1.4"),
    Op("aten.round.default", "checked", since="1.4"),
)


@dataclass(frozen=True, slots=True)
class Case:
    """``op`` is the node of ``graph()`` that is asked about: the only call with its target."""

    op: Op
    variant: Variant

    def __str__(self) -> str:
        return f"{self.op.target.removeprefix('aten.')}{list(self.op.shape)} {self.variant}"

    def expected(self, release_in_list: bool = True) -> Refusal | None:
        """What the backend should say; ``release_in_list``: the release is not older than ``op.since``."""
        if self.op.way == "unlisted" or not release_in_list:
            return Refusal.UNLISTED
        return _CHECKED[self.variant] if self.op.way == "checked" else None

    def graph(self) -> Graph:
        b = GraphBuilder()
        names = "xyz"[: self.op.tensors]
        values = [b.quantized_input(name, self.op.takes, QPARAMS) for name in names]
        if self.variant == "moved":
            values[0] = _permuted(b, values[0], self.op.takes)
        if self.variant == "float operand":
            values[-1] = b.input("plain", self.op.takes)
        args: tuple[Arg, ...] = (tuple(values),) if self.op.target.startswith("aten.cat") else tuple(values)
        made = b.call(self.op.target, *args, *self.op.rest, shape=self.op.shape, dtype=self.op.dtype)
        moved = [_permuted(b, made, self.op.shape, self.op.dtype)] if self.variant in ("bare", "both") else []
        ends = moved if self.variant == "bare" else [made, *moved]
        return b.output(*(value if self.op.dtype == "bool" else b.requantize(value, QPARAMS) for value in ends))


def _permuted(b: GraphBuilder, value: str, shape: tuple[int, ...], dtype: str = "float32") -> str:
    if len(shape) < 2:
        return b.call("aten.unsqueeze.default", value, 0, shape=(1, *shape), dtype=dtype)
    order = (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2)
    return b.call(PERMUTE, value, order, shape=tuple(shape[axis] for axis in order), dtype=dtype)


def cases() -> Iterator[Case]:
    """Every op in every variant that it has."""
    for op in OPS:
        for variant in _CHECKED:
            if variant != "float operand" or op.tensors > 1:
                yield Case(op, variant)


def fused_graph(activation: str, zero_point: int, *bounds: float, anchor: str = "conv2d") -> Graph:
    """An anchor whose output qparams sit on its activation."""
    b = GraphBuilder()
    if anchor == "mm":
        first, second = (b.quantized_input(name, (8, 8), QPARAMS) for name in "xy")
        made = b.call("aten.mm.default", first, second, shape=(8, 8))
    else:
        x, weight = b.quantized_input("x", SHAPE, QPARAMS), b.quantized_constant("weight", (4, 4, 1, 1))
        made = b.call("aten.conv2d.default", x, weight, shape=SHAPE)
    return b.output(b.requantize(b.call(f"aten.{activation}.default", made, *bounds), int8(0.02, zero_point)))
