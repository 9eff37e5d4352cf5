"""A real browser: Debian's Chromium through Playwright. Where one of the two is missing, the tests say so and skip."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fuseguard_testkit.browsing import Open, Opened

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (.venvs/core has it)")

#: ``FUSEGUARD_CHROMIUM`` names another one.
CHROMIUM = os.environ.get("FUSEGUARD_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH (apt-get install chromium, or set FUSEGUARD_CHROMIUM)")
    with sync_api.sync_playwright() as playwright:
        # In a container there is no sandbox to make; the pages are the tests' own.
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens a page from its text, as a file. By the end of the test it has made no request and reported no error."""
    pages: list[Opened] = []

    def open_page(text: str, anchor: str = "", *, width: int = 1280, scheme: str = "light") -> Opened:
        path = tmp_path / f"page{len(pages)}.html"
        path.write_text(text, encoding="utf-8")
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        found = Opened(page)
        pages.append(found)
        page.on("request", lambda request: found.requests.append(request.url))
        page.on("console", lambda message: found.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: found.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (found.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        address = path.as_uri() + anchor
        page.goto(address)
        page.wait_for_selector("html[data-ready]", state="attached")
        found.requests.remove(address.partition("#")[0])
        return found

    yield open_page
    for found in pages:
        assert found.requests == [], "the page works without a network"
        assert found.complaints == []
        found.page.close()
