"""Where the arguments of an operator belong.

torch.export's JSON names every argument, and torch's loader goes by the names: it puts the arguments into the schema's
order, leaves out what the schema does not have, and lets the last of two win (``deserialize_inputs`` in
torch/_export/serde/serialize.py). Rules go by positions. Both see one program only if the file has the schema's order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources

POSITIONAL, KEYWORD = 1, 2  # ArgumentKind


@dataclass(frozen=True, slots=True)
class Arguments:
    """The names of an operator's arguments in order, and those of them that torch takes as keywords by default."""

    names: tuple[str, ...]
    optional: frozenset[str]


@lru_cache(maxsize=4096)
def arguments_of(target: str) -> Arguments | None:
    """Those of a canonical target, None for one that torch itself does not bring: its file's order is all there is."""
    # Searched and not parsed: a program has few operators, and the table thousands.
    start = _table().find(f"\n{target} ")
    if start < 0:
        return None
    text = _table()
    arguments = text[start + 1 : text.index("\n", start + 1)].split()[1:]
    names = tuple(argument.strip("*?") for argument in arguments)
    return Arguments(names, frozenset(name for name, form in zip(names, arguments, strict=True) if form != name))


@cache
def _table() -> str:
    return resources.files(__package__).joinpath("op_arguments.txt").read_text(encoding="utf-8")
