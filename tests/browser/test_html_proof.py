"""The page of a proof in a browser. ``opened`` fails on any request and any error.

Protects: a page that shows a wrong value as right, and one that cannot be read by everyone.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fuseguard.executorch.engines.difference import EngineLocation, EngineOp
from fuseguard.executorch.engines.npu import NpuDelegate, NpuOp, NpuReport
from fuseguard.report.proof_html import render
from fuseguard_testkit.browsing import Open
from fuseguard_testkit.paths import AXE
from fuseguard_testkit.proof_fakes import cell, proof

pytestmark = pytest.mark.slow

EVIL = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def text() -> str:
    cells = (
        cell(value="quantize", status="exact", steps=0.0, differing=0, errors=(), sqnr_db=float("inf")),
        cell(value=EVIL, status="not found", errors=()),
        cell(),
        *(cell(value=f"later_{number}", status="tie", steps=1.0, sqnr_db=40.0, errors=()) for number in range(300)),
    )
    return render(proof(outcome="wrong", mismatches=3, cells=cells), "m.pt2", ["random"])


def test_the_wrong_place_is_open_with_its_codes_and_a_histogram(opened: Open, text: str) -> None:
    page = opened(text)
    assert page.rows.count() == 1
    body = page.rows.first.locator(".body")
    rows = [row.split("\t") for row in body.locator("tbody tr").all_inner_texts()]
    assert [(row[0], row[-1]) for row in rows] == [("given", "3"), ("expected", "10"), ("the lowering has", "-122")]
    assert body.locator("svg.plot rect").count() == 2
    assert "70 elements" in body.locator("svg.plot").get_attribute("aria-label")


def test_every_value_has_a_row_with_bars(opened: Open, text: str) -> None:
    page = opened(text).page
    values = page.locator("table.values tbody tr")
    assert values.count() == 200
    page.click(".more")
    assert values.count() == 303
    first, second, third = (values.nth(number) for number in range(3))
    assert first.inner_text().split() == ["quantize", "conv2d", "\u2192", "relu", "exact", "0", "0", "of", "144", "inf"]
    assert first.locator("rect").count() == 1, "no bar for no error"
    assert EVIL in second.inner_text()
    assert second.locator("rect").count() == 0, "nothing is known of it"
    widths = [float(one.get_attribute("width")) for one in third.locator("rect").all()]
    assert widths[0] == 119
    assert 15 < widths[1] < 25, "12.5 of 80 dB"


def test_values_are_filtered(opened: Open, text: str) -> None:
    page = opened(text).page
    page.keyboard.press("/")
    page.keyboard.type("LATER_29")
    assert page.locator("[role=status]").inner_text() == "11 of 303 values"
    page.fill("#search", "")
    page.check("#differing")
    assert page.locator("[role=status]").inner_text() == "302 of 303 values"
    page.select_option("#status", "wrong")
    assert page.locator("[role=status]").inner_text() == "1 of 303 values"


def test_the_chart_has_a_bar_for_each_value_that_leads_to_its_row(opened: Open, text: str) -> None:
    page = opened(text).page
    layers = page.locator("svg.layers .layer")
    assert layers.count() == 302, "what was not found has no error"
    assert page.locator("svg.layers .beyond").count() == 1
    heights = [float(one.get_attribute("height")) for one in layers.nth(1).locator("rect:not(.hit)").all()]
    assert heights == pytest.approx([78, 12.5 / 80 * 78]), "the largest error, and 12.5 of 80 dB"
    assert float(layers.nth(0).locator("rect.codes").get_attribute("height")) == 0
    layers.nth(1).click()
    assert page.locator("#search").input_value() == "quantize_1"
    assert page.locator("table.values tbody tr").count() == 1


def test_a_program_of_many_values_has_a_chart_of_at_most_400_bars(opened: Open) -> None:
    cells = tuple(cell(value=f"v{number}", steps=float(number == 777), errors=()) for number in range(1000))
    page = opened(render(proof(cells=cells), "m.pt2", ["random"])).page
    layers = page.locator("svg.layers .layer")
    assert layers.count() == 334
    assert layers.nth(777 // 3).locator("title").text_content().startswith("3 values, the worst v777: wrong, 1 steps")


def test_what_was_proved_for_every_input_is_listed_the_refuted_first(opened: Open) -> None:
    example = SimpleNamespace(codes=(("quantize", (0,), 3), (EVIL, (1,), 4)), at=(0, 2), expected=1.0, actual=-128.0)
    found = [
        SimpleNamespace(
            value=value, status=status, method="all codes", count=65536, ops=("relu",), operands=(), joined=(),
            tensor="", reason="", ties=0, rounded=0, bound=0.0, saturated=False, source="", module="",
            counterexample=shown,
        )
        for value, status, shown in (("one", "proved", None), ("two", "refuted", example))
    ]  # fmt: skip
    judged = proof(all_inputs=SimpleNamespace(cells=tuple(found), share_proved=0.5, seconds=1.0))
    page = opened(render(judged, "m.pt2", ["random"])).page
    section = page.locator("section[aria-labelledby=every-input]")
    assert section.locator("h2").inner_text() == "For every input: 1 of 2 cells proved"
    first, second = section.locator("tbody tr").all_inner_texts()
    assert first.startswith("two")
    assert f"quantize[0] = 3, {EVIL}[1] = 4: expected 1, the lowering has -128" in first
    assert "65,536" in second


def test_the_summary_says_what_the_text_report_says(opened: Open) -> None:
    judged = proof(
        outcome="exact", end_to_end="wrong", ties=2, engine="vgf", notes=("a note",), cells=(cell(status="tie"),),
        engine_differences=(
            SimpleNamespace(
                delegate=0, output=1, tensor="out", differing=3, elements=9, largest=2, at=(0, 1), expected=5, actual=7,
                shared_with=(),
            ),
        ),
    )  # fmt: skip
    page = opened(render(judged, "m.pt2", ["random"])).page
    summary = page.locator("section.summary").inner_text()
    for told in ("exact up to 2 ties", "1 tie", "those of the reference model", "vgf", "a note", "3 of 9", "[0, 1]"):
        assert told in summary


def test_the_operator_where_an_engine_parts_from_the_reference_model_has_a_row(opened: Open) -> None:
    op = EngineOp(("CONV2D", "RESCALE"), EVIL, ("x", "w"), 3, 9, 2.0, (0, 1), 5.0, 7.0, "quantize", (), "model.py:7")
    judged = proof(outcome="wrong", engine="vgf", engine_locations=(EngineLocation(0, 4, 5, (op,), (1,)),))
    summary = opened(render(judged, "m.pt2", ["random"])).page.locator("section.summary")
    assert "Where it begins: delegate 0: first at CONV2D -> RESCALE" in summary.inner_text()
    [row] = summary.locator("tbody tr").all_inner_texts()
    told = ["0", "CONV2D \u2192 RESCALE", EVIL, "x, w", "3 of 9", "[0, 1]", "5", "7", "model.py:7"]
    assert row.split("\t") == told


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(opened: Open, text: str, scheme: str) -> None:
    page = opened(text, scheme=scheme).page
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found["violations"]] == []


def test_a_proof_without_values(opened: Open) -> None:
    page = opened(render(proof(outcome="crash", exception="KeyError"), "m.pt2", ["random"])).page
    assert "The values were not compared one by one." in page.locator("main").inner_text()
    assert "KeyError" in page.locator(".facts").inner_text()


def test_what_vela_says_has_a_table(opened: Open) -> None:
    ops = (NpuOp("CONV2D", EVIL, "NPU", 1, 1136), NpuOp("RESCALE", "z", "fused"), NpuOp("PAD", "p", "left out"))
    delegates = (NpuDelegate(0, cycles=1544, sram=720, ops=ops), NpuDelegate(1, "refused", "Mul:\n - Unsupported"))
    for chosen, said in ((delegates[:1], "1,544 cycles, 0.7 KiB of SRAM at the peak."), (delegates, "1 of 2")):
        report = NpuReport("ethos-u55-128", "5.1.0", "High_End", "Shared_Sram", chosen, "exact")
        page = opened(render(proof(engine="vela", npu=report), "m.pt2", ["random"])).page
        section = page.locator("section[aria-labelledby=npu]")
        assert said in section.inner_text()
        rows = [row.split("\t") for row in section.locator("tbody tr").all_inner_texts()]
        assert rows[0] == ["0", "CONV2D", EVIL, "NPU", "1,136"]
        assert [row[3] for row in rows[1:]] == ["NPU, in another op", "nowhere: Vela leaves it out"]
    assert "delegate 1: Mul:\n - Unsupported" in section.locator("pre").inner_text()
    page.evaluate(AXE.read_text(encoding="utf-8"))
    assert page.evaluate("axe.run().then((result) => result.violations.map((one) => one.id))") == []
