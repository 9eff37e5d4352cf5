"""A hook of mkdocs: each term of docs/primer.md has a tooltip where a page first uses it.

The primer is the only source. A bold term in it is defined by the sentence that it is in.
"""

from __future__ import annotations

import re
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

PRIMER = Path(__file__).resolve().parents[1] / "docs" / "primer.md"
#: Terms that other pages use in another sense as well: the codes of rules, the steps of a procedure.
_EVERYDAY = ("Codes", "step", "owner")
_TERM = re.compile(r"\*\*([^*]+)\*\*")
_SENTENCE = re.compile(r"(?<=[.:])\s+(?=[A-Z*])")
_HEADING = re.compile(r"<(h[1-6])\b.*?</\1>", re.DOTALL)
_ABBR = re.compile(r'<abbr title="([^"]*)">([^<]*)</abbr>')


@cache
def terms() -> dict[str, str]:
    """Each term of the primer, with the sentence that defines it, as plain text."""
    found: dict[str, str] = {}
    for block in re.split(r"\n\s*\n|\n(?=- )", PRIMER.read_text(encoding="utf-8")):
        for sentence in _SENTENCE.split(" ".join(block.removeprefix("- ").split())):
            for term in _TERM.findall(sentence):
                found.setdefault(term, _plain(sentence))
    return found


def _plain(markdown: str) -> str:
    """A sentence without markup."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown).replace("**", "").replace("`", "").removesuffix(":")


def _with_tooltip() -> list[tuple[str, str]]:
    return [(term, meaning) for term, meaning in terms().items() if term not in _EVERYDAY]


def _forms(term: str) -> tuple[str, ...]:
    """A term as it stands in running text: also in the plural, or at the start of a sentence."""
    if not term.islower():
        return (term,)
    plural = term if term.endswith("s") else f"{term}s"
    return tuple(dict.fromkeys((term, plural, term.capitalize(), plural.capitalize())))


def on_page_markdown(markdown: str, /, *, page: Any, **_: Any) -> str:
    """Called by mkdocs with the text of each page."""
    if page.file.src_uri == PRIMER.name:
        return markdown
    lines = [f"*[{form}]: {meaning}" for term, meaning in _with_tooltip() for form in _forms(term)]
    return "\n".join([markdown, "", *lines, ""])


def on_page_content(html: str, /, **_: Any) -> str:
    """Called by mkdocs with the HTML of each page. A term has one tooltip, and none in a heading."""
    seen: set[str] = set()

    def first(match: re.Match[str]) -> str:
        meaning = unescape(match[1])
        if meaning in seen:
            return match[2]
        seen.add(meaning)
        return match[0]

    without = _HEADING.sub(lambda heading: _ABBR.sub(r"\2", heading[0]), html)
    return _ABBR.sub(first, without)
