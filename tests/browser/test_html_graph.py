"""The whole graph in a browser: it opens, zooms, moves, searches, takes keys, and leads to findings and back.

Protects: a graph of 10,000 nodes that stops the browser, a finding that leads to another node, and names of a file
that become markup. ``opened`` fails on any request and any error.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

import fuseguard
from fuseguard.gate.result import of_report
from fuseguard.report.html import render
from fuseguard_testkit.browsing import TIME, Open, wait_until
from fuseguard_testkit.paths import AXE
from fuseguard_testkit.report_programs import islands

pytestmark = pytest.mark.slow

EVIL = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def text() -> str:
    """Five islands, three of them FU101's: small enough to be drawn without modules."""
    return fuseguard.render(fuseguard.check(islands(5, 3), "TOSA-1.0+INT", "1.5.1"), "html")


@pytest.fixture(scope="module")
def large() -> str:
    """1,000 findings in more than 10,000 nodes."""
    report = fuseguard.check(islands(1000, 1000), "TOSA-1.0+INT", "1.5.1", select=["FU101"])
    assert report.graph is not None
    assert len(report.graph) >= 10_000
    return fuseguard.render(report, "html")


def scale(page: Any) -> float:
    found = re.search(r"scale\(([\d.]+)\)", page.locator(".canvas > g").get_attribute("transform"))
    assert found is not None
    return float(found[1])


def place(page: Any) -> tuple[float, float]:
    found = re.search(r"translate\((\S+) (\S+)\)", page.locator(".canvas > g").get_attribute("transform"))
    assert found is not None
    return float(found[1]), float(found[2])


def selected(page: Any) -> str:
    return str(page.locator(".panel h2").inner_text())


def test_it_is_drawn_when_it_is_first_looked_at(opened: Open, text: str) -> None:
    page = opened(text).page
    assert page.locator(".canvas .box").count() == 0
    page.keyboard.press("g")
    assert page.locator(".canvas").is_visible()
    assert page.locator(".canvas .box").count() == 39, "all nodes but weights and biases"
    assert page.locator(".canvas .box.error").count() == 6
    assert page.locator(".canvas .box rect.ring").count() == 9, "of each island the conv, the relu and a DQ"
    page.check("#graph-stored")
    assert page.locator(".canvas .box").count() == 59
    page.keyboard.press("g")
    assert page.locator(".finding").first.is_visible()


def test_a_domain_has_one_colour_and_lights_up(opened: Open, text: str) -> None:
    page = opened(text, "#graph-0/quantize_per_tensor_1").page
    lit = page.locator(".canvas .box.same-domain")
    assert {box.split("\n")[1] for box in lit.locator("title").all_text_contents() if "scale" in box} == {
        "quantize_per_tensor_1", "dequantize_per_tensor_3"
    }  # fmt: skip
    colours = lit.locator("rect.stripe").evaluate_all("all => all.map(one => getComputedStyle(one).fill)")
    assert len(colours) == 4
    assert len(set(colours)) == 1
    assert "4 nodes, scale 0.05, zp -17" in page.locator(".panel").inner_text()


def test_buttons_keys_wheel_and_mouse_zoom_and_move(opened: Open, text: str) -> None:
    page = opened(text, "#graph").page
    first = scale(page)
    page.click("#graph-in")
    assert scale(page) == pytest.approx(first * 1.4)
    page.locator(".canvas").focus()
    page.keyboard.press("-")
    assert scale(page) == pytest.approx(first)
    page.keyboard.press("0")
    fitted = scale(page)
    page.locator(".canvas").hover(position={"x": 200, "y": 200})
    page.mouse.wheel(0, -400)
    now = "parseFloat(document.querySelector('.canvas > g').getAttribute('transform').split('scale(')[1])"
    wait_until(page, f"{now} > {fitted * 1.5}")
    x, y = place(page)
    page.mouse.down()
    around = page.locator(".canvas").bounding_box()
    page.mouse.move(around["x"] + 260, around["y"] + 170)
    page.mouse.up()
    moved = place(page)
    assert (moved[0] - x, moved[1] - y) == pytest.approx((60, -30), abs=1)
    assert selected(page).startswith("top level"), "a drag selects nothing"
    page.keyboard.press("Shift+ArrowUp")
    assert place(page)[1] == pytest.approx(moved[1] + 60)


def test_the_search_finds_a_node_wherever_it_is(opened: Open, large: str) -> None:
    page = opened(large, "#graph").page
    assert page.locator(".canvas .box").count() < 60, "modules are closed"
    page.keyboard.press("/")
    page.keyboard.type("CONV777")
    assert page.locator(".whole [role=status]").inner_text().startswith("11 matches")
    page.keyboard.press("Enter")
    assert page.locator(".whole [role=status]").inner_text().startswith("1 of 11 matches")
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Enter")
    assert "features.7.conv777" in page.locator(".panel").inner_text()
    box = page.locator(".canvas .box.selected").bounding_box()
    around = page.locator(".canvas").bounding_box()
    assert around["x"] < box["x"] < around["x"] + around["width"], "it is in sight"
    assert around["y"] < box["y"] < around["y"] + around["height"]
    page.fill("#graph-search", "nowhere")
    assert page.locator(".whole [role=status]").inner_text() == "0 matches"


