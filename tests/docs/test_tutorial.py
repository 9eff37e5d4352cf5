"""The tutorial: a notebook that runs, and the page that is made from it.

Protects: a notebook with outputs that its cells no longer have.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fuseguard_testkit.paths import ROOT

NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"


def texts(notebook: dict[str, Any]) -> list[str]:
    """What each cell with an output printed, without figures that may differ between two processors."""
    found = []
    for cell in notebook["cells"]:
        outputs = cell.get("outputs", ())
        text = "".join("".join(part.get("data", {}).get("text/html", part.get("text", ""))) for part in outputs)
        if text:
            found.append(re.sub(r"\d+(\.\d+)?", "N", text))
    return found


def test_the_page_has_the_code_and_the_outputs_of_the_notebook() -> None:
    from notebook_page import notebook_page

    page = notebook_page()
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        assert "".join(cell["source"]).partition("\n\n")[2] in page
        if cell["cell_type"] == "code" and "print(" in "".join(cell["source"]):
            assert cell["outputs"], "run tools/notebook_page.py"
    assert "<table>" in page
    assert "iframe" not in page
    assert "wrong on TOSA-1.0+INT" in page
    assert "exact on TOSA-1.0+INT" in page


@pytest.mark.torch
@pytest.mark.slow
def test_the_notebook_runs_and_prints_what_it_holds(tmp_path: Path) -> None:
    pytest.importorskip("nbclient", reason="constraints/walkthrough-1.5.1.txt has it")
    from notebook_page import run

    held = json.loads(NOTEBOOK.read_text())
    done = run(NOTEBOOK, tmp_path)
    assert texts(done) == texts(held)
    assert not [part for cell in done["cells"] for part in cell.get("outputs", ()) if part.get("name") == "stderr"]
