"""Names and texts of strangers as Markdown that renders as exactly what they are, on GitHub and elsewhere.

Markdown takes raw HTML, links, images, tables and emphasis; GitHub makes links of URLs, ``@names`` and ``#numbers`` as
well. In a code span nothing of that counts, but for the backtick that ends it and the pipe that ends a table's cell.
Elsewhere, an entity stands for a character and never for markup (CommonMark 0.31, section 2.5).
"""

from __future__ import annotations

import re

from fuseguard.report.quoting import MAX_NAME, MAX_TEXT, quoted

# What could begin or end markup, or make a link; the rest stays readable. An underscore within a word is none, nor is a
# colon before a blank.
_MARKUP = re.compile(
    r"[\\`*\[\]<>#!|~&@$]|(?<!\w)_|_(?!\w)|:(?=\S)|www\.|^(?:\d+[.)]|[-+=])",
    re.IGNORECASE,
)
#: What a code span cannot hold, or not within a table.
_NO_CODE = re.compile(r"[`|\\]")
#: A comment between two characters is not seen, and no link is made across it.
_APART = "<!-- -->"


def code(text: str, limit: int = MAX_NAME) -> str:
    """A name as code; "" for none."""
    shown = quoted(text, limit).strip()
    if not shown:
        return ""
    if _NO_CODE.search(shown):
        return f"<code>{_entities(shown)}</code>"
    return f"`{shown}`"


def prose(text: str, limit: int = MAX_TEXT) -> str:
    """A text on one line."""
    return _MARKUP.sub(lambda match: _entities(match[0]), quoted(text, limit).strip())


def _entities(text: str) -> str:
    """Every character that is neither a letter, a digit nor a blank as an entity."""
    return "".join(char if char.isalnum() or char == " " else _entity(char) for char in text)


def _entity(char: str) -> str:
    # @name and #1 are looked for in what is shown.
    return f"&#{ord(char)};" + (_APART if char in "@#" else "")
