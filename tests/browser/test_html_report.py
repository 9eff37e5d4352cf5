"""The HTML report in a browser: it opens, filters, follows links, takes keys, and is readable by everyone.

Protects: a page that looks right in its source and fails in a browser, asks the network for something, runs what a
file put into a name, or takes seconds to open for a large program. ``opened`` fails on any request and any complaint.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import fuseguard
from fuseguard.engine.registry import Registry
from fuseguard.gate.result import of_report
from fuseguard.ir.graph import SourceLine
from fuseguard.report.html import render
from fuseguard.report.notebook import report_html
from fuseguard.report.options import Options
from fuseguard_testkit.browsing import TIME, Open, settle, wait_until
from fuseguard_testkit.paths import AXE, DATA
from fuseguard_testkit.report_fakes import finding, of
from fuseguard_testkit.report_programs import islands

pytestmark = pytest.mark.slow

SPECS = ["TOSA-1.0+INT", "TOSA-1.0+INT+FP"]


@pytest.fixture(scope="module")
def report() -> fuseguard.Report:
    """Three findings of one rule among five islands, for two targets on two releases."""
    return fuseguard.check(islands(5, 3), SPECS, ["1.4.1", "1.5.1"])


@pytest.fixture(scope="module")
def text(report: fuseguard.Report) -> str:
    return fuseguard.render(report, "html")


def test_it_opens_with_a_summary_and_a_row_for_each_finding(opened: Open, text: str, report: fuseguard.Report) -> None:
    page = opened(text)
    assert page.rows.count() == len(report.findings) == 3
    tally = page.page.locator(".tally").inner_text().split()
    assert tally == ["3", "errors", "0", "warnings", "0", "notes"]
    assert page.page.locator("section.summary tbody tr").count() == 4
    assert page.page.locator(".group").count() == 1
    assert "Remedy." in page.page.locator(".group > .remedy").inner_text()
    assert page.page.locator("svg").count() == 0, "drawings are made when a finding is opened"


def test_a_finding_shows_remedy_source_range_effects_and_both_drawings(opened: Open, text: str) -> None:
    page = opened(text)
    page.rows.nth(1).locator("summary").click()
    settle(page.page)
    body = page.rows.nth(1).locator(".body")
    parts = body.locator("> *").evaluate_all("elements => elements.map(one => one.className)")
    assert parts.index("remedy") < parts.index("source") < parts.index("range") < parts.index("scroll")
    assert "return torch.relu(self.conv(x))" in body.locator(".source").inner_text()
    assert "bound 0 (code -17)" in body.locator("svg.plot").text_content()
    effects = body.locator("> .scroll tbody tr").all_inner_texts()
    assert [row.split("\t")[2].strip() for row in effects] == ["cpu fallback", "wrong", "exact", "wrong"]
    assert all("measured" in row for row in effects)
    before, after = body.locator("svg.picture").all()
    for picture in (before, after):
        assert {"conv2d_1", "relu_1"} <= set(picture.locator("text").all_text_contents())
    assert before.locator(".edge.offending").count() == 1
    assert before.locator(".box.offending").count() == 2
    assert before.locator(".outline").count() == 1
    assert after.locator(".box.added").count() == 2
    assert after.locator("g.edge").count() == before.locator("g.edge").count() + 2
    assert "scale 0.05, zp -17" in after.locator(".box.added").first.text_content()


def test_releases_with_the_same_outcome_are_one_row(opened: Open) -> None:
    page = opened(fuseguard.render(fuseguard.check(islands(1, 1), SPECS[0], ["1.4.0", "1.4.1", "1.5.1"]), "html"))
    rows = page.page.locator("section.summary tbody tr").all_inner_texts()
    assert [row.split("\t")[:2] for row in rows] == [[SPECS[0], "1.4.0, 1.4.1"], [SPECS[0], "1.5.1"]]
    settle(page.page)
    effects = page.rows.first.locator(".body > .scroll tbody tr").all_inner_texts()
    assert [[cell.strip() for cell in row.split("\t")[1:3]] for row in effects] == [
        ["1.4.0, 1.4.1", "cpu fallback"], ["1.5.1", "wrong"],
    ]  # fmt: skip


def test_a_line_of_an_installed_model_is_shown_and_below_it_the_users_own(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("def forward(self, x):\n    return self.net(x)\n", encoding="utf-8")
    call = SourceLine(f"{tmp_path}/train.py", 2, "forward", "return self.net(x)")
    line = SourceLine("/venv/site-packages/torchvision/models/resnet.py", 93, "forward", "out = self.relu(out)")
    module = "net.layer1.0.a_module_with_quite_a_long_name.and_another_one.downsample.relu_of_the_end"
    found = finding(source=line, stack=(call, line), module=module)
    page = opened(render(of(found), Options(source_root=tmp_path)))
    settle(page.page)
    model, own = page.rows.first.locator("figure.source").all()
    assert model.locator("figcaption").inner_text() == "torchvision/models/resnet.py:93, in forward"
    assert "out = self.relu(out)" in model.inner_text()
    assert own.locator("figcaption").inner_text() == "called from train.py:2, in forward"
    assert "return self.net(x)" in own.locator(".meant").inner_text()
    assert "/venv" not in page.page.locator("body").inner_text()
    where = page.rows.first.locator(".where")
    assert where.inner_text() == module
    assert where.evaluate("one => one.scrollWidth <= one.clientWidth"), "the end of a module's path is not cut off"


def test_boxes_of_a_drawing_do_not_overlap_and_hold_their_text(opened: Open, text: str) -> None:
    page = opened(text)
    page.rows.first.locator("summary").click()
    settle(page.page)
    boxes = page.page.locator("svg.picture").first.locator("g.box rect").evaluate_all(
        "rects => rects.map(rect => rect.getBBox()).map(one => [one.x, one.y, one.x + one.width, one.y + one.height])"
    )
    assert len(boxes) > 8
    for number, (left, top, right, bottom) in enumerate(boxes):
        for other in boxes[number + 1 :]:
            assert other[2] <= left or right <= other[0] or other[3] <= top or bottom <= other[1]
    sticks_out = page.page.locator("svg.picture g.box").evaluate_all(
        "groups => groups.filter(one => [...one.querySelectorAll('text')].some(text => "
        "text.getBBox().width > one.querySelector('rect').getBBox().width)).length"
    )
    assert sticks_out == 0


def test_filters_by_text_severity_and_rule(opened: Open, text: str) -> None:
    page = opened(text)
    page.page.fill("#search", "Features.0.CONV2")
    assert page.rows.count() == 1
    assert page.page.locator("[role=status]").inner_text() == "1 of 3 findings"
    page.page.fill("#search", "nowhere")
    assert page.rows.count() == 0
    assert page.page.locator(".nothing").is_visible()
    page.page.fill("#search", "")
    page.page.uncheck("#severity-error")
    assert page.rows.count() == 0
    page.page.check("#severity-error")
    page.page.select_option("#filter-rule", "FU101")
    assert page.rows.count() == 3


def test_a_link_opens_its_finding_whatever_is_filtered(opened: Open, text: str, report: fuseguard.Report) -> None:
    anchor = f"#finding-{report.findings[2].fingerprint.replace(':', '-')}"
    page = opened(text, anchor)
    row = page.page.locator(anchor)
    assert row.get_attribute("open") is not None
    assert row.locator("svg.picture").count() == 2
    wait_until(page.page, "document.activeElement.localName === 'summary'")
    assert row.evaluate("element => element.contains(document.activeElement)")
    page.page.evaluate("history.replaceState(null, '', location.pathname)")
    page.page.fill("#search", "conv0")
    page.page.evaluate(f"location.hash = '{anchor}'")
    wait_until(page.page, "document.querySelector('#search').value === ''")
    assert row.is_visible()


def test_a_link_that_names_nothing_is_passed_over(opened: Open, text: str) -> None:
    page = opened(text, "#finding-none")
    for anchor in ("#%", "#<img src=x>", "#finding-__proto__"):
        page.page.evaluate(f"location.hash = {anchor!r}")
    assert page.rows.count() == 3
    assert page.page.locator(".finding[open]").count() == 0


def test_keys(opened: Open, text: str) -> None:
    page = opened(text)
    keyboard = page.page.keyboard
    keyboard.press("/")
    keyboard.type("conv")
    assert page.page.input_value("#search") == "conv"
    keyboard.press("Escape")
    keyboard.press("j")
    keyboard.press("j")
    keyboard.press("Enter")
    assert page.rows.nth(1).get_attribute("open") is not None
    keyboard.press("k")
    keyboard.press("Enter")
    assert page.rows.nth(0).get_attribute("open") is not None
    keyboard.press("o")
    assert page.page.locator(".finding[open]").count() == 3
    keyboard.press("o")
    assert page.page.locator(".finding[open]").count() == 0
    keyboard.press("?")
    assert page.page.locator("dialog").is_visible()
    keyboard.press("Escape")
    assert not page.page.locator("dialog").is_visible()


def background(page: Any) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_light_and_dark_follow_the_system_and_the_button(opened: Open, text: str) -> None:
    page = opened(text, scheme="dark").page
    dark = background(page)
    page.emulate_media(color_scheme="light")
    light = background(page)
    assert light != dark
    page.emulate_media(color_scheme="dark")
    assert background(page) == dark
    page.click("#theme")
    assert background(page) == light
    page.click("#theme")
    assert background(page) == dark
    assert page.locator("#theme").inner_text() == "Theme: dark"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(opened: Open, text: str, scheme: str) -> None:
    page = opened(text, scheme=scheme).page
    page.locator(".finding summary").first.click()
    settle(page)
    page.locator(".why summary").click()
    settle(page)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    shown = [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found["violations"]]
    assert shown == []
    assert len(found["passes"]) > 15, "axe ran"


def test_the_page_itself_never_scrolls_sideways(opened: Open, text: str) -> None:
    page = opened(text).page
    page.keyboard.press("o")
    page.locator(".why summary").click()
    settle(page)
    for width in (1440, 800, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_in_print_there_are_no_controls(opened: Open, text: str) -> None:
    page = opened(text).page
    page.locator(".finding summary").first.click()
    settle(page)
    page.emulate_media(media="print")
    assert not page.locator(".filters").is_visible()
    assert page.locator(".finding svg.picture").first.is_visible()


HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!--<script>",
    "\"'><svg onload=alert(1)>",
    "javascript:alert(1)",
    "__proto__",
    "{{constructor}}${alert(1)}",
)


def test_hostile_names_are_text(opened: Open, registry: Registry) -> None:
    """A dialog, a request or an error would fail the fixture; what is left is that no markup appears."""
    options = Options(rules={rule.code: rule for rule in registry.rules})
    clean = fuseguard.check(islands(1, 1), SPECS, "1.5.1")
    expected = elements(opened(render(of_report(clean), options)).page)
    evil = " ".join(HOSTILE)
    report = fuseguard.check(islands(1, 1, evil), SPECS, "1.5.1")
    (found,) = report.findings
    found = replace(
        found, message=evil, remedy=evil, module_type=evil, island=evil, qparams=((evil, evil), *found.qparams[1:]),
        evidence_note=evil, case=evil,
    )  # fmt: skip
    page = opened(render(of_report(replace(report, findings=(found,), file=evil)), options)).page
    for where in (page.title(), page.locator("h1").inner_text(), page.locator(".group > .remedy").inner_text()):
        assert all(text in where for text in HOSTILE)
    assert elements(page) == expected


def elements(page: Any) -> dict[str, int]:
    """How many elements of each kind a page has with everything opened."""
    page.keyboard.press("o")
    page.locator(".why summary").click()
    settle(page)
    counts: dict[str, int] = page.evaluate(
        "[...document.body.querySelectorAll('*')].reduce((all, one) => "
        "({...all, [one.localName]: (all[one.localName] || 0) + 1}), {})"
    )
    return counts


@pytest.fixture(scope="module")
def large() -> str:
    """1,000 findings in more than 10,000 nodes."""
    report = fuseguard.check(islands(1000, 1000), "TOSA-1.0+INT", "1.5.1", select=["FU101"])
    assert len(report.findings) >= 1000
    assert report.graph is not None
    assert len(report.graph) >= 10_000
    return fuseguard.render(report, "html")


def test_a_large_report_opens_in_two_seconds_and_answers_at_once(opened: Open, large: str) -> None:
    page = opened(large).page
    timing = json.loads(page.evaluate("JSON.stringify(performance.getEntriesByType('navigation')[0])"))
    assert timing["loadEventEnd"] < 2000, "milliseconds until the page is there"
    spent = page.evaluate(
        "async () => {"
        + TIME
        + """
            const search = document.getElementById("search");
            const type = (text) => () => { search.value = text; search.dispatchEvent(new Event("input")); };
            return {
                search: await time(type("conv77")), reset: await time(type("")),
                open: await time(() => document.querySelector(".finding").querySelector("summary").click()),
                more: await time(() => document.querySelector(".more").click()),
            };
        }"""
    )
    assert max(spent.values()) < 500, "milliseconds until the next picture"
    rows = page.locator(".finding")
    assert rows.count() == 600, "100, and 500 more"
    page.click(".more")
    assert rows.count() == 1000
    page.fill("#search", "conv999")
    assert rows.count() == 1


def test_a_notebook_shows_the_page_in_a_frame_that_cannot_reach_it(opened: Open, report: fuseguard.Report) -> None:
    shell = "<!doctype html><html lang=en data-ready=1><title>notebook</title><body><script>window.mine = 1</script>"
    page = opened(shell + report_html(report)).page
    frame = page.frame_locator("iframe")
    assert frame.locator(".finding").count() == 3
    frame.locator(".finding summary").first.click()
    assert frame.locator("svg.picture").count() == 2
    reached = page.frames[1].evaluate("(() => { try { return parent.mine; } catch (error) { return error.name; } })()")
    assert reached == "SecurityError"


def test_a_file_and_a_program_that_cannot_be_drawn(opened: Open) -> None:
    page = opened(fuseguard.render(fuseguard.check_files([DATA / "conv_cat.pt2", DATA / "nowhere.pt2"]), "html")).page
    assert "nowhere.pt2" in page.locator(".troubles").inner_text()
    settle(page)
    assert page.locator(".finding[open]").count() == 1, "the only finding is open from the start"
    assert page.evaluate("scrollY") == 0, "and the page still starts with the summary"
    assert page.locator("svg.picture").count() == 2
