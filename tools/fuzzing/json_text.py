"""Changes of JSON text, as edits of its bytes: the result may be what no JSON writer would write.

The places of all values are found once. An edit then takes no longer than the text is copied.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

from fuzzing.vocabulary import JSON_VALUES, TEXTS

#: Start, end and what takes the place of the bytes between.
Edit: TypeAlias = tuple[int, int, bytes]

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[^\s\[\]{},:"]+|[\[\]{},:]')
# How deep and long is tried. Deep and long ones take most of the time, so that they are rare.
_DEPTHS = (2, 10, 31, 33, 100, 1000, 5000, 100_000)
_LENGTHS = (10, 65, 100, 1000, 5000)


@dataclass(frozen=True, slots=True)
class Value:
    """A value by the places of its first byte and after its last; ``key`` is that of a member's key, else 0, 0."""

    start: int
    end: int
    kind: str  # "text", "word", "object" or "list"
    key: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class Index:
    """The values of one JSON text, in the order of their ends. ``texts`` are all places of each string, quoted."""

    text: bytes
    values: list[Value] = field(default_factory=list)
    by_kind: dict[str, list[Value]] = field(default_factory=dict)
    members: list[Value] = field(default_factory=list)
    names: list[Value] = field(default_factory=list)
    texts: dict[bytes, list[tuple[int, int]]] = field(default_factory=dict)

    def of(self, value: Value) -> bytes:
        return self.text[value.start : value.end]


def index(text: bytes) -> Index:
    """``text`` must be valid JSON with at least one value."""
    found = Index(text)
    opened: list[tuple[int, tuple[int, int]]] = []
    inside: list[bytes] = []
    key = pending = (0, 0)
    expects_key = False
    for match in _TOKEN.finditer(text):
        token, start, end = match[0], match.start(), match.end()
        first = token[:1]
        if first == b'"':
            found.texts.setdefault(token, []).append((start, end))
        if first in b"[{":
            opened.append((start, key))
            inside.append(first)
            key, expects_key = (0, 0), first == b"{"
        elif first in b"]}":
            begun, own_key = opened.pop()
            inside.pop()
            found.values.append(Value(begun, end, "object" if first == b"}" else "list", own_key))
            key, expects_key = (0, 0), False
        elif first == b",":
            key, expects_key = (0, 0), inside[-1] == b"{"
        elif first == b":":
            key, expects_key = pending, False
        elif expects_key:
            pending = (start, end)
        else:
            found.values.append(Value(start, end, "text" if first == b'"' else "word", key))
    for value in found.values:
        found.by_kind.setdefault(value.kind, []).append(value)
        if value.key[1]:
            found.members.append(value)
            if value.kind == "text" and text[value.key[0] : value.key[1]] in (b'"name"', b'"as_name"'):
                found.names.append(value)
    return found


def change(rng: Random, base: Index, other: Index) -> tuple[str, bytes]:
    """The names of the changes and the changed text. ``other`` is a text that values are taken from."""
    names: list[str] = []
    edits: list[Edit] = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        name = rng.choice(NAMES)
        names.append(name)
        edits += CHANGES[name](rng, base, other)
    return names[0] if len(names) == 1 else "several", applied(base.text, edits)


def applied(text: bytes, edits: list[Edit]) -> bytes:
    """The text with the edits that do not overlap an earlier one in the text."""
    parts: list[bytes] = []
    at = 0
    for start, end, new in sorted(edits, key=lambda edit: edit[:2]):
        if start >= at:
            parts += (text[at:start], new)
            at = end
    return b"".join((*parts, text[at:]))


def _any(rng: Random, base: Index, *kinds: str) -> Value:
    found = [value for kind in kinds for value in base.by_kind.get(kind, ())] if len(kinds) != 1 else None
    if found is None:
        found = base.by_kind.get(kinds[0], [])
    return rng.choice(found or base.values)


def _value(rng: Random, base: Index, other: Index) -> list[Edit]:
    del other
    value = rng.choice(base.values) if rng.random() < 0.5 else _any(rng, base, "word")
    return [(value.start, value.end, rng.choice(JSON_VALUES))]


def _drop(rng: Random, base: Index, other: Index) -> list[Edit]:
    del other
    value = rng.choice(base.values)
    start = value.key[0] if value.key[1] else value.start
    end = value.end
    after = base.text[end : end + 2].lstrip()[:1]
    if after == b",":
        end = base.text.index(b",", end) + 1
    else:
        before = base.text.rfind(b",", 0, start)
        if before >= 0 and not base.text[before + 1 : start].strip():
            start = before
    return [(start, end, b"")]


def _twice(rng: Random, base: Index, other: Index) -> list[Edit]:
    """A key twice, with the same value or another one; an element twice."""
    value = rng.choice(base.values)
    key = base.text[value.key[0] : value.key[1]] + b":" if value.key[1] else b""
    source = other if rng.random() < 0.3 else base
    new = base.of(value) if rng.random() < 0.4 else source.of(rng.choice(source.values))
    return [(value.end, value.end, b"," + key + new[:20_000])]


