"""The good files that are changed, taken apart into what is in them: records, JSON in JSON, flatbuffers, pickles.

Each part knows how to make a whole file of a changed copy of itself, with sizes, CRC-32 and escapes that fit, so that
a change is not refused for something else.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from fuzzing import json_text, zips

#: Makes a whole file of a part's bytes.
Build: TypeAlias = Callable[[bytes], bytes]

FIXTURES = Path(__file__).parents[2] / "tests" / "readers" / "data"
#: How often a format is chosen: there are ten files of one of them, and a few of the others.
FORMAT_WEIGHTS = {
    "pt2": 45, "pt2, several programs": 10, "torch 2.6": 10, "exir": 10, "exir, lowered": 15, "ETRecord": 10,
    "pte": 5, "vgf": 5, "TOSA": 5,
}  # fmt: skip
#: Which committed files are of which format.
FORMATS: dict[str, tuple[str, ...]] = {
    "pt2": (
        "arguments.pt2", "cond.pt2", "conv_cat.pt2", "conv_cat_edge.pt2", "linear.pt2", "loop.pt2", "observers.pt2",
        "split.pt2", "split_add.pt2", "xnnpack.pt2",
    ),
    "pt2, several programs": ("several.pt2",),
    "torch 2.6": ("conv_cat_torch26.pt2",),
    "exir": ("conv_cat_edge.exir", "conv_cat_edge_1.2.0.exir"),
    "exir, lowered": (
        "conv_cat_guarded.exir", "conv_cat_lowered.exir", "conv_cat_lowered_1.2.0.exir", "xnnpack_lowered.exir",
    ),
    "ETRecord": ("several.etrecord", "lowered.etrecord"),
    "pte": ("guarded.pte",),
    "vgf": ("dropout.vgf",),
    "TOSA": ("dropout.tosa",),
}  # fmt: skip

#: Names of files that ``fuseguard inspect`` reads. All others are read by ``fuseguard check``.
LOWERED = (".pte", ".vgf", ".tosa")

_CONTROL = re.compile(rb"[\x00-\x1f]")
_MOST_NESTED = 6
# Of alike JSON texts inside the JSON (the metadata of nodes), one in so many is taken.
_MOST_TEXTS = 12


@dataclass(frozen=True)
class Part:
    """Something inside of a file. ``kind`` is "file", "zip", "json", "flatbuffer", "pickle" or "data"."""

    kind: str
    place: str
    data: bytes
    build: Build

    @cached_property
    def index(self) -> json_text.Index:
        return json_text.index(self.data)

    @cached_property
    def entries(self) -> list[zips.Entry]:
        return zips.entries(self.data)


@dataclass(frozen=True)
class Base:
    """A good file and its parts by kind."""

    format: str
    name: str
    data: bytes
    parts: dict[str, tuple[Part, ...]]

    @property
    def suffix(self) -> str:
        """What the name of a changed copy ends with: it says which command reads it."""
        suffix = Path(self.name).suffix
        return suffix if suffix in LOWERED else ".pt2"


def load(folder: Path = FIXTURES) -> dict[str, tuple[Base, ...]]:
    """All good files by format."""
    return {
        kind: tuple(_base(kind, name, (folder / name).read_bytes()) for name in names)
        for kind, names in FORMATS.items()
    }


def _base(kind: str, name: str, data: bytes) -> Base:
    parts: dict[str, list[Part]] = {"file": [Part("file", "", data, bytes)]}
    for part in _inside("", data, bytes):
        parts.setdefault(part.kind, []).append(part)
    return Base(kind, name, data, {key: tuple(found) for key, found in parts.items()})


def _inside(place: str, data: bytes, build: Build, depth: int = 0) -> Iterator[Part]:
    """The parts of ``data``, itself first."""
    kind = kind_of(data)
    if not data or depth > _MOST_NESTED:
        return
    part = Part(kind, place, data, build)
    yield part
    if kind == "zip":
        for number, item in enumerate(part.entries):
            name = f"{place}/{item.name.decode('utf-8', 'replace')}"
            yield from _inside(name, item.data, _in_archive(part, number), depth + 1)
    elif kind == "json":
        taken: dict[bytes, int] = {}
        for value in part.index.by_kind.get("text", ()):
            key = part.data[value.key[0] : value.key[1]]
            text = part.index.of(value)
            if len(text) < 24 or taken.get(key, 0) >= _MOST_TEXTS:
                continue
            content = json.loads(text).encode("utf-8", "surrogatepass")
            inner = kind_of(content)
            if inner == "json":
                found = _inside(f"{place}:json", content, _in_text(part, value), depth + 1)
            else:
                decoded = _from_base64(content)
                if decoded is None:
                    continue
                found = _inside(f"{place}:base64", decoded, _in_base64(_in_text(part, value)), depth + 1)
            taken[key] = taken.get(key, 0) + 1
            yield from found


def kind_of(data: bytes) -> str:
    """What some bytes are, as the kind of a part."""
    if data[:4] == b"PK\x03\x04":
        return "zip"
    if data[4:8] == b"TOSA" or data[4:6] == b"ET" or data[:4] == b"VGF1":  # a VGF has words at even places, too
        return "flatbuffer"
    if data[:1] == b"\x80" and data[-1:] == b".":
        return "pickle"
    if data[:1] in (b"{", b"["):
        try:
            json.loads(data)
        except ValueError:
            return "data"
        return "json"
    return "data"


def _from_base64(content: bytes) -> bytes | None:
    if not re.fullmatch(rb"[A-Za-z0-9+/]{20,}={0,2}", content):
        return None
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error:
        return None


def _in_archive(part: Part, number: int) -> Build:
    def build(data: bytes) -> bytes:
        items = list(part.entries)
        items[number] = zips.entry(items[number].name, data)
        return part.build(zips.assemble(items))

    return build


def _in_text(part: Part, value: json_text.Value) -> Build:
    head, tail = part.data[: value.start], part.data[value.end :]
    return lambda data: part.build(b"".join((head, quoted(data), tail)))


def _in_base64(build: Build) -> Build:
    return lambda data: build(base64.b64encode(data))


def quoted(data: bytes) -> bytes:
    """Bytes as a JSON string; what is not UTF-8 stays as it is."""
    escaped = data.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b'"' + _CONTROL.sub(lambda match: b"\\u%04x" % match[0][0], escaped) + b'"'
