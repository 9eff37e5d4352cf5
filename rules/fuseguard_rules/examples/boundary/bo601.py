"""Examples of BO601, float-tail-leaves-delegate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import Arg
from fuseguard_rules.examples.boundary.refused_halves import REFUSED_HALVES, TAKEN_HALVES

if TYPE_CHECKING:
    import torch


#: op -> (ATen target, arguments after the value, channels of each part)
_SPLITS: dict[str, tuple[str, tuple[Arg, ...], tuple[int, ...]]] = {
    "split": ("aten.split.Tensor", (4, 1), (4, 4)),
    "split_with_sizes": ("aten.split_with_sizes.default", ((3, 1, 4), 1), (3, 1, 4)),
    "chunk": ("aten.chunk.default", (3, 1), (3, 3, 2)),
    "unbind": ("aten.unbind.int", (1,), ()),
}


def _split(*fates: str, op: str = "split") -> Callable[[], Graph]:
    """``fates`` say what becomes of each part: ``cpu``, ``index`` (which stays there, too), ``flip`` (so before 1.4),
    ``npu`` or ``output``.
    """

    def build() -> Graph:
        b = GraphBuilder()
        target, arguments, channels = _SPLITS[op]
        x = b.quantized_input("x", (1, 8 if channels else len(fates), 4, 4), int8(0.0487, 3))
        parts = b.call(target, x, *arguments)
        shapes = [(1, channels[number], 4, 4) if channels else (1, 4, 4) for number in range(len(fates))]
        values = [b.call("operator.getitem", parts, number, shape=shape) for number, shape in enumerate(shapes)]
        outputs = []
        for part, fate in zip(values, fates, strict=True):
            value = b.requantize(part, int8(0.0487, 3))
            if fate == "cpu":
                value = b.requantize(b.call("aten.exp.default", value, annotated=False), int8(0.0731, -128))
            elif fate == "index":
                rows = b.call("aten.arange.start_step", 1, -1, -1, shape=(2,), dtype="int32", annotated=False)
                value = b.call("aten.index.Tensor", value, (None, rows), shape=(1, 2, 4, 4))
                value = b.requantize(value, int8(0.0487, 3))
            elif fate == "flip":
                value = b.requantize(b.call("aten.flip.default", value, (2,)), int8(0.0487, 3))
            elif fate == "npu":
                value = b.requantize(b.call("aten.tanh.default", value), int8(0.00787, 3))
            outputs.append(value)
        return b.output(*outputs)

    return build


def _program() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.boundary.modules import shared_split

    return shared_split()


BAD = (
    Example(
        "split: one half through a block left in float",
        _split("cpu", "npu"),
        _program,
        unquantized=("float_block",),
    ),
    Example("split: one half through the CPU, the other an output", _split("cpu", "output")),
    Example("split: one half indexed after a whole dimension, the other an output", _split("index", "output")),
    Example("split: one half flipped, the other an output", _split("flip", "output"), only_on="<1.4"),
    Example("split: one half indexed after a whole dimension, the other computed with", _split("index", "npu")),
    Example("sizes: one of three parts through the CPU", _split("npu", "cpu", "npu", op="split_with_sizes")),
    Example("chunk: two of three parts through the CPU", _split("cpu", "npu", "cpu", op="chunk")),
    *REFUSED_HALVES,
)

GOOD = (
    Example("split: both halves on the accelerator", _split("npu", "npu"), _program),
    Example("split: both halves through the CPU", _split("cpu", "cpu")),
    Example("unbind, which becomes slices: one part through the CPU", _split("npu", "cpu", op="unbind")),
    *TAKEN_HALVES,
)