def test_keys_walk_along_edges_and_open_modules(opened: Open, large: str) -> None:
    page = opened(large, "#graph").page
    page.click("#graph-close")
    page.locator(".canvas").focus()
    page.keyboard.press("ArrowDown")
    assert selected(page) == "x"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert selected(page) == "features"
    boxes = page.locator(".canvas .box").count()
    page.keyboard.press("Enter")
    assert page.locator(".canvas .box").count() == boxes + 9, "the module's ten children in its place"
    page.keyboard.press("Enter")
    assert page.locator(".canvas .box").count() == boxes
    page.keyboard.press("ArrowUp")
    assert selected(page) == "quantize_per_tensor"
    page.keyboard.press("n")
    assert selected(page) == "conv2d"
    page.keyboard.press("p")
    assert selected(page) == "relu_999", "the one before the first is the last"
    page.keyboard.press("Escape")
    assert selected(page).startswith("top level")


def test_a_module_opens_with_a_click_and_stays_where_it_is(opened: Open, large: str) -> None:
    page = opened(large, "#graph").page
    page.click("#graph-close")
    group = page.locator(".canvas .box.module")
    before = group.locator("rect.body").bounding_box()
    group.click()
    after = page.locator(".canvas .frame rect.bar").bounding_box()
    assert after["y"] == pytest.approx(before["y"], abs=4)
    assert after["x"] + after["width"] / 2 == pytest.approx(before["x"] + before["width"] / 2, abs=12)
    page.locator(".canvas .frame text").click()
    assert page.locator(".canvas .frame").count() == 0


def test_a_finding_leads_to_its_place_and_back(opened: Open, large: str) -> None:
    page = opened(large).page
    page.fill("#search", "conv345")
    page.locator(".finding summary").click()
    page.locator(".in-graph").click()
    assert selected(page) == "conv2d_345"
    assert page.locator(".canvas .box.selected.error").count() == 1
    assert page.evaluate("location.hash") == "#graph-0/conv2d_345"
    page.locator(".panel .found-here a").click()
    assert page.locator(".finding[open] .where").first.inner_text() == "features.3.conv345"
    assert not page.locator(".canvas").is_visible()


def test_a_link_opens_its_node(opened: Open, large: str) -> None:
    page = opened(large, "#graph-0/relu_500").page
    assert selected(page) == "relu_500"
    page = opened(large, "#graph-7/nothing").page
    assert selected(page).startswith("top level")


def test_a_large_graph_opens_in_two_seconds_and_answers_at_once(opened: Open, large: str) -> None:
    page = opened(large).page
    spent = page.evaluate(
        "async () => {"
        + TIME
        + """
            const press = (id) => () => document.getElementById(id).click();
            const type = (text) => () => {
                const search = document.getElementById("graph-search");
                search.value = text;
                search.dispatchEvent(new Event("input"));
            };
            return {
                open: await time(press("tab-graph")), all: await time(press("graph-open")),
                zoom: await time(press("graph-in")), next: await time(press("graph-next")),
                search: await time(type("conv77")),
            };
        }"""
    )
    assert spent["open"] < 1500, "milliseconds until the graph is there"
    assert spent["all"] < 2000, "with 400 boxes"
    assert max(spent["zoom"], spent["search"]) < 500
    assert page.locator(".canvas .box").count() < 600, "what is closed is not drawn"


def test_several_programs_each_have_their_graph(opened: Open) -> None:
    both = [fuseguard.check(islands(number, 1), "TOSA-1.0+INT", "1.5.1") for number in (1, 2)]
    files = [of_report(report).files[0] for report in both]
    result = of_report(both[0])
    page = opened(render(type(result)(result.target, result.policy, tuple(files)))).page
    page.click("#tab-graph")
    assert page.locator("#graph-choice option").count() == 2
    page.select_option("#graph-choice", "1")
    assert selected(page).endswith("26 nodes")
    page.click("#tab-findings")
    page.locator(".finding summary").nth(0).click()
    page.locator(".in-graph").click()
    assert selected(page) == "conv2d"
    assert page.locator("#graph-choice").input_value() == "0"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 400])
def test_axe_finds_nothing_and_the_page_does_not_scroll_sideways(
    opened: Open, text: str, scheme: str, width: int
) -> None:
    page = opened(text, "#graph-0/relu", scheme=scheme, width=width).page
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_hostile_names_are_text(opened: Open) -> None:
    """A dialog, a request or an error would fail the fixture."""
    report = fuseguard.check(islands(200, 1, EVIL), "TOSA-1.0+INT", "1.5.1")
    page = opened(render(of_report(report)), "#graph").page
    page.click("#graph-open")
    page.click("#graph-next")
    assert EVIL in page.locator(".panel").inner_text()
    assert any("<img src=x" in text for text in page.locator(".canvas text").all_text_contents())
    assert page.locator("img").count() == 0
