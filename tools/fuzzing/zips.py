"""Zip archives written byte by byte, and changes of their records, headers and ends.

Nothing here refuses what a zip writer would: names twice, sizes that lie, headers that contradict the directory.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from random import Random
from typing import Any

from fuzzing.vocabulary import INTEGERS, RECORDS

_LOCAL = struct.Struct("<4s5H3L2H")  # APPNOTE 4.3.7
_CENTRAL = struct.Struct("<4s4B4H3L5H2L")  # 4.3.12
_MOST = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A record. ``here`` and ``there`` replace fields of its own header and of its line in the directory."""

    name: bytes
    data: bytes
    crc: int
    here: Mapping[str, Any] = field(default_factory=dict)
    there: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ends:
    """What follows the records. ``fields`` replace those of the end records."""

    before: bytes = b""
    gap: bytes = b""
    after: bytes = b""
    zip64: bool = False
    fields: Mapping[str, int] = field(default_factory=dict)


def entry(name: bytes, data: bytes) -> Entry:
    return Entry(name, data, zlib.crc32(data))


def entries(archive: bytes) -> list[Entry]:
    """The records of a zip archive in their order."""
    with zipfile.ZipFile(BytesIO(archive)) as opened:
        return [entry(info.filename.encode(), opened.read(info)) for info in opened.infolist()]


def deflated(item: Entry) -> Entry:
    """The record compressed."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(item.data) + packer.flush()
    fields = {"method": 8, "size": len(item.data), "packed": len(packed)}
    return replace(item, data=packed, here={**fields, **item.here}, there={**fields, **item.there})


def assemble(items: Sequence[Entry], ends: Ends | None = None) -> bytes:
    """The archive."""
    ends = ends or Ends()
    body: list[bytes] = [ends.before]
    lines: list[bytes] = []
    at = len(ends.before)
    for item in items:
        pieces = _local(item)
        lines.append(_central(item, at))
        body += pieces
        at += sum(map(len, pieces))
    directory = b"".join(lines)
    at += len(ends.gap)
    count, size, offset = (
        ends.fields.get(key, value) for key, value in (("count", len(items)), ("size", len(directory)), ("offset", at))
    )
    body += (ends.gap, directory)
    if ends.zip64:
        here = ends.fields.get("locator", at + len(directory))
        body.append(
            struct.pack(
                "<4sQ2H2L4Q", b"PK\6\6", ends.fields.get("rest", 44), 45, 45, 0, 0, count, count, size, offset
            )
        )
        body.append(struct.pack("<4sLQL", b"PK\6\7", 0, here % 2**64, ends.fields.get("disks", 1)))
    comment = ends.fields.get("comment", 0)
    short = ends.fields.get("short", 0)
    body.append(
        struct.pack(
            "<4s4H2LH", b"PK\5\6", 0, 0, *[(short or count) & 0xFFFF] * 2, (short or size) & _MOST,
            (short or offset) & _MOST, comment,
        )
    )  # fmt: skip
    body.append(ends.after)
    return b"".join(body)


def _fields(item: Entry, changed: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "flags": 0, "method": 0, "crc": item.crc, "packed": len(item.data), "size": len(item.data), "extra": b"",
        "name": item.name, "disk": 0, "attributes": 0, "comment": b"", "after": b"", **changed,
    }  # fmt: skip


def _local(item: Entry) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    f = _fields(item, item.here)
    head = _LOCAL.pack(
        b"PK\3\4", 20, f["flags"] & 0xFFFF, f["method"] & 0xFFFF, 0, 33, f["crc"], f["packed"] & _MOST,
        f["size"] & _MOST, len(f["name"]) & 0xFFFF, len(f["extra"]),
    )  # fmt: skip
    return head, f["name"], f["extra"], item.data, f["after"]


def _central(item: Entry, offset: int) -> bytes:
    f = _fields(item, item.there)
    head = _CENTRAL.pack(
        b"PK\1\2", 20, 3, 20, 0, f["flags"] & 0xFFFF, f["method"] & 0xFFFF, 0, 33, f["crc"], f["packed"] & _MOST,
        f["size"] & _MOST, len(f["name"]) & 0xFFFF, len(f["extra"]), len(f["comment"]), f["disk"] & 0xFFFF, 0,
        f["attributes"] & _MOST, f.get("offset", offset) & _MOST,
    )  # fmt: skip
    return b"".join((head, f["name"], f["extra"], f["comment"]))


def change(rng: Random, items: Sequence[Entry], other: Sequence[Entry]) -> tuple[str, bytes]:
    """The names of the changes and the archive. Records of ``other`` may be taken over."""
    changed, ends = list(items), Ends()
    names: list[str] = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        name = rng.choice(NAMES)
        names.append(name)
        if name == "ends":
            ends = _ends(rng, ends, changed)
        elif changed:
            CHANGES[name](rng, changed, other)
    return names[0] if len(names) == 1 else "several", assemble(changed, ends)


def _rename(rng: Random, items: list[Entry], other: Sequence[Entry]) -> None:
    at = rng.randrange(len(items))
    name = items[at].name
    kind = rng.randrange(5)
    if kind == 0:
        name = rng.choice(RECORDS)
    elif kind == 1:
        name = rng.choice((*items, *other)).name
    elif kind == 2:
        name = name.swapcase() if rng.random() < 0.5 else name.replace(b"/", b"\\")
    elif kind == 3:
        place = rng.randrange(len(name) + 1)
        name = name[:place] + rng.choice((b"\0", b"/", b"..", b"x", b"\xff", b"\x1b", b" ")) + name[place:]
    else:
        root, _, rest = name.partition(b"/")
        name = rng.choice((rest, b"a/" + name, root + b"/" + root + b"/" + rest))
    flags = 0x0800 if rng.random() < 0.3 else 0
    items[at] = replace(items[at], name=name, here={"flags": flags}, there={"flags": flags})


def _two_names(rng: Random, items: list[Entry], other: Sequence[Entry]) -> None:
    """Another name in the directory than in the record's own header."""
    at = rng.randrange(len(items))
    name = rng.choice((rng.choice(RECORDS), rng.choice((*items, *other)).name, items[at].name[:-1] + b"x"))
    items[at] = replace(items[at], there={"name": name})


