"""Lines of styled spans: the one form behind plain text and colour, so that both have the same content."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

Style: TypeAlias = Literal["", "error", "warning", "note", "strong", "dim", "place", "good"]
Span: TypeAlias = tuple[str, Style]

_NARROWEST = 12  # columns that a cell keeps


class Line:
    """One line of output. ``hang`` is the indent of what does not fit into the width."""

    __slots__ = ("hang", "spans")

    def __init__(self, *spans: Span | str, hang: int = 0) -> None:
        self.spans: tuple[Span, ...] = tuple((span, "") if isinstance(span, str) else span for span in spans)
        self.hang = hang

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.spans).rstrip()


def paragraph(text: str, indent: int = 0) -> Line:
    """Running text, all of it indented."""
    return Line(" " * indent + text, hang=indent)


def table(rows: Sequence[Sequence[str]], header: Sequence[str], indent: int = 0) -> list[Line]:
    """Columns as wide as their widest cell; the last one wraps under itself."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    start = indent + sum(width + 2 for width in widths[:-1])
    lines = []
    for number, row in enumerate((header, *rows)):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        text = " " * indent + "  ".join(cells).rstrip()
        lines.append(Line((text, "strong" if number == 0 else ""), hang=start))
    return lines


def fitted_table(
    rows: Sequence[Sequence[str]],
    header: Sequence[str],
    width: int,
    *,
    indent: int = 0,
    cut_left: Sequence[bool] = (),
) -> list[Line]:
    """A table of at most ``width`` columns: the widest columns are narrowed, and their cells cut.

    ``cut_left`` says of each column whether a cell loses its beginning, as a path should, or else its end.
    """
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    while sum(widths) + indent + 2 * (len(widths) - 1) > width and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    sides = cut_left or [False] * len(header)
    return table(
        [[_cut(cell, size, left) for cell, size, left in zip(row, widths, sides, strict=True)] for row in rows],
        header,
        indent,
    )


def _cut(text: str, width: int, left: bool) -> str:
    if len(text) <= width:
        return text
    return f"...{text[3 - width :]}" if left else f"{text[: width - 3]}..."


def plain(lines: Iterable[Line], width: int = 0) -> str:
    """The lines as plain text, wrapped to ``width`` columns if that is given. Ends with a newline unless empty."""
    parts: list[str] = []
    for line in lines:
        text = line.text
        if not width or len(text) <= width:
            parts.append(text)
            continue
        # The first ``hang`` columns are the label; what follows wraps under itself.
        hang = min(line.hang, width // 2)
        body = textwrap.wrap(
            text[hang:], width, initial_indent=text[:hang], subsequent_indent=" " * hang,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        parts.extend(body)
    return "".join(f"{part}\n" for part in parts)
