r"""How a report quotes what a file says: so that neither a terminal, nor a reader, nor a CI runner takes it for more.

Names and source lines come from files by strangers. Escape sequences could rewrite a terminal, bidirectional overrides
could show something other than what is there, and a name like ``##vso[task.prependpath]`` would be obeyed by the runner
whose log it gets into. Everything that a person or a runner reads goes through :func:`quoted`, in every format.

What runners obey: ``::command`` at the start of a line, after blanks, and ``##[command]`` anywhere in it (GitHub;
ActionCommand.cs of actions/runner), ``##vso[...]`` anywhere (Azure), ``##teamcity[...]``, and ``section_start:``
(GitLab). The first character of each is escaped as ``\x3a`` and the like.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

#: Characters of a name that are shown.
MAX_NAME = 200
#: Characters of a text: a message, a remedy, an error.
MAX_TEXT = 4000
#: Names of a list that a person reads.
MAX_LISTED = 20
#: Names of a list that a program reads.
MAX_ARRAY = 64

# Nothing in these is to be quoted. Most of a page's data are numbers.
_PLAIN = frozenset((bool, float, int, type(None)))

# C++ names (aten::relu) stay as they are: no command has a word directly before it.
_COMMAND = re.compile(r"(?<!\w)::(?=\S)|##(?=\w*\[)|section_(?:start|end)(?=:)", re.IGNORECASE)


def quoted(text: str, limit: int = MAX_TEXT) -> str:
    """``text`` on one line, with everything unprintable and every command of a CI runner escaped, and cut at ``limit``.

    What is left out is counted. The result may be longer than ``limit``, by the escapes.
    """
    if len(text) > limit:
        left_out = len(text) - limit
        text = f"{text[:limit]}... ({left_out:,} more {'character' if left_out == 1 else 'characters'})"
    if not text.isprintable():
        text = text.expandtabs(4)
        text = "".join(char if char.isprintable() else _escape(char) for char in text)
    if ":" in text or "#" in text:
        text = _COMMAND.sub(_without_its_start, text)
    return text


def name(text: str) -> str:
    """A quoted name: of a node, a file, a module."""
    return quoted(text, MAX_NAME)


def listed(names: Sequence[str], limit: int = MAX_LISTED) -> str:
    """Quoted names with commas between them, and how many more there are."""
    shown = ", ".join(map(name, names[:limit]))
    return f"{shown} and {len(names) - limit:,} more" if len(names) > limit else shown


def quoted_lines(text: str, limit: int = 2 * MAX_TEXT) -> str:
    """``text`` quoted line by line: the line breaks are ours. ``limit`` is for all of it."""
    if len(text) > limit:
        text = f"{text[:limit]}... ({len(text) - limit:,} more characters)"
    return "\n".join(quoted(line, limit + 64) for line in text.split("\n"))


def array(items: Sequence[Any], quote: Callable[[Any], str] = name) -> list[str]:
    """The items as quoted texts, for a program to read. ``quote`` returns the text of one; names need none.

    Of a long list, the last one says how many more there are.
    """
    shown = list(map(quote, items[:MAX_ARRAY]))
    return [*shown, f"and {len(items) - MAX_ARRAY:,} more"] if len(items) > MAX_ARRAY else shown


def labelled(pairs: Sequence[tuple[str, str]], limit: int = MAX_ARRAY) -> Sequence[tuple[str, str]]:
    """Labels with values, as of the inputs of an op. Of a long list, the last one says how many more there are."""
    return pairs if len(pairs) <= limit else (*pairs[:limit], ("more", f"and {len(pairs) - limit:,} more"))


def quoted_tree(value: Any) -> Any:
    """JSON-ready data with every string and key quoted; line breaks stay."""
    if isinstance(value, str):
        # Most strings are short and have nothing to quote.
        plain = len(value) <= MAX_NAME and value.isprintable() and ":" not in value and "#" not in value
        return value if plain else quoted_lines(value)
    if isinstance(value, dict):
        return {quoted_tree(key): item if type(item) in _PLAIN else quoted_tree(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [item if type(item) in _PLAIN else quoted_tree(item) for item in value]
    return value


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def _without_its_start(match: re.Match[str]) -> str:
    """The same text to a reader, and no command to a runner: with its first colon, hash or word's end escaped."""
    found = match[0]
    if found[0] in ":#":
        return f"\\x{ord(found[0]):02x}{found[1:]}"
    return f"{found[:7]}\\x5f{found[8:]}"
