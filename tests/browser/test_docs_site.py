"""The documentation in a real browser, from the file system.

Protects: tables that are cut off, drawings that are missing, a search that finds nothing, and requests to the web.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fuseguard_testkit.paths import ROOT

pytestmark = pytest.mark.slow
pytest.importorskip("mkdocstrings")

#: Pages with the widest content.
WIDE = ("index", "first-hour", "reference/cli", "reference/python", "rules/FU101", "rules/BO603", "rules/AR901")
#: Header of a table, by how many pixels it is cut off, and its header rows without text.
TABLES = """() => [...document.querySelectorAll("article table")].map((table) => {
  const around = table.closest(".md-typeset__scrollwrap") || table.parentElement;
  const empty = [...table.querySelectorAll("thead tr")].filter((row) => !row.innerText.trim()).length;
  return [table.innerText.slice(0, 40), around.scrollWidth - around.clientWidth, empty];
})"""
IMAGES = "() => [...document.images].filter((image) => !image.naturalWidth).map((image) => image.src)"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})
    return folder


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page, which by the end of the test has asked the web for nothing and reported no error."""
    opened = browser.new_page(viewport={"width": 1440, "height": 900})
    seen: list[str] = []
    opened.on("request", lambda request: seen.append(request.url))
    opened.on("pageerror", lambda error: seen.append(f"error {error}"))
    yield opened
    assert [address for address in seen if not address.startswith(("file:", "data:", "blob:"))] == []
    opened.close()


def test_no_table_is_cut_off_or_has_an_empty_header(site: Path, page: Any) -> None:
    rules = sorted((site / "rules").glob("*.html"))
    assert len(rules) > 60
    for path in (*rules, site / "reference" / "cli.html"):
        page.goto(path.as_uri())
        tables = page.evaluate(TABLES)
        assert tables, path
        assert [(path.name, *table) for table in tables if table[1] > 1 or table[2]] == []
        assert page.evaluate(IMAGES) == []


@pytest.mark.parametrize("width", [400, 1440])
def test_no_page_is_wider_than_the_window(site: Path, page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    for name in WIDE:
        page.goto((site / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name


def test_the_search_works_from_the_file_system(site: Path, page: Any) -> None:
    page.goto((site / "rules" / "FU101.html").as_uri())
    page.locator(".md-search__input").first.focus()
    page.keyboard.type("TOSA_UNPREDICTABLE")
    page.wait_for_selector(".md-search-result__item", timeout=30_000)


def test_a_link_to_an_option_leads_to_its_row(site: Path, page: Any) -> None:
    page.goto((site / "reference" / "cli.html").as_uri() + "#fuseguard-prove-inputs")
    row = page.locator("#fuseguard-prove-inputs")
    assert row.is_visible()
    assert "--inputs" in row.inner_text()
    assert 0 <= row.bounding_box()["y"] < 900