def _twice(rng: Random, items: list[Entry], other: Sequence[Entry]) -> None:
    del other
    items.insert(rng.randrange(len(items) + 1), rng.choice(items))


def _swap(rng: Random, items: list[Entry], other: Sequence[Entry]) -> None:
    """Two records in each other's place, or with each other's data."""
    del other
    first, second = rng.randrange(len(items)), rng.randrange(len(items))
    one, two = items[first], items[second]
    if rng.random() < 0.5:
        items[first], items[second] = two, one
    else:
        items[first], items[second] = replace(one, data=two.data, crc=two.crc), replace(two, data=one.data, crc=one.crc)


def _drop(rng: Random, items: list[Entry], other: Sequence[Entry]) -> None:
    del other
    del items[rng.randrange(len(items))]


def _add(rng: Random, items: list[Entry], other: Sequence[Entry]) -> None:
    root = items[0].name.partition(b"/")[0]
    found = rng.choice((*other, entry(rng.choice(RECORDS).replace(b"archive", root, 1), rng.choice(items).data[:4096])))
    items.insert(rng.choice((0, len(items))), found)


def _resize(rng: Random, items: list[Entry], other: Sequence[Entry]) -> None:
    """Less or more data, with sizes and CRC-32 that agree."""
    at = rng.randrange(len(items))
    data = items[at].data
    kind = rng.randrange(4)
    if kind == 0:
        data = data[: rng.randrange(len(data) + 1)]
    elif kind == 1:
        data += rng.choice((b"\0", b" ", b"}", rng.choice(items).data[:4096], bytes(rng.choice((64, 4096)))))
    elif kind == 2:
        data = rng.choice((*items, *other)).data
    else:
        data = b""
    items[at] = replace(items[at], data=data, crc=zlib.crc32(data))


