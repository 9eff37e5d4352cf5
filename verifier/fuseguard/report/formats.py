"""The machine-readable report formats, each a module with ``render(result) -> str``, imported when asked for."""

from __future__ import annotations

import importlib

from fuseguard.report.result import CheckResult

#: Format -> module. A further format is a module and a line here.
DOCUMENTS: dict[str, str] = {"json": "fuseguard.report.json"}


def render_document(name: str, result: CheckResult) -> str:
    """The report in one of DOCUMENTS. Raises KeyError for another name."""
    text: str = importlib.import_module(DOCUMENTS[name]).render(result)
    return text
