"""The Markdown report: what it shows, and that a name from a file is shown and never obeyed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from fuseguard.engine import Severity
from fuseguard.gate.result import CheckResult, FileResult
from fuseguard.ir.graph import SourceLine
from fuseguard.report import markdown
from fuseguard.report.markdown_text import code, prose
from fuseguard.report.options import Options
from fuseguard.report.quoting import quoted
from fuseguard_testkit.report_fakes import BARE, FAILURE, FINDING, UNREADABLE, finding, of, report, result

#: What this module writes itself: code where a span cannot hold it, and what keeps GitHub from making links.
OURS = {"<code>", "</code>", "<!-- -->"}


def text_of(check: CheckResult, **options: bool) -> str:
    return markdown.render(check, Options(Path("/"), **options))


def tokens(text: str) -> list[Token]:
    """The HTML that a parser like GitHub's renders: tables, strike-through, raw HTML."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return [token for block in parser.parse(text) for token in (block, *(block.children or ()))]


def shown(text: str) -> str:
    """The characters that a reader sees."""
    kinds = ("text", "code_inline", "text_special")
    return "".join(token.content for token in tokens(text) if token.type in kinds)


def test_an_entry_has_a_heading_what_to_do_and_a_table() -> None:
    found = [finding(module=f"block.{number}", file="m.pt2") for number in range(3)]
    text = text_of(of(*found))
    assert text.startswith("## fuseguard\n\n3 errors, 0 warnings, 0 notes in 13 nodes")
    assert "\n#### ❌ `FU101` fused-activation-out-of-range (3 places)\n" in text
    assert text.count("- **Remedy:** insert a pair\n") == 1
    assert "| module | line | ops | worst error |\n| --- | --- | --- | --- |\n" in text
    assert "| `block.2` | `model.py:7` | <code>" not in text, "a plain name is a code span"
    assert "| `block.2` | `model.py:7` | `conv2d -> relu` | 111 steps, 5.55 |\n" in text
    assert "**3 of 3 can be repaired bit-exactly: fuseguard repair m.pt2" in text
    kinds = [token.type for token in tokens(text)]
    assert kinds.count("tr_open") == 4


def test_severities_errors_failures_and_notices_are_there() -> None:
    files = FileResult("m.pt2", report(BARE, failures=(FAILURE,), notices=("Look here.",))), UNREADABLE
    text = text_of(result(*files))
    for part in ("⚠️ `QP301`", "rule `FU102` failed", "Look here.", "bad.pt2`: bad.pt2: is empty; save it again"):
        assert part in text
    note = text_of(of(finding(severity=Severity.NOTE)))
    assert "💡 `FU101`" in note


def test_quiet_and_statistics() -> None:
    check = of(FINDING, notices=("Look here.",))
    assert "Look here" not in text_of(check, quiet=True)
    assert "repaired" not in text_of(check, quiet=True)
    counts = text_of(check, statistics=True)
    assert "| 1 | `FU101` | fused-activation-out-of-range | error | 1 |\n" in counts
    assert "Remedy" not in counts


def test_a_long_report_fits_a_summary_and_says_what_it_leaves_out() -> None:
    long = "n" * 300
    found = [
        finding(module=long, nodes=(long,), island=long, remedy="r" * 5000, case=str(number // 10), message="m" * 5000)
        for number in range(3000)
    ]
    warned: list[str] = []
    text = markdown.render(of(*found), Options(Path("/"), warn=warned.append))
    assert len(text.encode()) < 1024 * 1024
    assert warned == ["2600 findings left out of the Markdown report; other formats hold them all."]
    assert prose(warned[0]) in text


HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "<!-- ",
    "</code><script>",
    "`x` <b>",
    "``` \n# heading",
    "a|b\\|c\\\\|d",
    "[x](http://e)",
    "![x](http://e/i.png)",
    "https://evil.example/x",
    "www.evil.example",
    "a@evil.example",
    "@octocat",
    "see #123",
    "**bold** _it_ ~~no~~",
    "- item",
    "1. item",
    "+ item",
    "> quote",
    "===",
    "---",
    "# heading",
    "&lt;b&gt; &#60;",
    "$x$",
    ":smile:",
    "\\",
    "`",
    "| --- |",
    "<https://e>",
    "\tcode",
    "    code",
    "[ref]: http://e",
    "[^1]: note",
    "* * *",
    "a\\",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_is_shown_as_it_is_and_never_markup(text: str) -> None:
    line = SourceLine(text, 3, text, text)
    item = replace(
        FINDING, nodes=(text, "b"), message=text, module=text, island=text, source=line, stack=(line,), graph=text,
        file=f"{text}.pt2", remedy=text, name=text, code=text, caused_by=text,
    )  # fmt: skip
    check = result(
        FileResult(f"{text}.pt2", report(item, item, notices=(text,), failures=(FAILURE.__class__(text, "", text),)))
    )
    check_is_ours(text_of(check))
    visible = shown(text_of(check))
    assert quoted(text).strip() in visible


def check_is_ours(text: str) -> None:
    """No markup in a report but that which the report writes."""
    found = tokens(text)
    assert {token.content.strip() for token in found if token.type in ("html_inline", "html_block")} <= OURS
    allowed = {
        "heading_open",
        "heading_close",
        "inline",
        "text",
        "paragraph_open",
        "paragraph_close",
        "strong_open",
        "strong_close",
        "bullet_list_open",
        "bullet_list_close",
        "list_item_open",
        "list_item_close",
        "code_inline",
        "html_inline",
        "table_open",
        "table_close",
        "thead_open",
        "thead_close",
        "tbody_open",
        "tbody_close",
        "tr_open",
        "tr_close",
        "th_open",
        "th_close",
        "td_open",
        "td_close",
        "text_special",
        "softbreak",
    }
    assert {token.type for token in found} <= allowed
    cells = [token.type for token in found if token.type in ("tr_open", "td_open", "th_open")]
    assert cells.count("td_open") % 4 == 0
    assert sum(token.type == "bullet_list_open" for token in found) == 1
    # GitHub's links, which are made of what is shown outside of code.
    outside = "".join(token.content if token.type == "text" else "\0" for token in found)
    assert not re.search(r"[\w.]@\w|(?<!\w)@\w|(?<!\w)#\d", outside)
    source = re.sub(r"`[^`\n]*`", "", text)
    assert not re.search(r"https?://|www\.\w", source)


@settings(max_examples=300)
@given(st.text(alphabet="ab01 `|\\<>&#@!*_[]()~:/.-+=$\"'{}", max_size=40))
def test_any_text_comes_out_as_it_went_in(text: str) -> None:
    wanted = quoted(text, 200).strip()
    row = f"| x | y |\n| --- | --- |\n| {code(text) or '-'} | {prose(text) or '-'} |\n"
    cells = [token for token in tokens(row) if token.type == "inline"][2:]
    assert len(cells) == 2
    for cell in cells:
        parts = cell.children or []
        assert "".join(p.content for p in parts if p.type in ("text", "code_inline", "text_special")) == (wanted or "-")
        assert {p.content for p in parts if p.type == "html_inline"} <= OURS
        assert {p.type for p in parts} <= {"text", "code_inline", "html_inline", "text_special"}
