"""The HTML report without a browser: its data, its policy, and what it takes from the user's files.

Protects: a page that asks the network for something, that a file writes markup or script into, or that quotes lines of
a file which the program has nothing to do with.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import fuseguard
from fuseguard.gate.result import of_report
from fuseguard.ir.graph import SourceLine
from fuseguard.report import html_data
from fuseguard.report.html import asset, render
from fuseguard.report.notebook import report_html
from fuseguard.report.options import Options
from fuseguard_testkit.paths import DATA
from fuseguard_testkit.report_fakes import BARE, BUGGY, FAILURE, UNREADABLE, finding, of, result
from fuseguard_testkit.report_programs import islands
from fuseguard_testkit.side_by_side import first_bad_examples, repeated

CELL = '<td style="text-align:left">'  # Jupyter aligns cells to the right

ASSETS = (
    "report.css", "common.js", "drawing.js", "graph_model.js", "graph_panel.js", "graph_view.js", "report.js",
    "proof.js", "proof_values.js",
)  # fmt: skip


class Page(HTMLParser):
    """The elements of a page, and the text of its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = dict(attrs).get("type") or tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style", "application/json"):
            self.texts.setdefault(self._inside, []).append(data)

    @property
    def data(self) -> Any:
        (text,) = self.texts["application/json"]
        return json.loads(text)

    @property
    def policy(self) -> str:
        return next(attrs["content"] or "" for _, attrs in self.elements if "http-equiv" in attrs)


def data_of(*findings: fuseguard.Finding, root: Path = Path("/")) -> Any:
    return Page(render(of(*findings), Options(root))).data


def test_the_page_may_run_its_own_scripts_and_nothing_else() -> None:
    page = Page(render(of(finding())))
    directives = dict(part.split(" ", 1) for part in page.policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert "unsafe" not in page.policy
    for kind, texts in (("script", page.texts["script"]), ("style", page.texts["style"])):
        hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
        assert directives[f"{kind}-src"].split() == [f"'sha256-{found}'" for found in hashes]
    assert {tag for tag, _ in page.elements} == {
        "html", "head", "meta", "title", "style", "body", "noscript", "p", "div", "script"
    }  # fmt: skip
    assert not [attrs for _, attrs in page.elements if {"src", "href"} & set(attrs)]


@pytest.mark.parametrize("name", ASSETS)
def test_our_script_parses_no_markup_and_asks_for_nothing(name: str) -> None:
    text = asset(name)
    for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "DOMParser", "eval(", "Function(",
                 "fetch(", "XMLHttpRequest", "import(", "url(", "@import"):  # fmt: skip
        assert word not in text
    assert re.findall(r"https?://[^\s\"]+", text) in ([], ["http://www.w3.org/2000/svg"])


@pytest.mark.parametrize("name", [*ASSETS, "dagre.min.js"])
def test_no_asset_ends_its_own_element(name: str) -> None:
    assert not re.search(r"</(script|style)|<!--", asset(name), re.IGNORECASE)
    assert asset(name).isascii()


def test_the_layout_engine_is_the_file_that_the_readme_names() -> None:
    folder = resources.files("fuseguard.report") / "html_assets"
    readme = (folder / "README.md").read_text()
    digest = hashlib.sha256((folder / "dagre.min.js").read_bytes()).hexdigest()
    assert f"`{digest}`" in readme
    version = re.search(r"`@dagrejs/dagre` ([\d.]+)", readme)
    assert version is not None
    assert f'"{version[1]}"' in asset("dagre.min.js")
    assert "Permission is hereby granted, free of charge" in (folder / "dagre.LICENSE").read_text()


def test_it_works_from_within_the_wheel_without_a_file_of_its_own() -> None:
    assert not [line for line in render(of()).splitlines() if line.startswith("//# sourceMappingURL")]


def test_findings_are_in_groups_of_one_rule_cause_and_effect() -> None:
    other = replace(finding(), case="kept", effect=fuseguard.Effect.EXACT, severity=fuseguard.Severity.NOTE)
    data = data_of(finding(), finding(fingerprint="fg1:abcdef"), other, BARE)
    groups = [(group["code"], group["case"]) for group in data["groups"]]
    assert groups == [("FU101", ""), ("FU101", "kept"), ("QP301", "")]
    assert [found["group"] for found in data["findings"]] == [0, 0, 1, 2]
    assert {"remedy", "effect_meaning"} <= set(data["groups"][0])
    assert not {"remedy", "effect_meaning"} & set(data["findings"][0]), "what a group says is said once"


def test_anchors_are_made_of_fingerprints_and_are_unique() -> None:
    data = data_of(*[finding(fingerprint="fg1:0a")] * 3, finding(fingerprint="<x>"))
    assert [found["id"] for found in data["findings"]] == ["fg1-0a", "fg1-0a-2", "fg1-0a-3", "x"]


def test_counts_of_each_target_are_those_of_its_own_outcomes() -> None:
    report = fuseguard.check(islands(2, 2), ["TOSA-1.0+INT", "TOSA-1.0+INT+FP"], ["1.4.1", "1.5.1"])
    targets = Page(fuseguard.render(report, "html")).data["targets"]
    counts = {(one["spec"], one["executorch"]): (one["errors"], one["notes"], one["refused"]) for one in targets}
    assert counts == {
        ("TOSA-1.0+INT", "1.4.1"): (0, 2, 2), ("TOSA-1.0+INT", "1.5.1"): (2, 0, 2),
        ("TOSA-1.0+INT+FP", "1.4.1"): (0, 2, 2), ("TOSA-1.0+INT+FP", "1.5.1"): (2, 0, 2),
    }  # fmt: skip


