"""Makes the inputs of a campaign. Each is a function of the seed and its number alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from fuzzing import flatbuffers, json_text, raw, zips
from fuzzing.corpus import FORMAT_WEIGHTS, Base, Part

#: How often a kind of part is chosen, of those that a file has. Most changes of the bytes of a file are refused early.
WEIGHTS = {"file": 32, "zip": 28, "json": 30, "flatbuffer": 6, "pickle": 3, "data": 3}


@dataclass(frozen=True, slots=True)
class Input:
    """A file: its number, the format of the good file, the kinds of part and change, its bytes, and its name's end."""

    number: int
    format: str
    mutator: str
    data: bytes
    suffix: str = ".pt2"


class Maker:
    """Makes inputs of good files. ``kinds`` are the kinds of parts that are changed, all if there are none."""

    def __init__(self, bases: dict[str, tuple[Base, ...]], seed: int, kinds: Sequence[str] = ()) -> None:
        self._bases = bases
        self._formats = tuple(bases)
        self._weights = [FORMAT_WEIGHTS[name] for name in bases]
        self._seed = seed
        self._kinds = tuple(kinds)

    def make(self, number: int) -> Input:
        """The input of this number."""
        rng = Random(f"{self._seed}:{number}")
        chosen = rng.choices(self._formats, self._weights)[0]
        base = rng.choice(self._bases[chosen])
        other = rng.choice(self._bases[rng.choice(self._formats)])
        kinds = [kind for kind in WEIGHTS if kind in base.parts and (not self._kinds or kind in self._kinds)]
        kind = rng.choices(kinds, [WEIGHTS[kind] for kind in kinds])[0]
        part = rng.choice(base.parts[kind]) if rng.random() < 0.5 else _largest(base.parts[kind])
        name, data = _changed(rng, kind, part, other)
        return Input(number, chosen, f"{kind}: {name}", part.build(data), base.suffix)


def _largest(parts: Sequence[Part]) -> Part:
    """The program, as a rule."""
    return max(parts, key=lambda part: len(part.data))


def _changed(rng: Random, kind: str, part: Part, other: Base) -> tuple[str, bytes]:
    if kind == "json":
        # Further programs are JSON too, so that the largest of the other file fits best.
        return json_text.change(rng, part.index, _largest(other.parts.get("json", (part,))).index)
    if kind == "zip":
        return zips.change(rng, part.entries, other.parts.get("zip", (part,))[0].entries)
    spliced = rng.choice(other.parts.get(kind, (part,))).data
    if kind == "flatbuffer":
        return flatbuffers.change(rng, part.data, spliced)
    return raw.change(rng, part.data, spliced)
