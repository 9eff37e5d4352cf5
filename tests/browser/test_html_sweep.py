"""The page of a sweep in a browser. ``opened`` fails on any request and any error.

Protects: a page that hides what broke, and one that runs what a message says.
"""

from __future__ import annotations

import pytest

from fuseguard.sweep.items import Item, Outcome
from fuseguard.sweep.summary import Change, html
from fuseguard_testkit.browsing import Open
from fuseguard_testkit.paths import AXE

pytestmark = pytest.mark.slow

EVIL = "</script><img src=x onerror=alert(1)>"


def item(number: int, step: str = "prove") -> Item:
    return Item(f"k{number}", f"models/m{number}.pt2", "0", step, "1.5.1", "vgf", "python", ("prove", f"m{number}.pt2"))


RESULTS = [
    (item(0), Outcome("done", 0, "exact", "0 of 4 elements differ, 0 ops on the CPU")),
    (item(1), Outcome("done", 1, "wrong", "4 of 4 elements differ, 0 ops on the CPU")),
    (item(2), Outcome("died", 2, message=EVIL)),
    (item(3, "check"), Outcome("done", 0, "note", "1 notes: FU101")),
]


def test_what_is_not_clean_is_listed_the_worst_first(opened: Open) -> None:
    page = opened(html(RESULTS, "sweep.toml", 2, [Change("prove", "a", "vgf", "1.5.1", "exact", "wrong")])).page
    groups = page.locator("section[aria-labelledby=outcomes] tbody tr")
    assert [row.split("\t")[0] for row in groups.all_inner_texts()] == ["prove", "check"]
    assert "1 exact" in groups.first.inner_text()
    rows = page.locator("section[aria-labelledby=items] tbody tr").all_inner_texts()
    assert [row.split("\t")[0] for row in rows] == ["models/m2.pt2", "models/m1.pt2"]
    assert EVIL in rows[0]
    assert "fuseguard prove m2.pt2" in rows[0]
    assert "2 items to look at" in page.inner_text("#items")


def test_a_clean_sweep_says_so(opened: Open) -> None:
    page = opened(html(RESULTS[:1], "sweep.toml", 0)).page
    assert "Every item is clean." in page.inner_text("main")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(opened: Open, scheme: str) -> None:
    page = opened(html(RESULTS, "sweep.toml", 2), scheme=scheme).page
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found["violations"]] == []
