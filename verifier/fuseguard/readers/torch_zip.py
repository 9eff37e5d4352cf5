"""Reads tensors from the zip that ``torch.save`` writes, without torch and without unpickling.

Which storage a tensor has, and where in it, is said by a pickle. Its operations are followed here one by one with no
way to import or call anything: a global is a name, and a call makes a tensor if it is one of torch's two functions
that do, else nothing known. What such a pickle would run if it were loaded is not run, and is not found out either.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from fuseguard.readers.archive import Archive
from fuseguard.readers.budget import MAX_TENSOR_BYTES, Budget
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.schema import DTYPES, SymInt, TensorValue
from fuseguard.readers.tensors import tensor_values

# A tensor takes some 200 bytes, so this is 40,000 of them.
MAX_PICKLE_BYTES = 8 * 2**20
_STORAGES = {
    "ByteStorage": "uint8", "CharStorage": "int8", "ShortStorage": "int16", "IntStorage": "int32",
    "LongStorage": "int64", "HalfStorage": "float16", "FloatStorage": "float32", "DoubleStorage": "float64",
    "BoolStorage": "bool", "BFloat16Storage": "bfloat16",
}  # fmt: skip
_NUMBERS = {name: number for number, name in DTYPES.items()}
_REBUILD = ("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor")
_WRAP = ("torch._utils _rebuild_parameter", "torch._utils _rebuild_parameter_with_state")


@dataclass(frozen=True, slots=True)
class _Global:
    name: str


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: str


@dataclass(frozen=True, slots=True)
class _Tensor:
    storage: _Storage
    value: TensorValue


class _Mark:
    pass


class TorchZip:
    """The tensors of one ``torch.save`` file that holds a dictionary of them, by name."""

    def __init__(self, path: Path, source: BinaryIO | bytes, budget: Budget) -> None:
        """``path`` is for messages. Raises UnreadableInput, OverBudget."""
        self._budget = budget
        self._values: dict[str, tuple[float, ...] | None] = {}
        self._tensors: dict[str, _Tensor] = {}
        self._archive: Archive | None = None
        handle = io.BytesIO(source) if isinstance(source, bytes) else source
        empty = not handle.read(1)
        handle.seek(0)
        if empty:
            return  # what exir.serde writes for nothing
        self._archive = Archive(path, handle)
        data = self._archive.read("data.pkl", MAX_PICKLE_BYTES)
        order = self._archive.read("byteorder", 64) if "byteorder" in self._archive else b"little"
        self._little = order != b"big"
        told = _followed(data, budget)
        if isinstance(told, dict):
            self._tensors = {key: item for key, item in told.items() if type(key) is str and isinstance(item, _Tensor)}

    def values(self, name: str) -> tuple[float, ...] | None:
        """The elements of a tensor, None where they are not known. Raises UnreadableInput, MalformedProgram."""
        tensor = self._tensors.get(name)
        if tensor is None or self._archive is None:
            return None
        record = f"data/{tensor.storage.key}"
        if record not in self._archive:
            return None
        if name not in self._values:
            data = self._archive.read(record, MAX_TENSOR_BYTES)
            self._budget.tensor(data)
            self._values[name] = tensor_values(name, tensor.value, data, self._little, self._budget)
        return self._values[name]


def _followed(data: bytes, budget: Budget) -> Any:
    """What the pickle makes: dictionaries, tuples, numbers, text and tensors; None for anything else."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        for name, argument in _steps(data):
            budget.pickle_step()
            if name == "STOP":
                return stack[-1]
            _step(name, argument, stack, memo)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError):
        return None  # pickletools raises these for anything that is not a pickle
    return None


def _steps(data: bytes) -> Iterator[tuple[str, Any]]:
    return ((opcode.name, argument) for opcode, argument, _ in pickletools.genops(data))


