"""What a notebook shows for a repair: the repairs made, what remains, and the page with both drawings.

Protects: a notebook that shows a kilobyte repr, and markup of a file that gets into it.
"""

from __future__ import annotations

import html
import json
import re
from types import SimpleNamespace
from typing import Any

import fuseguard
from fuseguard.engine.rounds import Repair
from fuseguard.report.notebook import guard_html, repair_html, verified_repair_html
from fuseguard_testkit.proof_fakes import cell, proof
from fuseguard_testkit.report_programs import islands

CELL = '<td style="text-align:left">'  # Jupyter aligns cells to the right

EVIL = '"><img src=x onerror=alert(1)>'


def result(repaired: int = 2, prefix: str = "", **changes: Any) -> Any:
    """A RepairResult's fields without torch: of three findings, the first ``repaired`` were repaired."""
    report = fuseguard.check(islands(3, 3, prefix), "TOSA-1.0+INT", "1.5.1")
    applied = [Repair(item, item.rewrite) for item in report.findings[:repaired] if item.rewrite is not None]
    fields = {
        "applied": tuple(applied), "remaining": report.findings[repaired:], "target": "TOSA-1.0+INT",
        "exact": all(item.exact for item in applied), "before": report,
    }  # fmt: skip
    return SimpleNamespace(**{**fields, **changes})


def framed(shown: str) -> list[Any]:
    """The data of each page that is shown in a frame."""
    pages = [html.unescape(page) for page in re.findall(r'srcdoc="([^"]*)"', shown)]
    return [json.loads(re.findall(r'id="data">(.*?)</script>', page)[0]) for page in pages]


def test_a_repair_shows_each_change_what_remains_and_both_drawings() -> None:
    shown = repair_html(result())
    assert "<b>fuseguard: 2 repairs, bit-exact</b> for TOSA-1.0+INT" in shown
    table, remaining = re.findall(r"<table>.*?</table>", shown)
    assert table.count(f"{CELL}FU101 fused-activation-out-of-range</td>") == table.count(f"{CELL}bit-exact</td>") == 2
    assert f"{CELL}features.0.conv0</td>" in table
    assert "insert" in table
    assert f"{CELL}FU101 fused-activation-out-of-range</td>{CELL}1</td>" in remaining
    (page,) = framed(shown)
    assert [bool(item["drawing"]["after"]) for item in page["findings"]] == [True, True, True]


def test_nothing_to_repair_shows_no_table_and_no_page() -> None:
    report = fuseguard.check(islands(1, 0), "TOSA-1.0+INT", "1.5.1")
    shown = repair_html(result(0, applied=(), remaining=(), before=report))
    assert "fuseguard: 0 repairs" in shown
    assert "<table>" not in shown
    assert "<iframe" not in shown


def test_a_result_without_the_report_before_shows_its_table() -> None:
    shown = repair_html(result(before=None))
    assert shown.count("<table>") == 2
    assert "<iframe" not in shown


def test_a_verified_repair_shows_the_comparison_and_the_proof() -> None:
    judged = SimpleNamespace(result=result(), eager_error=0.0, runs=2, proof=proof(cells=(cell(status="exact"),)))
    shown = verified_repair_html(judged)
    assert "Eager results: equal to the bit, on 2 sets of inputs." in shown
    assert [page["kind"] for page in framed(shown)] == ["check", "proof"]
    judged.proof, judged.eager_error = None, 0.25
    shown = verified_repair_html(judged)
    assert "off by 0.25 at most" in shown
    assert "The judge was not asked." in shown


def test_a_repair_takes_no_markup_from_a_file() -> None:
    shown = repair_html(result(prefix=EVIL, target=EVIL))
    assert "<img" not in shown
    assert html.escape(EVIL) in shown


def test_a_guard_shows_what_it_refused_and_what_went_wrong_in_it() -> None:
    findings = fuseguard.check(islands(3, 2), "TOSA-1.0+INT", "1.5.1").findings
    refused = {name: (item.code,) for item in findings for name in item.cluster}
    guard: Any = SimpleNamespace(
        target=EVIL, policy="consistent", findings=findings, refused=refused, fixed=findings[:1], errors=[(EVIL, EVIL)]
    )
    shown = guard_html(guard)
    assert f"<b>fuseguard: {len(refused)} nodes refused</b>" in shown
    assert shown.count("<table>") == 2
    assert "<img" not in shown
    assert shown.count(html.escape(EVIL)) == 3
