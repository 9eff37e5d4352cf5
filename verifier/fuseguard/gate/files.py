"""Checks files with a gate. Whatever goes wrong with one of them becomes its result, so that the others are checked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from fuseguard.engine.collector import collector_paused
from fuseguard.engine.finding import Finding
from fuseguard.engine.internal_error import internal_error
from fuseguard.engine.run import Report
from fuseguard.gate.exit_codes import exit_code
from fuseguard.gate.gate import Gate
from fuseguard.gate.parallel import Step, check_all
from fuseguard.gate.result import CheckResult, FileError, FileResult
from fuseguard.readers import open as readers
from fuseguard.readers.errors import UnreadableInput


def check_programs(gate: Gate, files: Sequence[Path], jobs: int = 1, step: Step | None = None) -> list[FileResult]:
    """The results of the files in their order, each once. ``jobs`` and ``step`` are those of :func:`check_all`."""
    programs = tuple(dict.fromkeys(files))
    return list(check_all(programs, partial(check_file, gate=gate, keep=len(programs) == 1), jobs, step))


def check_with(
    gate: Gate, files: Sequence[Path], jobs: int = 1, step: Step | None = None, *, exit_zero: bool = False
) -> CheckResult:
    """The whole of a check: the files' results, those with SU findings after them, and the exit code."""
    checked = check_programs(gate, files, jobs, step)
    results = (*checked, *upkeep(gate, checked))
    code = exit_code(results, gate.fail_on, exit_zero=exit_zero)
    rules = tuple(rule.code for rule in gate.rules)
    return CheckResult(gate.targets[0], gate.policy, results, rules, code, gate.targets, gate.fail_on)


@collector_paused()
def check_file(path: Path, gate: Gate, *, keep: bool = False) -> FileResult:
    """Check one file. ``keep``: the result has the program, for a report that draws it."""
    name = str(path)
    try:
        graph, _ = readers.read(path, gate.methods)
        return FileResult(name, gate.check(graph, name), graph=graph if keep else None)
    except (UnreadableInput, OSError) as error:
        return FileResult(name, error=FileError("unreadable", _reason(error)))
    except Exception as error:
        return FileResult(name, error=FileError("internal", internal_error(error)))


def _reason(error: UnreadableInput | OSError) -> str:
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    return str(error)


def upkeep(gate: Gate, checked: Sequence[FileResult]) -> tuple[FileResult, ...]:
    """The SU findings, as results of the files that they are about: a configuration, a baseline."""
    findings: dict[str, list[Finding]] = {}
    for finding in gate.upkeep({result.file: result.report for result in checked}):
        findings.setdefault(finding.file, []).append(finding)
    return tuple(
        FileResult(file, Report(tuple(found), gate.targets[0], gate.policy, file, targets=gate.targets), upkeep=True)
        for file, found in findings.items()
    )
