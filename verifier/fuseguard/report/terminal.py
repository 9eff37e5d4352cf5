"""Colour. Imports rich, which costs more than a whole check, so only writing to a terminal comes here."""

from __future__ import annotations

import io
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from fuseguard.report.lines import Line, Style

_STYLES: dict[Style, str] = {
    "": "",
    "error": "bold red",
    "warning": "bold yellow",
    "note": "bold cyan",
    "strong": "bold",
    "dim": "dim",
    "place": "blue",
    "good": "bold green",
}


def coloured(lines: Iterable[Line], width: int = 0) -> str:
    """The lines in colour, wrapped to ``width`` columns if that is given."""
    # Not to the stream itself: rich ends the process where nobody reads. And the decision for colour has been made.
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, no_color=False, highlight=False, markup=False, emoji=False)
    for line in lines:
        text = Text.assemble(*((part, _STYLES[style]) for part, style in line.spans))
        text.rstrip()
        if not width or text.cell_len <= width:
            console.print(text, soft_wrap=True)
            continue
        # The first ``hang`` columns are the label; what follows wraps under itself.
        hang = min(line.hang, width // 2)
        head = text[:hang] if hang else Text()
        for number, part in enumerate(text[hang:].wrap(console, max(width - hang, 20))):
            part.rstrip()
            console.print((head if number == 0 else Text(" " * hang)) + part, soft_wrap=True)
    return stream.getvalue()