def _deflate(rng: Random, items: list[Entry], other: Sequence[Entry]) -> None:
    """Compressed, whole or with damaged or further data, or with a method that torch never uses."""
    del other
    at = rng.randrange(len(items))
    kind = rng.randrange(5)
    if kind == 0:
        fields = {"method": rng.choice((8, 9, 12, 14, 93, 95, 99, 1))}
        items[at] = replace(items[at], here=fields, there=fields)
        return
    item = deflated(items[at])
    if kind == 1:
        data = bytearray(item.data)
        for _ in range(rng.choice((1, 4))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        item = replace(item, data=bytes(data))
    elif kind == 2:
        size = {"size": rng.choice(INTEGERS)}
        item = replace(item, here={**item.here, **size}, there={**item.there, **size})
    elif kind == 3:
        item = replace(item, data=item.data + b"x" * rng.choice((1, 100)))
    items[at] = item


def _header(rng: Random, items: list[Entry], other: Sequence[Entry]) -> None:
    """A field of the record's own header, of its line in the directory, or of both."""
    del other
    at = rng.randrange(len(items))
    item = items[at]
    key = rng.choice(("flags", "method", "crc", "packed", "size", "extra", "offset", "attributes", "disk", "comment"))
    value: Any = rng.choice((*INTEGERS, len(item.data) + 1, max(0, len(item.data) - 1), 0x0008, 0x0800, 0x0001))
    if key in ("extra", "comment"):
        size = rng.choice((0, 1, 4, 8, 200))
        value = rng.choice((bytes(size), struct.pack("<2H", rng.choice((1, 0x7075, 0xFFFF)), size) + bytes(size)))
    elif key == "attributes":
        value = rng.choice((0x10, 0o120777 << 16, 0o040755 << 16, 0o100644 << 16, 0o010644 << 16, 0xFFFFFFFF))
    fields = {key: value}
    where = rng.randrange(3)
    items[at] = replace(
        item,
        here={**item.here, **fields} if where != 1 else item.here,
        there={**item.there, **fields} if where != 0 else item.there,
    )


def _descriptor(rng: Random, items: list[Entry], other: Sequence[Entry]) -> None:
    """Streamed: sizes after the data, right or wrong."""
    del other
    at = rng.randrange(len(items))
    item = items[at]
    size = len(item.data) + rng.choice((0, 0, 0, 1))
    after = struct.pack(rng.choice(("<4s3L", "<4sL2Q")), b"PK\7\x08", item.crc, size, size)[rng.choice((0, 0, 4)) :]
    flags = {"flags": 0x0008}
    unknown = {"crc": 0, "packed": 0, "size": 0} if rng.random() < 0.7 else {}
    items[at] = replace(item, here={**flags, **unknown, "after": after}, there=flags)


def _zip64(rng: Random, items: list[Entry], other: Sequence[Entry]) -> None:
    """Sizes and offset in the zip64 field, right or wrong."""
    del other
    at = rng.randrange(len(items))
    item = items[at]
    size = len(item.data) if rng.random() < 0.6 else rng.choice((*INTEGERS, 2**40, 2**63, 2**64 - 1))
    values = [size, size, rng.choice((0, 2**32, 2**63))][: rng.choice((1, 2, 2, 2, 3))]
    extra = struct.pack(f"<2H{len(values)}Q", 1, 8 * len(values) + rng.choice((0, 0, 0, 8)), *values)
    fields = {"extra": extra, "size": _MOST, "packed": _MOST}
    where = rng.randrange(3)
    items[at] = replace(item, here=fields if where != 1 else {}, there=fields if where != 0 else {})


def _gap(rng: Random, items: list[Entry], other: Sequence[Entry]) -> None:
    """Bytes between two records that belong to none."""
    del other
    at = rng.randrange(len(items))
    items[at] = replace(items[at], here={**items[at].here, "after": bytes(rng.choice((1, 4, 16, 64)))})


def _ends(rng: Random, ends: Ends, items: Sequence[Entry]) -> Ends:
    """Other end records, bytes before the first record, after the last, or after the end."""
    kind = rng.randrange(7)
    if kind == 0:
        return replace(ends, before=rng.choice((b"x", b"PK\3\4", bytes(30), b"MZ" + bytes(62))))
    if kind == 1:
        return replace(ends, gap=rng.choice((b"x", bytes(12), b"PK\6\x08" + bytes(4))))
    if kind == 2:
        return replace(ends, after=rng.choice((b"x", bytes(22), assemble(items[:2]), b"PK\5\6" + bytes(18))))
    if kind == 3:
        return replace(ends, zip64=True)
    if kind == 4:
        comment = rng.choice((1, 4, 100))
        return replace(ends, fields={**ends.fields, "comment": comment}, after=b"x" * rng.choice((comment, 0)))
    key = rng.choice(("count", "size", "offset", "locator", "rest", "disks", "short"))
    value = rng.choice((*INTEGERS, len(items) + 1, max(0, len(items) - 1), 2**40)) % 2**32
    return replace(ends, zip64=ends.zip64 or kind == 5, fields={**ends.fields, key: value})


CHANGES: dict[str, Callable[[Random, list[Entry], Sequence[Entry]], None]] = {
    "rename": _rename, "two names": _two_names, "twice": _twice, "swap": _swap, "drop": _drop, "add": _add,
    "resize": _resize, "deflate": _deflate, "header": _header, "descriptor": _descriptor, "zip64": _zip64, "gap": _gap,
}  # fmt: skip
NAMES = (*CHANGES, "ends", "header")
