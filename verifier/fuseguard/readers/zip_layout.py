"""The layout of a zip archive, read from its directory and compared with every byte that the directory describes.

Zip readers disagree about archives that contradict themselves: one takes the end record's offset, another counts from
the end; one reads sizes from the directory, another from the record's own header. What is checked must be what torch
loads (miniz, by way of ``caffe2/serialize/inline_container.cc``). So an archive is accepted only if all places agree:
records follow one another from the first byte on, the directory follows the last record, the end records follow the
directory, and the file ends there.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from fuseguard.ir.value import Value

_LOCAL = struct.Struct("<4s5H3L2H")  # APPNOTE 4.3.7
_CENTRAL = struct.Struct("<4s6H3L5H2L")  # 4.3.12
_END = struct.Struct("<4s4H2LH")  # 4.3.16
_END64_LOCATOR = struct.Struct("<4sLQL")  # 4.3.15
_END64 = struct.Struct("<4sQ2H2L4Q")  # 4.3.14
_DESCRIPTOR = struct.Struct("<4s3L")  # 4.3.9
_DESCRIPTOR64 = struct.Struct("<4sL2Q")

_ENCRYPTED = 0x0001
_HAS_DESCRIPTOR = 0x0008
_UTF8 = 0x0800
# Bits 1 and 2 say how hard the writer tried to compress. All others change what the bytes mean.
_HARMLESS_FLAGS = 0x0006 | _HAS_DESCRIPTOR | _UTF8
_FOLDER = 0x10  # of the DOS attributes
_ZIP64_FIELD = 0x0001
_MAX16, _MAX32 = 2**16 - 1, 2**32 - 1


class BadLayout(ValueError):
    """The archive contradicts itself, or has what torch never writes. The text says what, as a clause."""


class CutShort(BadLayout):
    """The end of the archive is missing, as after an interrupted download."""


class TooManyRecords(ValueError):
    """The directory is larger than the limits allow."""


class Record(Value, frozen=True):
    """A record as the directory and its own header describe it. ``start`` is where its data starts in the file.

    ``packed`` and ``size`` are its bytes in the file and after decompression. ``mode`` holds the Unix permissions and
    file type, 0 if the writer gave none.
    """

    name: str
    method: int
    crc: int
    packed: int
    size: int
    start: int
    mode: int


class _Entry(Value, frozen=True):
    """A line of the directory."""

    raw_name: bytes
    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    mode: int


class _Directory(Value, frozen=True):
    offset: int
    size: int
    count: int


def read_layout(handle: BinaryIO, max_records: int, max_directory: int) -> list[Record]:
    """Every record of an archive, in the order of the directory.

    Raises BadLayout or its subclass CutShort for an archive that contradicts itself, and TooManyRecords for one with
    more than ``max_records`` records or ``max_directory`` bytes of directory, before it reads the directory.
    """
    directory = _directory(handle)
    if directory.count > max_records or directory.size > max_directory:
        raise TooManyRecords
    entries = list(_entries(_read(handle, directory.offset, directory.size), directory.count))
    starts: dict[int, int] = {}
    ordered = sorted(entries, key=lambda entry: entry.offset)
    begins = [*(entry.offset for entry in ordered), directory.offset]
    if begins[0] != 0:
        raise BadLayout("there are bytes before the first record")
    for entry, end in zip(ordered, begins[1:], strict=True):
        starts[entry.offset] = _check_record(handle, entry, end)
    return [
        Record(entry.name, entry.method, entry.crc, entry.packed, entry.size, starts[entry.offset], entry.mode)
        for entry in entries
    ]


def _read(handle: BinaryIO, offset: int, size: int) -> bytes:
    handle.seek(offset)
    data = handle.read(size)
    if len(data) != size:
        raise CutShort("it ends before its table of contents says")
    return data


def _directory(handle: BinaryIO) -> _Directory:
    """Where the directory is, by end records that agree with each other."""
    length = handle.seek(0, os.SEEK_END)
    at = length - _END.size
    if at < 0:
        raise CutShort("its table of contents is missing, as when a download or a save was cut short")
    signature, disk, first_disk, here, count, size, offset, comment = _END.unpack(_read(handle, at, _END.size))
    if signature != b"PK\x05\x06":
        _explain_missing_end(handle, length)
    if comment:
        raise BadLayout("it has a comment at the end")
    if disk or first_disk or here != count:
        raise BadLayout("it claims to be one part of several")
    found = _Directory(offset, size, count)
    locator = at - _END64_LOCATOR.size
    if locator >= 0 and _read(handle, locator, 4) == b"PK\x06\x07":
        at = locator - _END64.size
        found = _directory64(handle, locator, found)
    if found.offset + found.size != at:
        raise BadLayout("its table of contents is not where the end record says")
    return found


def _explain_missing_end(handle: BinaryIO, length: int) -> None:
    tail = _read(handle, max(0, length - _END.size - _MAX16), min(length, _END.size + _MAX16))
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        rest = tail[at + _END.size :]
        # Of a file that was cut short, an archive inside it may have left an end record; more than zeros follow that.
        if at + _END.size <= len(tail) and _END.unpack_from(tail, at)[7] == len(rest):
            raise BadLayout("it has a comment at the end")
        if not rest.strip(b"\0"):
            raise BadLayout("something follows the end of the archive")
        at = tail.rfind(b"PK\x05\x06", 0, at)
    raise CutShort("its table of contents is missing, as when a download or a save was cut short")


def _directory64(handle: BinaryIO, locator: int, short: _Directory) -> _Directory:
    """The zip64 form of ``short``, which must lie directly before the locator that points to it."""
    _, disk, offset64, disks = _END64_LOCATOR.unpack(_read(handle, locator, _END64_LOCATOR.size))
    at = locator - _END64.size
    if at < 0 or offset64 != at or disk or disks != 1:
        raise BadLayout("its zip64 locator does not point to the record before it")
    signature, rest, _, _, disk, first_disk, here, count, size, offset = _END64.unpack(_read(handle, at, _END64.size))
    if signature != b"PK\x06\x06" or rest != _END64.size - 12 or disk or first_disk or here != count:
        raise BadLayout("its zip64 end record is not one of a single archive")
    pairs = ((short.count, count, _MAX16), (short.size, size, _MAX32), (short.offset, offset, _MAX32))
    if any(value not in (full, most) or (full >= most and value != most) for value, full, most in pairs):
        raise BadLayout("its two end records disagree")
    return _Directory(offset, size, count)


def _entries(data: bytes, count: int) -> Iterator[_Entry]:
    at = 0
    for _ in range(count):
        if at + _CENTRAL.size > len(data):
            raise BadLayout("its table of contents is shorter than its number of records")
        entry, at = _entry(data, at)
        yield entry
    if at != len(data):
        raise BadLayout("its table of contents is longer than its number of records")


def _entry(data: bytes, at: int) -> tuple[_Entry, int]:
    (
        signature, _, _, flags, method, _, _, crc, packed, size, name_size, extra_size, comment_size, disk, _,
        attributes, offset,
    ) = _CENTRAL.unpack_from(data, at)  # fmt: skip
    start = at + _CENTRAL.size
    end = start + name_size + extra_size + comment_size
    if signature != b"PK\x01\x02" or end > len(data):
        raise BadLayout("its table of contents has something other than entries")
    raw_name = data[start : start + name_size]
    name = _decoded(raw_name, flags)
    if disk or comment_size:
        raise BadLayout(f"the record {name[:80]!r} has a comment or is in another file")
    if attributes & _FOLDER:
        # miniz then copies nothing, and torch takes whatever its memory held for the data.
        raise BadLayout(f"the record {name[:80]!r} is marked as a folder")
    fields = _extra_fields(data[start + name_size : start + name_size + extra_size], name)
    masked = [value for value in (size, packed, offset) if value == _MAX32]
    wide = fields.get(_ZIP64_FIELD, b"")
    if len(wide) != 8 * len(masked):
        raise BadLayout(f"the record {name[:80]!r} has sizes or an offset that its zip64 field does not match")
    values = iter(struct.unpack(f"<{len(masked)}Q", wide))
    size, packed, offset = (next(values) if value == _MAX32 else value for value in (size, packed, offset))
    return _Entry(raw_name, name, flags, method, crc, packed, size, offset, attributes >> 16), end


def _decoded(raw: bytes, flags: int) -> str:
    try:
        name = raw.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError:
        # Without the flag, readers take what is not ASCII for code page 437, the locale's encoding or UTF-8.
        raise BadLayout(f"the record name {raw[:40]!r} is neither ASCII nor marked as UTF-8") from None
    if "\0" in name:
        raise BadLayout(f"the record name {name[:80]!r} holds a NUL, at which some programs end it")
    return name


def _extra_fields(data: bytes, name: str) -> dict[int, bytes]:
    fields: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        if at + 4 > len(data):
            raise BadLayout(f"the record {name[:80]!r} has a broken extra field")
        key, size = struct.unpack_from("<2H", data, at)
        at += 4
        if at + size > len(data) or (key == _ZIP64_FIELD and key in fields):
            raise BadLayout(f"the record {name[:80]!r} has a broken extra field")
        fields[key] = data[at : at + size]
        at += size
    return fields


def _check_record(handle: BinaryIO, entry: _Entry, end: int) -> int:
    """Compares a record with its entry and with ``end``, where the next one starts. Returns where its data starts."""
    shown = repr(entry.name[:80])
    if entry.flags & _ENCRYPTED:
        raise BadLayout(f"the record {shown} is encrypted")
    if entry.flags & ~_HARMLESS_FLAGS:
        raise BadLayout(f"the record {shown} has flags {entry.flags:#06x}, which torch never sets")
    # Whatever comes after the first record's end belongs to the next one, so this reads no more than the file has.
    if entry.offset + _LOCAL.size + len(entry.raw_name) > end:
        raise BadLayout(f"the record {shown} overlaps another one")
    head = _read(handle, entry.offset, _LOCAL.size + len(entry.raw_name))
    signature, _, flags, method, _, _, crc, packed, size, name_size, extra_size = _LOCAL.unpack_from(head)
    if signature != b"PK\x03\x04" or name_size != len(entry.raw_name) or head[_LOCAL.size :] != entry.raw_name:
        raise BadLayout(f"the record {shown} is not where the table of contents says")
    if (flags, method) != (entry.flags, entry.method):
        raise BadLayout(f"the record {shown} is described in two ways")
    start: int = entry.offset + len(head) + extra_size
    data_end = start + entry.packed
    if data_end > end:
        raise BadLayout(f"the record {shown} overlaps another one")
    extra = _read(handle, entry.offset + len(head), extra_size) if extra_size else b""
    wide = _extra_fields(extra, entry.name).get(_ZIP64_FIELD, b"")
    if _MAX32 in (size, packed):
        if len(wide) < 16:
            raise BadLayout(f"the record {shown} lacks its zip64 sizes")
        size, packed = struct.unpack_from("<2Q", wide)
    streamed = bool(flags & _HAS_DESCRIPTOR)
    unknown = (0, 0, 0)  # what a writer that cannot seek puts there
    if (crc, packed, size) != (entry.crc, entry.packed, entry.size) and not (
        streamed and (crc, packed, size) == unknown
    ):
        raise BadLayout(f"the record {shown} is described in two ways")
    _check_descriptor(_read(handle, data_end, min(end - data_end, 25)), entry, streamed, shown)
    return start


def _check_descriptor(data: bytes, entry: _Entry, expected: bool, shown: str) -> None:
    """``data`` is what lies between a record's data and the next record."""
    forms = {_DESCRIPTOR.size: _DESCRIPTOR, _DESCRIPTOR64.size: _DESCRIPTOR64}
    if not expected:
        if data:
            raise BadLayout(f"there are bytes after the record {shown} that belong to no record")
        return
    form = forms.get(len(data))
    if form is None or form.unpack(data) != (b"PK\x07\x08", entry.crc, entry.packed, entry.size):
        raise BadLayout(f"the record {shown} has no data descriptor that matches it")
