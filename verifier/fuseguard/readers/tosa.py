"""Reads a TOSA flatbuffer: what a delegate of Arm's TOSA backend holds.

Fields are numbered as in tosa_1.0.fbs and tosa_1.1.fbs of executorch (backends/arm/tosa/schemas); both have those that
are read at the same places. tests/readers/test_tosa.py compares with the classes of tosa-tools.
"""

from __future__ import annotations

from fuseguard.ir.tosa import TosaOp, TosaProgram, TosaTensor
from fuseguard.readers.budget import Budget
from fuseguard.readers.flatbuffer import MalformedBuffer, Table, root

IDENTIFIER = b"TOSA"
# The largest delegates that are known have 5,000 operators.
MAX_OPS = 50_000
MAX_OPERANDS = 4096
MAX_RANK = 64
# Bytes of a constant whose values are kept: multipliers, shifts and zero points of 4,096 channels.
MAX_CONSTANT = 16 * 1024

# TosaTensor, TosaOperator, TosaBasicBlock, TosaRegion, TosaGraph, Version, ClampAttribute
_NAME, _SHAPE, _TYPE, _DATA = 0, 1, 2, 3
_OP, _ATTRIBUTE_TYPE, _ATTRIBUTE, _INPUTS, _OUTPUTS = 0, 1, 2, 3, 4
_OPERATORS, _TENSORS, _BLOCK_INPUTS, _BLOCK_OUTPUTS = 1, 2, 3, 4
_BLOCKS = 1
_VERSION, _REGIONS = 0, 1
_MIN_VAL, _MAX_VAL = 0, 1

_DTYPE_NAMES = (
    "UNKNOWN BOOL INT4 INT8 INT16 INT32 INT48 FP32 FP16 BF16 SHAPE FP8E4M3 FP8E5M2 FP6E2M3 FP6E3M2 FP4E2M1 FP8UE8M0 "
    "INT64 MXINT8"
)
_OP_NAMES = (
    "UNKNOWN ARGMAX AVG_POOL2D CONV2D CONV3D DEPTHWISE_CONV2D FFT2D MATMUL MAX_POOL2D RFFT2D TRANSPOSE_CONV2D CLAMP "
    "ERF SIGMOID TANH ADD ARITHMETIC_RIGHT_SHIFT BITWISE_AND BITWISE_OR BITWISE_XOR INTDIV LOGICAL_AND "
    "LOGICAL_LEFT_SHIFT LOGICAL_RIGHT_SHIFT LOGICAL_OR LOGICAL_XOR MAXIMUM MINIMUM MUL POW SUB TABLE ABS BITWISE_NOT "
    "CEIL CLZ COS EXP FLOOR LOG LOGICAL_NOT NEGATE RECIPROCAL RSQRT SIN SELECT EQUAL GREATER GREATER_EQUAL REDUCE_ALL "
    "REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PRODUCT REDUCE_SUM CONCAT PAD RESHAPE REVERSE SLICE TILE TRANSPOSE GATHER "
    "SCATTER RESIZE CAST RESCALE CONST IDENTITY CUSTOM COND_IF WHILE_LOOP VARIABLE VARIABLE_WRITE VARIABLE_READ "
    "CONST_SHAPE MATMUL_T_BLOCK_SCALED CAST_FROM_BLOCK_SCALED CAST_TO_BLOCK_SCALED DIM CONCAT_SHAPE ADD_SHAPE "
    "SUB_SHAPE MUL_SHAPE SLICE_SHAPE EXP2_SHAPE LOG2_CEIL_SHAPE LOG2_FLOOR_SHAPE MAX_SHAPE MIN_SHAPE MOD_SHAPE "
    "DIV_CEIL_SHAPE DIV_FLOOR_SHAPE ASSERT_EQUAL_SHAPE CONV2D_BLOCK_SCALED MAX_POOL2D_ADAPTIVE AVG_POOL2D_ADAPTIVE"
)
_DTYPES, _OPS = _DTYPE_NAMES.split(), _OP_NAMES.split()
#: The operators of TOSA 1.0 by number, from 1 on.
OPERATORS: tuple[str, ...] = tuple(_OPS)
_CLAMP_ATTRIBUTE = 11  # of the union Attribute
_WIDTHS = {"INT8": 1, "INT16": 2, "INT32": 4, "INT48": 6}


