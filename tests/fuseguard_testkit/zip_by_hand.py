"""Zip archives written byte by byte, so that their parts may contradict one another."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


def local(name: bytes, data: bytes, **fields: Any) -> bytes:
    """A record's own header and its data."""
    f = _fields(data) | fields
    extra: bytes = f["extra"]
    after: bytes = f["after"]
    head = struct.pack(
        "<4s5H3L2H", b"PK\3\4", 20, f["flags"], f["method"], 0, 33, f["crc"], f["packed"], f["size"], len(name),
        len(extra),
    )  # fmt: skip
    return head + name + extra + data + after


def central(name: bytes, data: bytes, offset: int, **fields: Any) -> bytes:
    """A record's line in the directory."""
    f = _fields(data) | fields
    extra: bytes = f["extra"]
    comment: bytes = f["comment"]
    return (
        struct.pack(
            "<4s4B4H3L5H2L", b"PK\1\2", 20, 3, 20, 0, f["flags"], f["method"], 0, 33, f["crc"], f["packed"], f["size"],
            len(name), len(extra), len(comment), f["disk"], 0, f["attributes"], f.get("offset", offset),
        )
        + name + extra + comment
    )  # fmt: skip


def _fields(data: bytes) -> dict[str, Any]:
    return {
        "flags": 0, "method": 0, "crc": zlib.crc32(data), "packed": len(data), "size": len(data), "extra": b"",
        "after": b"", "comment": b"", "disk": 0, "attributes": 0,
    }  # fmt: skip


def end(count: int, size: int, offset: int, comment: bytes = b"", disk: int = 0) -> bytes:
    count = min(count, 0xFFFF)
    size, offset = (min(value, 0xFFFFFFFF) for value in (size, offset))
    return struct.pack("<4s4H2LH", b"PK\5\6", disk, disk, count, count, size, offset, len(comment)) + comment


def end64(count: int, size: int, offset: int) -> bytes:
    return struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)


def locator(offset: int, disks: int = 1) -> bytes:
    return struct.pack("<4sLQL", b"PK\6\7", 0, offset, disks)


@dataclass
class Item:
    """One record. ``here`` and ``there`` override fields of its header and of its line in the directory."""

    name: str | bytes
    data: bytes
    here: Mapping[str, Any] = field(default_factory=dict)
    there: Mapping[str, Any] = field(default_factory=dict)
    other_name: bytes | None = None  # in the directory

    @property
    def raw(self) -> bytes:
        return self.name if isinstance(self.name, bytes) else self.name.encode()


def parts(items: Iterable[Item]) -> tuple[bytes, bytes, int]:
    """The records, the directory and how many there are."""
    body, directory, count = b"", b"", 0
    for item in items:
        directory += central(item.other_name or item.raw, item.data, len(body), **item.there)
        body += local(item.raw, item.data, **item.here)
        count += 1
    return body, directory, count


def archive(items: Iterable[Item]) -> bytes:
    body, directory, count = parts(items)
    return body + directory + end(count, len(directory), len(body))


def archive64(items: Iterable[Item]) -> bytes:
    """As torch ends an archive: with both forms of the end record."""
    body, directory, count = parts(items)
    at = len(body) + len(directory)
    return (
        body + directory + end64(count, len(directory), len(body)) + locator(at) + end(count, len(directory), len(body))
    )
