"""On which line of a TOML document a key is: what tomllib does not tell, and an error message must.

tomllib stays the only parser. A statement of TOML ends with its line, unless a bracket or a triple quote is open, and
then it is not valid on its own. So lines are gathered until tomllib accepts them, and what they parse to is the key.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: Keys from the top of the document down; a number is the place in an array.
KeyPath: TypeAlias = "tuple[str | int, ...]"

TOMLDecodeError = tomllib.TOMLDecodeError
loads = tomllib.loads


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line, from 1, of every table header and key of a valid document. Keys within a value have no line of their
    own; :func:`line_of` finds that of the value.
    """
    lines: dict[KeyPath, int] = {}
    tables: KeyPath = ()
    counts: dict[KeyPath, int] = {}
    for number, statement in _statements(text):
        parsed = loads(statement)
        if not parsed:
            continue  # blank, or a comment
        if statement.lstrip().startswith("["):
            tables = _header(parsed, statement.lstrip().startswith("[["), counts)
            _add(lines, tables, number)
        else:
            _add(lines, (*tables, *_key(parsed, statement)), number)
    return lines


def line_of(lines: Mapping[KeyPath, int], path: Sequence[str | int]) -> int:
    """The line of a key, or of the nearest thing around it; 1 if there is none."""
    for length in range(len(path), 0, -1):
        line = lines.get(tuple(path[:length]))
        if line is not None:
            return line
    return 1


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each statement and the number of its first line."""
    gathered: list[str] = []
    first = 1
    # Not splitlines: TOML knows no other line ends.
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not gathered:
            first = number
        gathered.append(line)
        statement = "\n".join(gathered)
        try:
            loads(statement)
        except TOMLDecodeError:
            continue  # not complete yet
        yield first, statement
        gathered = []


def _header(parsed: Mapping[str, Any], is_array: bool, counts: dict[KeyPath, int]) -> KeyPath:
    """The path of ``[a.b]`` or ``[[a.b]]``, with the places in arrays of tables that it is about."""
    path: KeyPath = ()
    value: Any = parsed
    while isinstance(value, dict) and value:
        ((name, value),) = value.items()
        path = (*path, name)
        is_last = not isinstance(value, dict) or not value
        if is_array and is_last:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _key(parsed: Mapping[str, Any], statement: str) -> KeyPath:
    """The path of ``key = value``, where the key may have dots: as deep as the key itself goes."""
    path: KeyPath = ()
    value: Any = parsed
    depth = _depth(statement)
    while depth and isinstance(value, dict) and value:
        ((name, value),) = value.items()
        path = (*path, name)
        depth -= 1
    return path


def _depth(statement: str) -> int:
    """How many parts the key of a statement has: it ends at the first ``=`` outside of quotes."""
    parts, quote, escaped = 1, "", False
    for char in statement:
        if escaped:
            escaped = False
        elif quote:
            escaped = char == "\\" and quote == '"'
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == ".":
            parts += 1
        elif char == "=":
            break
    return parts


def _add(lines: dict[KeyPath, int], path: KeyPath, number: int) -> None:
    for length in range(1, len(path) + 1):
        lines.setdefault(path[:length], number)
