"""The tutorial: docs/tutorial.ipynb as a page of the documentation, and how it is run.

    .venvs/1.5.1/bin/python tools/notebook_page.py    # run the notebook and keep its outputs

The page is made from the outputs that the notebook holds, so that the docs are built without torch and without Jupyter.
Running it needs what constraints/walkthrough-1.5.1.txt pins.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "tutorial.ipynb"
#: The HTML report in its frame. A page of the docs shows the table above it; a notebook that is run has both.
_FRAME = re.compile(r"<iframe.*?</iframe>", re.DOTALL)
#: What a traceback or a source line names a cell by.
_CELL = re.compile(r"/\S*/ipykernel_\d+/\d+\.py")
_TIMEOUT = 600  # seconds, for one cell


def notebook_page(path: Path = NOTEBOOK) -> str:
    """The notebook in Markdown: its text, its code and what the code printed."""
    lines = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            lines += [source, ""]
            continue
        lines += ["```py", source, "```", ""]  # not "python": the tests of that run each block by itself
        for output in cell["outputs"]:
            lines += _shown(output)
    title, *rest = lines
    note = f"This page is a notebook: [download it]({path.name}). A test runs it with ExecuTorch 1.5.1."
    heading, _, text = title.partition("\n")
    return "\n".join([heading, "", note, text, *rest])


def _shown(output: dict[str, Any]) -> Iterator[str]:
    """One output of a cell, in Markdown."""
    data = output.get("data", {})
    if "text/html" in data:
        yield from ("".join(data["text/html"]), "")
        return
    text = "".join(data.get("text/plain", output.get("text", ())))
    if text.strip():
        yield from ("```text", text.rstrip("\n"), "```", "")


def run(path: Path, folder: Path) -> dict[str, Any]:
    """Run the notebook in ``folder`` and return it with its outputs. Raises CellExecutionError if a cell raises."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=_TIMEOUT, kernel_name="python3", resources={"metadata": {"path": folder}}
    ).execute()
    done: dict[str, Any] = json.loads(nbformat.writes(notebook))
    return cleaned(done)


def cleaned(notebook: dict[str, Any]) -> dict[str, Any]:
    """Without what differs between two runs, and without the frames, which are large."""
    for cell in notebook["cells"]:
        cell["metadata"] = {}
        if "outputs" not in cell:
            continue
        outputs: list[dict[str, Any]] = []
        for output in cell["outputs"]:
            output.get("metadata", {}).clear()
            if "text/html" in output.get("data", {}):
                output["data"].pop("text/plain", None)  # the repr, with paths of this machine
            for kind, lines in output.get("data", {}).items():
                output["data"][kind] = _CELL.sub("notebook", _FRAME.sub("", "".join(lines))).splitlines(keepends=True)
            if "text" in output:
                output["text"] = _CELL.sub("notebook", "".join(output["text"])).splitlines(keepends=True)
            if outputs and "text" in output and output.get("name") == outputs[-1].get("name"):
                outputs[-1]["text"] += output["text"]  # one print after another
            else:
                outputs.append(output)
        cell["outputs"] = outputs
    notebook["metadata"]["language_info"] = {"name": "python"}
    return notebook


def main() -> int:
    """Run the notebook and write it back with its outputs."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        done = run(NOTEBOOK, Path(folder))
    NOTEBOOK.write_text(json.dumps(done, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
