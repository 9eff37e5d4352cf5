"""A photograph of Model Explorer with the findings of an edge program, from its real server.

Model Explorer is not in fuseguard's environments. Its command is looked for on PATH, or in $FUSEGUARD_MODEL_EXPLORER.
It gets the graph and the overlay that fuseguard writes, so that its environment needs no fuseguard.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fuseguard
from fuseguard.readers.open import read
from fuseguard.report import model_explorer_graph

_SECONDS = 120.0
_VIEWPORT = {"width": 1440, "height": 900}


def command() -> str | None:
    """The command that starts Model Explorer; None without one."""
    return os.environ.get("FUSEGUARD_MODEL_EXPLORER") or shutil.which("model-explorer")


def photograph(browser: Any, program: Path, folder: Path, picture: Path, explorer: str) -> None:
    """Write ``picture``: ``program`` with the overlay of its findings. ``folder`` takes the files between.

    Raises TimeoutError if the server does not start, and what Playwright raises if its page is another one. Tried with
    Model Explorer 0.1.34.
    """
    graph, overlay = folder / f"{program.stem}.json", folder / "overlay.json"
    graph.write_text(model_explorer_graph.render(read(program)[0], program.name), encoding="utf-8")
    report = fuseguard.check(program, executorch="1.5.1")
    overlay.write_text(fuseguard.render(report, "model-explorer"), encoding="utf-8")
    with _server(explorer, graph, overlay, folder) as address:
        page = browser.new_page(viewport=_VIEWPORT, color_scheme="light")
        page.goto(address)
        page.locator(".expand-all.ng-star-inserted, .expand-all").last.click()
        page.get_by_text("NODE DATA PROVIDERS", exact=False).first.wait_for()
        page.mouse.move(1, _VIEWPORT["height"] // 2)  # no tool tip over the graph
        page.wait_for_timeout(2000)  # layers open in an animation
        page.screenshot(path=picture)
        page.close()


@contextlib.contextmanager
def _server(explorer: str, graph: Path, overlay: Path, folder: Path) -> Iterator[str]:
    """The address of a running server with the graph; it is ended afterwards."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    arguments = [explorer, str(graph), f"--node_data_paths={overlay}", "--no_open_in_browser", f"--port={port}"]
    log = folder / "model-explorer.log"
    with log.open("w") as said, subprocess.Popen(arguments, stdout=said, stderr=subprocess.STDOUT) as server:
        try:
            yield _address(log, port, server)
        finally:
            server.terminate()


def _address(log: Path, port: int, server: subprocess.Popen[bytes]) -> str:
    """What the server says is the address of the graph, when it answers."""
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://localhost:{port}/", timeout=5).close()
            found = [word for word in log.read_text().split() if word.startswith(f"http://localhost:{port}/")]
            return max(found, key=len, default=f"http://localhost:{port}/")
        time.sleep(0.5)
    raise TimeoutError(f"model-explorer has not started: {log.read_text()[-400:]}")