def read_tosa(buffer: bytes | memoryview, budget: Budget) -> TosaProgram:
    """The first block of the first region. Raises MalformedBuffer, OverBudget."""
    graph = root(buffer, IDENTIFIER)
    version = graph.table(_VERSION)
    if version is None:
        raise MalformedBuffer("it has no version")
    region = next(graph.tables(_REGIONS, 1024), None)
    block = next(region.tables(_BLOCKS, 1024), None) if region is not None else None
    if block is None:
        raise MalformedBuffer("it has no block")
    kept = _Kept(budget)
    tensors = {tensor.name: tensor for item in block.tables(_TENSORS, 4 * MAX_OPS) if (tensor := _tensor(item, kept))}
    ops = tuple(_op(item, kept) for item in block.tables(_OPERATORS, MAX_OPS))
    return TosaProgram(
        version=(version.scalar(0, "i", -1), version.scalar(1, "i", -1)),
        ops=ops,
        tensors=tensors,
        inputs=kept.names(block.texts(_BLOCK_INPUTS, MAX_OPERANDS)),
        outputs=kept.names(block.texts(_BLOCK_OUTPUTS, MAX_OPERANDS)),
    )


class _Kept:
    """Counts what is kept in the file's budget: a buffer may name one string or constant any number of times."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._texts: dict[str, str] = {}

    def names(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        self.add(100 * len(texts))
        return tuple([self.name(text) for text in texts])

    def name(self, text: str) -> str:
        if text not in self._texts:
            self.add(len(text))
        return self._texts.setdefault(text, text)

    def add(self, size: int) -> None:
        """Raises OverBudget."""
        self._budget.tosa(size)


def _tensor(item: Table, kept: _Kept) -> TosaTensor:
    dtype = _named(_DTYPES, item.scalar(_TYPE, "I"))
    width = _WIDTHS.get(dtype)
    data = item.data(_DATA, MAX_CONSTANT) if width else None
    values = None
    if data and width:
        kept.add(36 * len(data) // width)
        values = _integers(data, width)
    shape = item.integers(_SHAPE, MAX_RANK)
    kept.add(200 + 8 * len(shape))
    return TosaTensor(kept.name(item.text(_NAME)), dtype, shape, values)


def _op(item: Table, kept: _Kept) -> TosaOp:
    kept.add(200)
    kind = _named(_OPS, item.scalar(_OP, "I"))
    bounds = None
    if kind == "CLAMP" and item.scalar(_ATTRIBUTE_TYPE, "B") == _CLAMP_ATTRIBUTE:
        attribute = item.table(_ATTRIBUTE)
        ends = [attribute.data(number, 8) for number in (_MIN_VAL, _MAX_VAL)] if attribute is not None else []
        if len(ends) == 2 and all(ends):
            # Integers have the width of the tensor. What a float CLAMP holds is nobody's to ask for.
            low, high = (int.from_bytes(end or b"", "little", signed=True) for end in ends)
            bounds = (low, high)
    return TosaOp(
        kind,
        kept.names(item.texts(_INPUTS, MAX_OPERANDS)),
        kept.names(item.texts(_OUTPUTS, MAX_OPERANDS)),
        bounds,
    )


def _named(names: list[str], number: int) -> str:
    """A newer schema may have more."""
    return names[number] if number < len(names) else f"UNKNOWN_{number}"


def _integers(data: bytes, width: int) -> tuple[int, ...]:
    return tuple(
        int.from_bytes(data[at : at + width], "little", signed=True) for at in range(0, len(data) - width + 1, width)
    )
