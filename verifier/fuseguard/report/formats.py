"""The report formats, each a module that is imported when the format is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from fuseguard.gate.result import CheckResult
from fuseguard.report.lines import Line, plain
from fuseguard.report.options import Options

#: Formats for people -> module with ``render(result, options, errors=) -> Iterator[Line]``.
LINES: dict[str, str] = {"text": "fuseguard.report.text", "concise": "fuseguard.report.concise"}

#: Formats for programs -> module with ``render(result, options) -> str``. A further format is a module and a line here.
DOCUMENTS: dict[str, str] = {
    "json": "fuseguard.report.json",
    "json-lines": "fuseguard.report.json_lines",
    "sarif": "fuseguard.report.sarif",
    "junit": "fuseguard.report.junit",
    "github": "fuseguard.report.github",
    "gitlab": "fuseguard.report.gitlab",
    "html": "fuseguard.report.html",
    "markdown": "fuseguard.report.markdown",
    "model-explorer": "fuseguard.report.model_explorer",
}

FORMATS: tuple[str, ...] = (*LINES, *DOCUMENTS)

#: Formats that describe one program, and so refuse several.
OF_ONE_PROGRAM: tuple[str, ...] = ("model-explorer",)


def render_lines(name: str, result: CheckResult, options: Options, *, errors: bool = True) -> Iterable[Line]:
    """The report in one of LINES. ``errors=False`` leaves out files that were reported on stderr."""
    lines: Iterable[Line] = importlib.import_module(LINES[name]).render(result, options, errors=errors)
    return lines


def render_document(name: str, result: CheckResult, options: Options | None = None) -> str:
    """The report in one of FORMATS, those for people in plain text.

    Raises KeyError for another name, and ValueError for several programs in one of OF_ONE_PROGRAM.
    """
    if options is None:
        options = Options()
    if name in LINES:
        return plain(render_lines(name, result, options))
    text: str = importlib.import_module(DOCUMENTS[name]).render(result, options)
    return text
