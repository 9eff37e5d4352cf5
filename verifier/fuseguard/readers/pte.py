"""Reads an ExecuTorch program (.pte): methods, delegates and the ops outside of them. No tensor's values are read.

Fields are numbered as in schema/program.fbs of ExecuTorch 1.2.0 to 1.5.1, the extended header is that of
exir/_serialize/_program.py. tests/readers/test_lowered.py compares with executorch's own deserializer.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from fuseguard.ir.delegate import decoded_specs
from fuseguard.ir.pte import PteDelegate, PteMethod, PteProgram, PteTensor
from fuseguard.ir.qparams import QParams
from fuseguard.readers.budget import Budget
from fuseguard.readers.flatbuffer import MalformedBuffer, Table, root
from fuseguard.readers.tosa import IDENTIFIER as TOSA_IDENTIFIER
from fuseguard.readers.tosa import read_tosa
from fuseguard.readers.vgf import MAGIC as VGF_MAGIC
from fuseguard.readers.vgf import read_vgf

IDENTIFIER = b"ET"  # and two digits
MAX_METHODS = 1024
MAX_DELEGATES = 4096
# Values, operators and instructions, of each method.
MAX_ENTRIES = 2**20
MAX_SEGMENTS = 65_536
MAX_RANK = 64

_EXTENDED = struct.Struct("<4sIQQ")  # magic, length, program size, segment base
_EXTENDED_AT, _EXTENDED_MAGIC = 8, b"eh00"
_VELA, _VELA_END, _VELA_HEADER = b"vela_bin_stream", b"vela_end_stream", struct.Struct("<16sI12x")
_MAX_BLOCKS = 64

# Program, ExecutionPlan, Chain, Instruction, BackendDelegate, BackendDelegateDataReference, Tensor
_PLANS, _INLINE_DATA, _SEGMENT_LIST = 1, 3, 4
_NAME, _VALUES, _INPUTS, _OUTPUTS, _CHAINS, _OPERATORS, _DELEGATES = 0, 2, 3, 4, 5, 6, 7
_INSTRUCTIONS = 2
_KERNEL_CALL, _DELEGATE_CALL = 1, 2  # of the union InstructionArguments
_INT, _DOUBLE, _TENSOR = 2, 4, 5  # of the union KernelTypes
_SCALAR_TYPE, _SIZES, _DIM_ORDER = 0, 2, 3

_SCALAR_TYPE_NAMES = (
    "uint8 int8 int16 int32 int64 float16 float32 float64 complex32 complex64 complex128 bool qint8 quint8 qint32 "
    "bfloat16 quint4x2 quint2x4 bits1x8 bits2x4 bits4x2 bits8 bits16 float8_e5m2 float8_e4m3fn float8_e5m2fnuz "
    "float8_e4m3fnuz uint16 uint32 uint64"
)
_SCALAR_TYPES = _SCALAR_TYPE_NAMES.split()


def read_pte(buffer: bytes | memoryview, budget: Budget) -> PteProgram:
    """The methods of a program. Raises MalformedBuffer, OverBudget."""
    identifier = bytes(buffer[4:8])
    if not identifier.startswith(IDENTIFIER):
        raise MalformedBuffer("it does not have the identifier of an ExecuTorch program")
    program = root(buffer)
    file = _File(buffer, program, budget)
    methods = tuple([_method(plan, file, budget) for plan in program.tables(_PLANS, MAX_METHODS)])
    return PteProgram(identifier.decode("ascii", "replace"), methods)


@dataclass
class _File:
    """Where the data of delegates is: in the program itself, or in a segment after it."""

    buffer: bytes | memoryview
    program: Table
    budget: Budget
    read: dict[tuple[int, int], PteDelegate] = field(default_factory=dict)

    def data(self, location: int, index: int) -> memoryview:
        items = self._inline if location == 0 else self._segments
        if index >= len(items):
            raise MalformedBuffer("a delegate names data that is not there")
        if location == 0:
            return items[index].span(0)
        start = self._segment_base + items[index].scalar(0, "Q")
        size = items[index].scalar(1, "Q")
        if start + size > len(self.buffer):
            raise MalformedBuffer("a segment reaches beyond the end; the file may be cut off")
        return memoryview(self.buffer)[start : start + size]

    @cached_property
    def _inline(self) -> list[Table]:
        return list(self.program.tables(_INLINE_DATA, MAX_SEGMENTS))

    @cached_property
    def _segments(self) -> list[Table]:
        return list(self.program.tables(_SEGMENT_LIST, MAX_SEGMENTS))

    @cached_property
    def _segment_base(self) -> int:
        if len(self.buffer) < _EXTENDED_AT + _EXTENDED.size:
            raise MalformedBuffer("it has segments and no extended header")
        magic, _, _, base = _EXTENDED.unpack_from(self.buffer, _EXTENDED_AT)
        if magic != _EXTENDED_MAGIC:
            raise MalformedBuffer("it has segments and no extended header")
        return int(base)


@dataclass(frozen=True, slots=True)
class _Value:
    """A value of a method: a number, or a tensor."""

    number: float | None = None
    tensor: PteTensor | None = None


def _method(plan: Table, file: _File, budget: Budget) -> PteMethod:
    values = [_value(item, budget) for item in plan.tables(_VALUES, MAX_ENTRIES)]
    operators = [_operator(item, budget) for item in plan.tables(_OPERATORS, MAX_ENTRIES)]
    qparams: dict[int, QParams] = {}
    ops: Counter[str] = Counter()
    calls = 0
    for chain in plan.tables(_CHAINS, MAX_METHODS):
        for instruction in chain.tables(_INSTRUCTIONS, MAX_ENTRIES):
            budget.nodes(1)
            kind, call = instruction.scalar(0, "B"), instruction.table(1)
            calls += kind == _DELEGATE_CALL
            if kind != _KERNEL_CALL or call is None:
                continue
            number = call.scalar(0, "i")
            name = operators[number] if 0 <= number < len(operators) else f"operator {number}"
            ops[name] += 1
            if "quantize_per_tensor" in name:
                _note_qparams(call.integers(1, MAX_RANK), values, "dequantize" in name, qparams)
    delegates = tuple([_delegate(item, file) for item in plan.tables(_DELEGATES, MAX_DELEGATES)])
    return PteMethod(
        plan.text(_NAME),
        _interface(plan.integers(_INPUTS, MAX_ENTRIES), values, qparams),
        _interface(plan.integers(_OUTPUTS, MAX_ENTRIES), values, qparams),
        delegates,
        dict(ops),
        calls,
    )


def _value(item: Table, budget: Budget) -> _Value:
    budget.nodes(1)
    kind, value = item.scalar(0, "B"), item.table(1)
    if value is None:
        return _Value()
    if kind == _INT:
        return _Value(value.scalar(0, "q"))
    if kind == _DOUBLE:
        return _Value(value.double(0))
    if kind != _TENSOR:
        return _Value()
    number = value.scalar(_SCALAR_TYPE, "b")
    dtype = _scalar_type(number)
    shape, order = value.integers(_SIZES, MAX_RANK), tuple(value.data(_DIM_ORDER, MAX_RANK) or ())
    is_order = sorted(order) == list(range(len(shape)))
    return _Value(tensor=PteTensor(dtype, shape, dim_order=order if is_order else None))


def _scalar_type(number: int) -> str:
    return _SCALAR_TYPES[number] if 0 <= number < len(_SCALAR_TYPES) else f"scalar type {number}"


def _operator(item: Table, budget: Budget) -> str:
    name, overload = item.text(0), item.text(1)
    budget.tosa(100 + len(name) + len(overload))
    return f"{name}.{overload}" if overload else name


def _note_qparams(
    args: Sequence[int], values: Sequence[_Value], is_output: bool, found: dict[int, QParams]
) -> None:
    """Notes the qparams of what is quantized here, or of what is dequantized to here.

    quantize_per_tensor(x, scale, zero_point, quant_min, quant_max, dtype, out, out): the result is passed twice.
    """
    numbers = [values[arg].number if 0 <= arg < len(values) else None for arg in args[1:5]]
    if len(numbers) < 4 or any(number is None for number in numbers):
        return
    scale, *codes = numbers
    zero_point, low, high = (int(code or 0) for code in codes)
    dtype = values[args[5]].number if len(args) > 5 and 0 <= args[5] < len(values) else None
    known = _scalar_type(int(dtype)) if dtype is not None else ""
    qparams = QParams.per_tensor(scale or 0.0, zero_point, low, high, known)
    found.setdefault(args[-1] if is_output else args[0], qparams)


def _interface(
    indexes: Sequence[int], values: Sequence[_Value], qparams: dict[int, QParams]
) -> tuple[PteTensor, ...]:
    found = []
    for index in indexes:
        if not 0 <= index < len(values):
            raise MalformedBuffer("a method has an input or output that is not there")
        tensor = values[index].tensor
        if tensor is not None:
            found.append(replace(tensor, qparams=qparams.get(index)))
        else:
            found.append(PteTensor("no tensor", ()))
    return tuple(found)


def _delegate(item: Table, file: _File) -> PteDelegate:
    reference = item.table(1)
    if reference is None:
        raise MalformedBuffer("a delegate has no data")
    pairs = [(spec.text(0), spec.data(1, 64 * 1024) or b"") for spec in item.tables(2, 64)]
    specs, backend = decoded_specs(pairs), item.text(0)[:80]
    file.budget.tosa(sum(200 + len(value) for pair in specs for value in pair))
    key = reference.scalar(0, "b"), reference.scalar(1, "I")
    if key not in file.read:
        file.read[key] = _contents(file.data(*key), file.budget)
    found = file.read[key]
    return PteDelegate(backend, found.size, specs, found.tosa, found.vgf, found.blocks, found.fault)


def _contents(data: memoryview, budget: Budget) -> PteDelegate:
    """What a delegate's data is. A part that cannot be read is a fault of its own, not of the file."""
    size = len(data)
    try:
        if data[4:8] == TOSA_IDENTIFIER:
            return PteDelegate("", size, tosa=read_tosa(data, budget))
        if data[:4] == VGF_MAGIC:
            return PteDelegate("", size, vgf=read_vgf(data, budget))
        if bytes(data[:16]).rstrip(b"\0") == _VELA:
            return PteDelegate("", size, blocks=tuple(_blocks(data)))
    except MalformedBuffer as error:
        return PteDelegate("", size, fault=str(error))
    return PteDelegate("", size)


def _blocks(data: memoryview) -> list[tuple[str, int]]:
    """The blocks of Vela's stream: a name, a size, and the contents padded to 16 bytes (backends/arm/arm_vela.py)."""
    found: list[tuple[str, int]] = []
    at = 0
    while len(found) <= _MAX_BLOCKS:
        if at + _VELA_HEADER.size > len(data):
            raise MalformedBuffer("a block of Vela's stream reaches beyond the end")
        name, size = _VELA_HEADER.unpack_from(data, at)
        text = bytes(name).rstrip(b"\0")
        if text == _VELA_END:
            return found
        if text != _VELA:
            found.append((text.decode("ascii", "replace"), int(size)))
        at += _VELA_HEADER.size + -(-size // 16) * 16
    raise MalformedBuffer(f"Vela's stream has more than {_MAX_BLOCKS} blocks")
