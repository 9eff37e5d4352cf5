"""Tables of a FlatBuffers file, with every offset checked before it is followed.

The ``flatbuffers`` package has no verifier for Python: its classes follow whatever offset a buffer holds, and a vector
may claim four billion elements. Only what reading takes is here (https://flatbuffers.dev/internals).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_U16, _U32, _I32, _F64 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<i"), struct.Struct("<d")


class MalformedBuffer(ValueError):
    """The buffer points outside itself or holds more than is read. The text says where."""


class Table:
    """One table; fields are numbered as in the schema."""

    __slots__ = ("_buffer", "_start", "_vtable", "_vtable_size")

    def __init__(self, buffer: bytes | memoryview, start: int) -> None:
        """Raises MalformedBuffer."""
        self._buffer = buffer
        self._start = start
        self._vtable = start - _get(buffer, _I32, start)
        self._vtable_size = _get(buffer, _U16, self._vtable)
        if self._vtable_size < 4 or self._vtable + self._vtable_size > len(buffer):
            raise MalformedBuffer("a vtable reaches beyond the end")

    def _field(self, number: int) -> int:
        """Where a field is, 0 if it has its default."""
        at = 4 + 2 * number
        if at + 2 > self._vtable_size:
            return 0
        offset = _get(self._buffer, _U16, self._vtable + at)
        return self._start + offset if offset else 0

    def scalar(self, number: int, form: str, default: int = 0) -> int:
        """An integer or bool by its :mod:`struct` character."""
        at = self._field(number)
        return _get(self._buffer, struct.Struct(f"<{form}"), at) if at else default

    def double(self, number: int) -> float:
        at = self._field(number)
        return float(_get(self._buffer, _F64, at)) if at else 0.0

    def text(self, number: int, limit: int = 1024) -> str:
        return _string(self._buffer, self._indirect(number), limit) if self._field(number) else ""

    def table(self, number: int) -> Table | None:
        return Table(self._buffer, self._indirect(number)) if self._field(number) else None

    def data(self, number: int, limit: int) -> bytes | None:
        """The bytes of a vector of ubyte; None if there are more than ``limit``, which is not a fault."""
        start, count = self._vector(number, 1)
        return bytes(self._buffer[start : start + count]) if count <= limit else None

    def span(self, number: int) -> memoryview:
        """The bytes of a vector of ubyte, however many there are, without a copy of them."""
        start, count = self._vector(number, 1)
        return memoryview(self._buffer)[start : start + count]

    def integers(self, number: int, limit: int) -> tuple[int, ...]:
        """A vector of int32. Raises MalformedBuffer for more than ``limit``."""
        start, count = self._vector(number, 4, limit)
        return struct.unpack_from(f"<{count}i", self._buffer, start)

    def longs(self, number: int, limit: int) -> tuple[int, ...]:
        """A vector of int64. Raises MalformedBuffer for more than ``limit``."""
        start, count = self._vector(number, 8, limit)
        return struct.unpack_from(f"<{count}q", self._buffer, start)

    def words(self, number: int, limit: int) -> tuple[int, ...]:
        """A vector of uint32. Raises MalformedBuffer for more than ``limit``."""
        start, count = self._vector(number, 4, limit)
        return struct.unpack_from(f"<{count}I", self._buffer, start)

    def texts(self, number: int, limit: int) -> tuple[str, ...]:
        start, count = self._vector(number, 4, limit)
        return tuple(_string(self._buffer, self._reference(start + 4 * index), 1024) for index in range(count))

    def tables(self, number: int, limit: int) -> Iterator[Table]:
        start, count = self._vector(number, 4, limit)
        return (Table(self._buffer, self._reference(start + 4 * index)) for index in range(count))

    def _vector(self, number: int, item: int, limit: int | None = None) -> tuple[int, int]:
        if not self._field(number):
            return 0, 0
        at = self._indirect(number)
        count = _get(self._buffer, _U32, at)
        if at + 4 + count * item > len(self._buffer):
            raise MalformedBuffer(f"a vector of {count} elements reaches beyond the end")
        if limit is not None and count > limit:
            raise MalformedBuffer(f"a vector has {count} elements, and more than {limit} are not read")
        return at + 4, count

    def _indirect(self, number: int) -> int:
        return self._reference(self._field(number))

    def _reference(self, at: int) -> int:
        target = at + _get(self._buffer, _U32, at)
        if target <= at or target + 4 > len(self._buffer):
            raise MalformedBuffer("an offset points beyond the end")
        return target


def root(buffer: bytes | memoryview, identifier: bytes = b"") -> Table:
    """The root table of a buffer with this file identifier; of any buffer if it is empty. Raises MalformedBuffer."""
    if identifier and buffer[4:8] != identifier:
        raise MalformedBuffer(f"it does not have the identifier {identifier.decode('ascii')!r}")
    return Table(buffer, _get(buffer, _U32, 0))


def _get(buffer: bytes | memoryview, form: struct.Struct, at: int) -> int:
    if at < 0 or at + form.size > len(buffer):
        raise MalformedBuffer("an offset points beyond the end")
    value: int = form.unpack_from(buffer, at)[0]
    return value


def _string(buffer: bytes | memoryview, at: int, limit: int) -> str:
    size = _get(buffer, _U32, at)
    if at + 4 + size > len(buffer):
        raise MalformedBuffer("a string reaches beyond the end")
    if size > limit:
        raise MalformedBuffer(f"a string has {size} bytes, and more than {limit} are not read")
    return bytes(buffer[at + 4 : at + 4 + size]).decode("utf-8", "replace")