def _step(name: str, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:
    if name in ("BINPUT", "LONG_BINPUT"):
        memo[argument] = stack[-1]
    elif name == "MEMOIZE":
        memo[len(memo)] = stack[-1]
    elif name in ("BINGET", "LONG_BINGET"):
        stack.append(memo[argument])
    elif name == "MARK":
        stack.append(_Mark)
    elif name == "GLOBAL":
        stack.append(_Global(argument))
    elif name == "STACK_GLOBAL":
        last, first = stack.pop(), stack.pop()
        stack.append(_Global(f"{first} {last}" if type(first) is str and type(last) is str else ""))
    elif name in ("BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"):
        stack.append(argument)
    elif name in ("NONE", "NEWTRUE", "NEWFALSE"):
        stack.append({"NEWTRUE": True, "NEWFALSE": False}.get(name))
    elif name in ("EMPTY_DICT", "EMPTY_TUPLE", "EMPTY_LIST"):
        stack.append({} if name == "EMPTY_DICT" else ())
    elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
        count = int(name[-1])
        items = tuple(stack[-count:])
        del stack[-count:]
        stack.append(items)
    elif name == "TUPLE":
        stack.append(_marked(stack))
    elif name == "BINPERSID":
        stack.append(_storage(stack.pop()))
    elif name == "REDUCE":
        arguments, function = stack.pop(), stack.pop()
        stack.append(_called(function, arguments))
    elif name in ("SETITEM", "SETITEMS"):
        pairs = _marked(stack) if name == "SETITEMS" else (stack.pop(-2), stack.pop())
        if isinstance(stack[-1], dict):
            stack[-1].update((key, item) for key, item in zip(pairs[::2], pairs[1::2], strict=False) if _is_key(key))
    elif name == "BUILD":
        stack.pop()
    elif name in ("APPEND", "APPENDS"):
        _ = _marked(stack) if name == "APPENDS" else stack.pop()
    elif name not in ("PROTO", "FRAME"):
        raise ValueError(name)  # nothing that torch.save writes for a dictionary of tensors


def _is_key(key: Any) -> bool:
    return type(key) is str


def _marked(stack: list[Any]) -> tuple[Any, ...]:
    for position in range(len(stack) - 1, -1, -1):
        if stack[position] is _Mark:
            items = tuple(stack[position + 1 :])
            del stack[position:]
            return items
    raise ValueError("no mark")


def _storage(identity: Any) -> _Storage | None:
    # ("storage", torch.FloatStorage, key, location, number of elements)
    if type(identity) is not tuple or len(identity) != 5 or not isinstance(identity[1], _Global):
        return None
    dtype = _STORAGES.get(identity[1].name.rpartition(" ")[2])
    key = identity[2]
    if dtype is None or type(key) is not str or not key.isalnum():
        return None
    return _Storage(key, dtype)


def _called(function: Any, arguments: Any) -> Any:
    if not isinstance(function, _Global) or type(arguments) is not tuple:
        return None
    if function.name == "collections OrderedDict":
        return {}
    if function.name in _WRAP and arguments:
        return arguments[0]
    if function.name in _REBUILD and len(arguments) >= 4 and isinstance(arguments[0], _Storage):
        storage, offset, sizes, strides = arguments[:4]
        if all(type(item) is tuple and all(type(part) is int for part in item) for item in (sizes, strides)):
            value = TensorValue(
                _NUMBERS[storage.dtype],
                [SymInt(size) for size in sizes],
                [SymInt(stride) for stride in strides],
                SymInt(offset if type(offset) is int else None),
            )
            return _Tensor(storage, value)
    return None


def opened(path: Path, source: BinaryIO | bytes, budget: Budget) -> TorchZip:
    """As :class:`TorchZip`, whose errors then name the record. Raises UnreadableInput."""
    try:
        return TorchZip(path, source, budget)
    except UnreadableInput as error:
        raise UnreadableInput(f"{path}: the tensors of the program cannot be read: {error}") from error
