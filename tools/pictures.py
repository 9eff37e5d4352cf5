"""Makes the pictures of the documentation: a drawing for the home page, and photographs of fuseguard's own pages.

    make pictures
    .venvs/core/bin/python tools/pictures.py

Needs Playwright's Python package, which the core environment has, and Chromium (apt-get install chromium). The program
is one of the tests' own, so that neither torch nor a training run is needed. The photograph of Model Explorer needs its
command, which is looked for on PATH or in $FUSEGUARD_MODEL_EXPLORER (pip install ai-edge-model-explorer).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import fuseguard
import model_explorer_picture
from accuracy_picture import picture as accuracy_picture
from generate_docs import shipped
from rule_drawings import write as write_rule_drawings

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
PROGRAM = ROOT / "tests" / "readers" / "data" / "conv_cat.pt2"
EDGE_PROGRAM = PROGRAM.with_name("conv_cat_edge.exir")
WIDTH = 1180


def main() -> int:
    """Entry point: 0, or 1 with a sentence if there is no browser."""
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / "accuracy.svg").write_text(accuracy_picture(), encoding="utf-8")
    chromium = os.environ.get("FUSEGUARD_CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        print("no chromium on PATH; install it or set FUSEGUARD_CHROMIUM", file=sys.stderr)
        return 1
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = Path(folder) / "report.html"
        page.write_text(_report(), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        _photograph(browser, page)
        write_rule_drawings(shipped(), browser)
        explorer = model_explorer_picture.command()
        if explorer is not None:
            picture = PICTURES / "model-explorer.png"
            model_explorer_picture.photograph(browser, EDGE_PROGRAM, Path(folder), picture, explorer)
        browser.close()
    if explorer is None:
        print(
            "model-explorer.png is left as it is: there is no model-explorer on PATH. Install it into an environment "
            "of its own (pip install ai-edge-model-explorer) and set FUSEGUARD_MODEL_EXPLORER to its command.",
            file=sys.stderr,
        )
    return 0


def _report() -> str:
    """The page of one program on all measured releases, under the name that a reader would have given it."""
    os.chdir(PROGRAM.parent)
    result = fuseguard.check_files([PROGRAM.name], executorch="all")
    return fuseguard.render(result, "html")


def _photograph(browser: Any, path: Path) -> None:
    """The head of the page, the drawings of its first finding, and the whole graph."""
    page = browser.new_page(viewport={"width": WIDTH, "height": 760}, color_scheme="light")
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached")
    page.screenshot(path=PICTURES / "report.png")
    page.set_viewport_size({"width": WIDTH, "height": 2600})  # so that no bar of the page is over the drawings
    if page.locator(".finding[open]").count() == 0:  # the only finding of a page is open already
        page.click(".finding summary")
    page.locator(".finding .drawings").screenshot(path=PICTURES / "report-drawing.png")
    page.set_viewport_size({"width": WIDTH, "height": 900})
    page.click(".in-graph")
    page.keyboard.press("0")
    page.locator(".stage").screenshot(path=PICTURES / "report-graph.png")
    page.close()


if __name__ == "__main__":
    sys.exit(main())
