"""What one run of ``fuseguard check`` produced: the model that every report format renders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from fuseguard.engine.finding import Finding, Severity, SuppressionKind
from fuseguard.engine.run import Report
from fuseguard.engine.shown import Printed, counts_of, data_of, lines_of, one_line
from fuseguard.gate.targets import summed
from fuseguard.ir.graph import Graph
from fuseguard.ir.value import Value
from fuseguard.target import Target

ErrorKind: TypeAlias = Literal["unreadable", "internal"]


class FileError(Value, frozen=True):
    """Why a file has no report: it could not be read or was refused, or fuseguard itself failed on it."""

    kind: ErrorKind
    message: str


@dataclass(frozen=True, slots=True)
class FileResult:
    """One file and its report, or the error that stands in its place.

    ``upkeep`` marks a configuration or a baseline whose report holds SU findings: no program, and not counted as one.
    ``graph``: the program that was read, if it is the only one. Many at once would need too much memory.
    """

    file: str
    report: Report | None = None
    error: FileError | None = None
    upkeep: bool = False
    graph: Graph | None = field(default=None, repr=False, compare=False)

    @property
    def trouble(self) -> str:
        """The error as a sentence that starts with the file; "" if there is none."""
        if self.error is None:
            return ""
        named = self.error.message.startswith(f"{self.file}:")  # readers name the file themselves
        return self.error.message if named else f"{self.file}: {self.error.message}"


@dataclass(frozen=True, slots=True, repr=False)
class CheckResult(Printed):
    """All files of one run, in the order given on the command line, then those with SU findings.

    Attributes:
        target: what the files were checked for; the first of ``targets`` if there are several.
        policy: the policy that decides what a guard would refuse.
        files: the results by file. Each has a ``report`` or an ``error``.
        rules: the codes of the rules that ran.
        exit_code: the exit code of ``fuseguard check``.
        targets: all targets, if the files were checked for several.
        fail_on: the least severity that counts for ``exit_code``.
    """

    target: Target
    policy: str
    files: tuple[FileResult, ...]
    rules: tuple[str, ...] = ()
    exit_code: int = 0
    targets: tuple[Target, ...] = ()
    fail_on: Severity = Severity.ERROR

    @property
    def programs(self) -> tuple[FileResult, ...]:
        """The files that were checked, or were to be."""
        return tuple(result for result in self.files if not result.upkeep)

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(finding for report in self.reports() for finding in report.findings)

    @property
    def nodes(self) -> int:
        return sum(report.nodes for report in self.reports())

    @property
    def islands(self) -> int:
        return sum(report.islands for report in self.reports())

    @property
    def failures(self) -> int:
        """How often a rule raised."""
        return sum(len(report.failures) for report in self.reports())

    @property
    def seconds(self) -> dict[str, float]:
        """How long each rule took over all files and targets, by code."""
        return summed(report.seconds for report in self.reports())

    def reports(self) -> Iterator[Report]:
        return (result.report for result in self.files if result.report is not None)

    def count(self, severity: Severity) -> int:
        return sum(finding.severity is severity for finding in self.findings)

    def count_suppressed(self, *kinds: SuppressionKind) -> int:
        """How many findings are not reported for one of these reasons."""
        told = (finding.suppression for report in self.reports() for finding in report.suppressed)
        return sum(suppression is not None and suppression.kind in kinds for suppression in told)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data, with the keys of the ``json`` format (``fuseguard schema``)."""
        return data_of("json", "to_dict", self)

    def __str__(self) -> str:
        """In short: counts, and a line for each rule that found something. ``fuseguard.render`` writes it all."""
        troubles = [result.trouble for result in self.programs if result.error is not None]
        head = f"{len(self.programs)} files: {counts_of(self.findings)}; exit code {self.exit_code}"
        lines = [head, *lines_of(self.findings)]
        if troubles:
            lines.append(one_line(f"  {len(troubles)} not checked, the first: {troubles[0]}"))
        return "\n".join(lines)

    def errors(self, kind: ErrorKind) -> int:
        return sum(result.error is not None and result.error.kind == kind for result in self.files)


def of_report(report: Report) -> CheckResult:
    """The result of a run on one program, a live one or a file."""
    from fuseguard.gate.exit_codes import exit_code

    files = (FileResult(report.file or "program", report),)
    code = exit_code(files, report.fail_on)
    return CheckResult(report.target, report.policy, files, report.rules, code, report.targets, report.fail_on)
