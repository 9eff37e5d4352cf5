"""Exit codes of the command line, and what a check comes to. When several apply, the largest wins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # --help needs none of it
    from fuseguard.engine.finding import Severity
    from fuseguard.gate.result import FileResult

CLEAN = 0
FINDINGS = 1  # at or above --fail-on; for prove: the lowering cannot be trusted
ABNORMAL = 2  # usage, configuration, rule pack, a rule that failed, fuseguard itself
UNREADABLE = 3  # an input could not be read, or was refused as unsafe
ENDLESS = 4  # repair: the repairs of two rules undo one another
INTERRUPTED = 130  # as shells report SIGINT
TERMINATED = 143  # SIGTERM
BROKEN_PIPE = 141  # as shells report SIGPIPE


def exit_code(results: Iterable[FileResult], fail_on: Severity, *, exit_zero: bool = False) -> int:
    """The largest code that applies. ``exit_zero`` leaves findings out."""
    code = CLEAN
    for result in results:
        if result.error is not None:
            code = max(code, UNREADABLE if result.error.kind == "unreadable" else ABNORMAL)
        if result.report is not None:
            if result.report.failures:
                code = max(code, ABNORMAL)
            if (result.report.at_or_above(fail_on) or result.report.unread) and not exit_zero:
                code = max(code, FINDINGS)
    return code
