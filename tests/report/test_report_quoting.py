"""No report says anything to a terminal or a runner that a file put into it."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fuseguard.engine.finding import Finding
from fuseguard.ir.graph import SourceLine
from fuseguard.report.formats import FORMATS, render_document
from fuseguard.report.options import Options
from fuseguard.report.quoting import array, listed, name, quoted
from fuseguard_testkit.report_fakes import finding, of

#: What each runner obeys, and where in a line.
COMMANDS = {
    "::set-output name=verdict::clean": "start",
    "::error file=a.py::forged": "start",
    "##[error]forged": "anywhere",
    "##vso[task.prependpath]/evil": "anywhere",
    "##teamcity[buildStatus status='SUCCESS']": "anywhere",
    "section_start:0:x": "anywhere",
    "section_end:0:x": "anywhere",
}
ESCAPES = "\x1b[2J\x1b]0;title\x07\x9b31m\u202e\u2066\u200f\u200b\ufeff\x00\r\u2028"


def hostile(text: str) -> Finding:
    line = SourceLine(text, 3, text, text)
    installed = SourceLine("/venv/site-packages/net.py", 3, text, text)  # so that the other one is where it is called
    return replace(
        finding(), nodes=(text, "b"), cluster=(text, "a", "b"), message=f"{text} is wrong", module=text,
        module_type=text, island=text, source=line, stack=(line, installed), graph=text, qparams=((text, text),),
        details=((text, text),), file=text, remedy=text,
    )  # fmt: skip


def rendered(format_name: str, text: str) -> str:
    return render_document(format_name, of(hostile(text)), Options(Path("/")))


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("before", ["", " ", "x ", "(", "\n", "\r"])
def test_no_name_is_a_command(format_name: str, command: str, before: str) -> None:
    lines = re.split(r"[\r\n]", rendered(format_name, before + command))
    ours = ("::error file=", "::warning file=", "::notice file=")
    if COMMANDS[command] == "start":
        assert not [line for line in lines if line.lstrip().startswith(command)]
        assert not [line for line in lines if line.lstrip().startswith("::") and not line.startswith(ours)]
    else:
        start = re.split(r"(?<=[:\[])", command)[0]
        assert not [line for line in lines if start in line]


def page_data(text: str) -> Any:
    """What is between the tags, to a parser of HTML."""
    return json.loads(text.partition('<script type="application/json" id="data">')[2].partition("</script>")[0])


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (text for item in value.items() for part in item for text in strings(part))
    elif isinstance(value, list):
        yield from (text for item in value for text in strings(item))
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("format_name", FORMATS)
def test_nothing_unprintable_is_in_a_report_nor_in_what_a_reader_decodes(format_name: str) -> None:
    text = rendered(format_name, ESCAPES + "x")
    texts = [text]
    if format_name in ("json", "sarif", "gitlab", "model-explorer"):
        texts += strings(json.loads(text))
    if format_name == "html":
        texts += strings(page_data(text))
    if format_name == "json-lines":
        texts += (part for line in text.splitlines() for part in strings(json.loads(line)))
    for part in texts:
        assert not [c for c in part if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c != "\n"]


@pytest.mark.parametrize("format_name", FORMATS)
def test_long_names_and_long_lists_are_cut(format_name: str) -> None:
    many = tuple(f"node_{number}" for number in range(3000))
    qparams = tuple((f"input {number}", "scale 0.1") for number in range(3000))
    found = replace(hostile("n" * 2**20), nodes=many, cluster=many, qparams=qparams)
    text = render_document(format_name, of(found), Options(Path("/")))
    if format_name == "html":
        text = json.dumps(page_data(text))  # the rest of a page is the same in each
    # An overlay is about the nodes: each has its line.
    assert len(text) < (600_000 if format_name == "model-explorer" else 100_000)
    if format_name in ("text", "json", "json-lines", "sarif", "html"):  # the others name one node
        assert re.search(r"and 2,9(80|36) more", text)
        assert "input 19" in text
        assert "input 2999" not in text


@pytest.mark.parametrize("format_name", FORMATS)
def test_no_name_is_longer_than_the_limit(format_name: str) -> None:
    """In what is about nodes and modules. An overlay needs whole names, since they are its keys."""
    if format_name == "model-explorer":
        pytest.skip("its keys are the names of nodes, which the readers limit")
    long = "n" * 1024
    found = replace(
        finding(), nodes=(long, "b"), cluster=(long, "a", "b"), module=long, module_type=long, island=long, graph=long,
        qparams=((long, "scale 0.1"),), source=None, stack=(),
    )  # fmt: skip
    text = render_document(format_name, of(found), Options(Path("/")))
    assert not re.search("n{201}", text)


def test_names_are_counted() -> None:
    assert listed(["a"] * 3) == "a, a, a"
    assert listed([str(n) for n in range(3001)]).endswith("18, 19 and 2,981 more")
    assert name("x" * 201) == "x" * 200 + "... (1 more character)"
    assert array(["a"] * 67)[-2:] == ["a", "and 3 more"]


def test_names_of_cpp_and_plain_text_stay_as_they_are() -> None:
    for text in ("aten::relu", "a::b::c", "x: y", "# 3 # [1]", "the section: start", "## [x]"):
        assert quoted(text) == text
    assert quoted("::a::b") == r"\x3a:a::b"
    assert quoted("##VSO[a]") == r"\x23#VSO[a]"