def test_drawings_and_range_of_a_file_are_those_of_the_program_in_it() -> None:
    report = fuseguard.check(DATA / "conv_cat.pt2", executorch="1.5.1")
    assert report.graph is None, "a report of a file does not hold the program"
    data = Page(fuseguard.render(report, "html")).data
    (found,) = data["findings"]
    before, after = found["drawing"]["before"], found["drawing"]["after"]
    names = [data["shapes"][number][0] for number in before["nodes"]]
    assert [names[number] for number in before["offending"]] == ["conv2d", "relu"]
    (offending,) = (before["edges"][number] for number in before["offending_edges"])
    assert [names[end] for end in offending] == ["conv2d", "relu"]
    assert len(after["nodes"]) == len(before["nodes"]) + 2
    assert [data["shapes"][after["nodes"][number]][2] for number in after["added"]] == ["q", "dq"]
    assert (found["range"]["minimum"], found["range"]["maximum"]) == (0.0, None)
    assert (found["range"]["qmin"], found["range"]["qmax"], found["range"]["zero_point"]) == (-128, 127, -110)
    assert found["range"]["low"] == pytest.approx((-128 + 110) * found["range"]["scale"])


def test_after_so_many_boxes_only_the_first_finding_of_each_group_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """3,000 drawings of 40 boxes take longer than the check itself. What is not drawn is listed, and says so."""
    report = fuseguard.check(repeated(first_bad_examples()[:3], 2), "TOSA-1.0+INT", executorch="1.5.1")
    everything = Page(render(of_report(report))).data
    assert all(found["drawing"] and not found["undrawn"] for found in everything["findings"])
    monkeypatch.setattr(html_data, "MAX_BOXES", 1)
    first = Page(render(of_report(report))).data
    assert len(first["findings"]) == len(everything["findings"])
    seen: set[int] = set()
    for found in first["findings"]:
        assert found["undrawn"] is (found["group"] in seen) is (found["drawing"] is None)
        seen.add(found["group"])
    assert len(seen) < len(first["findings"])


def test_without_the_program_there_is_no_drawing_and_all_else() -> None:
    (found,) = data_of(finding())["findings"]
    assert found["drawing"] is found["range"] is None
    assert found["message"] == "relu is out of range"


def test_what_went_wrong_is_told() -> None:
    data = Page(render(result(UNREADABLE, BUGGY, *of(failures=(FAILURE,), notices=("look",)).files))).data
    assert "save it again" in data["files"][0]["error"]
    assert "internal error" in data["files"][1]["error"]
    assert data["files"][2]["failures"][0]["code"] == "FU102"
    assert data["files"][2]["notices"] == ["look"]


CODE = "    return torch.relu(self.conv(x))"
TEXT = "import torch\n\n\ndef forward(self, x):\n    # before\n" + CODE + "\n\n\nSECRET = 1\n"


def excerpt(tmp_path: Path, file: str, line: int, code: str) -> Any:
    told = SourceLine(file, line, "forward", code)
    (found,) = data_of(finding(source=told, stack=(told,)), root=tmp_path)["findings"]
    return found["excerpt"]


def test_lines_around_the_recorded_one_are_shown_if_the_file_has_it(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(TEXT)
    found = excerpt(tmp_path, "/somewhere/model.py", 6, CODE)
    assert (found["first"], found["line"]) == (3, 6)
    assert found["lines"] == ["", "def forward(self, x):", "    # before", CODE, "", "", "SECRET = 1"]
    moved = excerpt(tmp_path, "/somewhere/model.py", 2, CODE)
    assert moved["line"] == 6, "found again by its text"


@pytest.mark.parametrize(
    ("file", "line", "code"),
    [
        ("model.py", 9, ""), ("model.py", 9, "something else"), ("secrets.env", 1, "KEY=1"), ("../model.py", 6, CODE),
        ("/etc/passwd", 1, "root:x:0:0:root:/root:/bin/bash"), ("model.py", 10**9, "x"),
    ],
)  # fmt: skip
def test_no_line_is_shown_that_the_program_does_not_have(tmp_path: Path, file: str, line: int, code: str) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "model.py").write_text(TEXT)
    (tmp_path / "secrets.env").write_text("KEY=1\nOTHER=2\n")
    assert excerpt(tmp_path / "below" if file.startswith("..") else tmp_path, file, line, code) is None


def test_a_notebook_shows_counts_a_row_for_each_rule_and_the_page() -> None:
    report = fuseguard.check(islands(3, 2), "TOSA-1.0+INT", "1.5.1")
    shown = report._repr_html_()
    assert shown == report_html(report)
    assert "2 errors" in shown
    assert f"{CELL}FU101 fused-activation-out-of-range</td>{CELL}2</td>" in shown
    assert 'sandbox="allow-scripts"' in shown
    clean = fuseguard.check(islands(3, 0), "TOSA-1.0+INT", "1.5.1")._repr_html_()
    assert "nothing found" in clean
    assert "<iframe" not in clean


def test_a_notebook_takes_no_markup_from_a_file() -> None:
    evil = '"><img src=x onerror=alert(1)>'
    report = of(finding(module=evil, message=evil, code=evil), notices=(evil,)).files[0].report
    assert report is not None
    shown = report_html(replace(report, file=evil))
    assert "<img" not in shown
    page = Page(shown)
    assert {tag for tag, _ in page.elements} <= {"div", "p", "b", "table", "thead", "tbody", "tr", "th", "td", "iframe"}
    assert of_report(report).exit_code == 1
