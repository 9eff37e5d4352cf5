"""Changes of a flatbuffer: its offsets, vtables, lengths and scalars are 32-bit and 16-bit words at even places."""

from __future__ import annotations

import struct
from random import Random

from fuzzing.vocabulary import INTEGERS, TEXTS


def change(rng: Random, data: bytes, other: bytes) -> tuple[str, bytes]:
    """The name of a change and its result. ``other`` is another flatbuffer."""
    result = bytearray(data)
    kind = rng.choice(("word", "word", "half", "shift", "swap", "copy", "text", "cut", "root", "splice", "grow"))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        _once(rng, kind, result, other)
    return kind, bytes(result)


def _once(rng: Random, kind: str, result: bytearray, other: bytes) -> None:
    if len(result) < 16:
        result += other[:64] or bytes(64)
    words = len(result) // 4
    at = 4 * rng.randrange(words)
    if kind == "word":
        struct.pack_into("<L", result, at, rng.choice((*INTEGERS, len(result) - at, len(result), at, 2**32 - at)))
    elif kind == "half":
        struct.pack_into("<H", result, at + rng.choice((0, 2)), rng.choice(INTEGERS) & 0xFFFF)
    elif kind == "shift":
        value = struct.unpack_from("<L", result, at)[0]
        struct.pack_into("<L", result, at, (value + rng.choice((-8, -4, -1, 1, 4, 8, 64))) % 2**32)
    elif kind == "swap":
        there = 4 * rng.randrange(words)
        result[at : at + 4], result[there : there + 4] = result[there : there + 4], result[at : at + 4]
    elif kind == "copy":
        there = 4 * rng.randrange(words)
        size = 4 * rng.choice((1, 2, 8, 32))
        piece = result[there : there + size]
        result[at : at + len(piece)] = piece
    elif kind == "text":
        text = rng.choice(TEXTS)[: len(result) - at]
        result[at : at + len(text)] = text
    elif kind == "cut":
        del result[at:]
    elif kind == "root":
        struct.pack_into("<L", result, 0, at)
    elif kind == "splice":
        result[at:] = other[at:]
    else:
        result[at:at] = bytes(4 * rng.choice((1, 2, 16)))
