"""Changes of bytes whose meaning does not matter: flipped, inserted, deleted, doubled, cut, spliced with others."""

from __future__ import annotations

from random import Random

from fuzzing.vocabulary import HEADS, INTEGERS


def change(rng: Random, data: bytes, other: bytes) -> tuple[str, bytes]:
    """The name of a change and its result. ``other`` is a file to splice with."""
    result = bytearray(data)
    kind = rng.choice(("flip", "flip", "set", "number", "insert", "delete", "double", "cut", "splice", "head"))
    for _ in range(1 if kind in ("cut", "splice", "head") else rng.choice((1, 1, 2, 4, 8))):
        _once(rng, kind, result, other)
    return kind, bytes(result)


def _once(rng: Random, kind: str, result: bytearray, other: bytes) -> None:
    size = len(result)
    at = rng.randrange(size + 1)
    length = rng.choice((1, 2, 4, 8, rng.randint(1, 64)))
    if kind == "flip" and at < size:
        result[at] ^= 1 << rng.randrange(8)
    elif kind == "set" and at < size:
        result[at] = rng.choice((0, 1, 0x22, 0x2C, 0x5C, 0x7F, 0x80, 0xC3, 0xFF, rng.randrange(256)))
    elif kind == "number":
        width = rng.choice((2, 4, 8))
        value = rng.choice((*INTEGERS, size, size - 1, at)) % 2 ** (8 * width)
        result[at : at + width] = value.to_bytes(width, "little")
    elif kind == "insert":
        result[at:at] = rng.randbytes(length) if rng.random() < 0.5 else bytes([rng.randrange(256)]) * length
    elif kind == "delete":
        del result[at : at + length]
    elif kind == "double":
        start = rng.randrange(size + 1)
        result[at:at] = result[start : start + length * rng.choice((1, 16))]
    elif kind == "cut":
        del result[at:]
    elif kind == "splice":
        start = rng.randrange(len(other) + 1)
        result[at:] = other[start:] if rng.random() < 0.7 else result[:at] + other
    elif kind == "head":
        head = rng.choice(HEADS)
        result[: len(head) if rng.random() < 0.5 else size] = head
