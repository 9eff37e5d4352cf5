"""Colour. Imports rich, which costs more than a whole check, so only writing to a terminal comes here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

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


def write(lines: Iterable[Line], stream: TextIO) -> None:
    """Write ``lines`` to ``stream`` in colour, wrapped to its width."""
    # The decision for colour has been made; rich must not overrule it for a stream that is no terminal.
    console = Console(file=stream, force_terminal=True, no_color=False, highlight=False, markup=False, emoji=False)
    for line in lines:
        text = Text.assemble(*((part, _STYLES[style]) for part, style in line.spans))
        text.rstrip()
        if text.cell_len <= console.width:
            console.print(text, soft_wrap=True)
            continue
        # The first ``hang`` columns are the label; what follows wraps under itself.
        hang = min(line.hang, console.width // 2)
        head = text[:hang] if hang else Text()
        for number, part in enumerate(text[hang:].wrap(console, max(console.width - hang, 20))):
            part.rstrip()
            console.print((head if number == 0 else Text(" " * hang)) + part, soft_wrap=True)