def _key(rng: Random, base: Index, other: Index) -> list[Edit]:
    if not base.members:
        return []
    start, end = rng.choice(base.members).key
    source = rng.choice((base, other))
    if rng.random() < 0.3 or not source.members:
        return [(start, end, b'"' + rng.choice(TEXTS) + b'"')]
    key = rng.choice(source.members).key
    return [(start, end, source.text[key[0] : key[1]])]


def _swap(rng: Random, base: Index, other: Index) -> list[Edit]:
    del other
    first = rng.choice(base.values)
    second = _any(rng, base, first.kind) if rng.random() < 0.7 else rng.choice(base.values)
    return [(first.start, first.end, base.of(second)), (second.start, second.end, base.of(first))]


def _copy(rng: Random, base: Index, other: Index) -> list[Edit]:
    """A value of the same kind, from this text or another one, in the place of a value."""
    value = rng.choice(base.values)
    source = other if rng.random() < 0.3 else base
    found = _any(rng, source, value.kind) if rng.random() < 0.8 else rng.choice(source.values)
    return [(value.start, value.end, source.of(found))]


def _name(rng: Random, base: Index, other: Index) -> list[Edit]:
    """A reference to another node."""
    del other
    if not base.names:
        return []
    value = rng.choice(base.names)
    return [(value.start, value.end, base.of(rng.choice(base.names)))]


def _deep(rng: Random, base: Index, other: Index) -> list[Edit]:
    del other
    value = rng.choice(base.values)
    depth = rng.choice(_DEPTHS) if rng.random() < 0.1 else rng.choice(_DEPTHS[:5])
    start, end = rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'{"as_string_to_argument":{"a":', b"}}")))
    return [(value.start, value.start, start * depth), (value.end, value.end, end * depth)]


def _long(rng: Random, base: Index, other: Index) -> list[Edit]:
    """A list with an element very often."""
    del other
    value = _any(rng, base, "list") if rng.random() < 0.7 else rng.choice(base.values)
    length = rng.choice(_LENGTHS) if rng.random() < 0.1 else rng.choice(_LENGTHS[:3])
    item = rng.choice((b"0", b"{}", b"[]", b'"x"', b"1e9", base.of(rng.choice(base.values))[:200]))
    return [(value.start, value.end, b"[" + b",".join([item] * length) + b"]")]


def _text(rng: Random, base: Index, other: Index) -> list[Edit]:
    """Other text in a string or in the place of its inside, invalid UTF-8 included."""
    del other
    value = _any(rng, base, "text")
    if value.kind != "text":
        return []
    new = rng.choice(TEXTS)
    start, end = value.start + 1, value.end - 1
    kind = rng.randrange(4)
    if kind == 0:
        return [(start, end, new)]
    at = rng.randint(start, end)
    return [(at, at if kind < 3 else min(end, at + rng.randint(1, 8)), new)]


def _rename(rng: Random, base: Index, other: Index) -> list[Edit]:
    """A name, or another text, replaced wherever it occurs: the program stays valid, and the name is hostile."""
    del other
    if base.names and rng.random() < 0.8:
        text = base.of(rng.choice(base.names))
    else:
        text = rng.choice(list(base.texts)) if base.texts else b""
    new = b'"' + rng.choice(TEXTS) + b'"'
    return [(start, end, new) for start, end in base.texts.get(text, ())]


def _number(rng: Random, base: Index, other: Index) -> list[Edit]:
    """A slightly different number, or another one of the file."""
    del other
    value = _any(rng, base, "word")
    text = base.of(value)
    kind = rng.randrange(5)
    if kind == 0:
        new = base.of(_any(rng, base, "word"))
    elif kind == 1:
        new = b"-" + text
    elif kind == 2:
        new = text + rng.choice((b"0", b"1", b".5", b"e5", b"e-5", b"e300"))
    elif kind == 3:
        new = str(rng.choice((2 ** rng.randrange(70), -(2 ** rng.randrange(70)), rng.randint(-300, 300)))).encode()
    else:
        new = repr(rng.choice((rng.random(), 10 ** rng.uniform(-40, 40), -rng.random()))).encode()
    return [(value.start, value.end, new)]


def _garbage(rng: Random, base: Index, other: Index) -> list[Edit]:
    """Bytes where none belong: before, after, or between two tokens."""
    del other
    at = rng.choice((0, len(base.text), rng.choice(base.values).end, rng.choice(base.values).start))
    new = rng.choice((b" ", b"\n" * 20, b"\xef\xbb\xbf", b"\x00", b",", b"}", b"]", b"\xff", b"/**/", b"x"))
    return [(at, at, new)]


CHANGES: dict[str, Callable[[Random, Index, Index], list[Edit]]] = {
    "value": _value, "drop": _drop, "twice": _twice, "key": _key, "swap": _swap, "copy": _copy, "name": _name,
    "deep": _deep, "long": _long, "text": _text, "rename": _rename, "number": _number, "garbage": _garbage,
}  # fmt: skip
NAMES = (*CHANGES, "value", "text", "number")
