"""Baselines: the findings that existed when the gate was set up, so that it fails only on new ones.

A baseline is JSON with one sorted finding per line, so that a change to it can be reviewed like a change to code.
"""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import msgspec

from fuseguard.engine.finding import Effect, Finding, Severity, Suppression, SuppressionKind
from fuseguard.engine.housekeeping import STALE_BASELINE_ENTRY
from fuseguard.engine.run import Report
from fuseguard.gate.suppress import Results
from fuseguard.ir.graph import SourceLine

VERSION = 1
DEFAULT_NAME = "fuseguard-baseline.json"
_PLACE = 120  # characters of a place
_SIZE = 64 * 1024 * 1024  # bytes; ten thousand findings are three million


class BaselineError(ValueError):
    """A baseline that cannot be used. The text names the file and says what to do."""


class Entry(msgspec.Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """One known finding. ``file`` is relative to the baseline's folder. The order of the fields is that of the file.

    ``place`` is for the reader; what counts is file and fingerprint, and ``severity``: a finding that got worse since
    is a new one.
    """

    file: str
    code: str
    place: str
    fingerprint: str
    severity: Severity

    @property
    def key(self) -> tuple[str, str]:
        return self.file, self.fingerprint


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    fuseguard_baseline: int
    findings: list[Entry]


@dataclass(frozen=True, slots=True)
class Baseline:
    """Entries, and the path of the file that they are in or will be. ``lines`` are those of the entries in it."""

    path: Path
    entries: tuple[Entry, ...] = ()
    lines: tuple[int, ...] = ()

    def name_of(self, file: str) -> str:
        """How entries call a checked file: by its path from the baseline's folder."""
        if not file:
            return ""
        folder = self.path.absolute().parent
        try:
            return PurePath(os.path.relpath(os.path.abspath(file), folder)).as_posix()
        except ValueError:  # another drive
            return PurePath(os.path.abspath(file)).as_posix()

    def numbered(self) -> Iterator[tuple[Entry, int]]:
        """The entries and their lines; 0 for what is in no file yet."""
        return zip(self.entries, self.lines or (0,) * len(self.entries), strict=True)

    def with_entries(self, entries: Iterable[Entry]) -> Baseline:
        return Baseline(self.path, tuple(sorted(set(entries), key=_sorting)))


def _sorting(entry: Entry) -> tuple[str, ...]:
    return entry.file, entry.code, entry.place, entry.fingerprint


def read(path: Path) -> Baseline:
    """Read a baseline. Raises BaselineError."""
    name = displayed(path)
    try:
        with open(path, "rb") as stream:
            data = stream.read(_SIZE + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        missing = isinstance(error, FileNotFoundError)
        hint = f" Create it with 'fuseguard baseline create FILE... --baseline {name}'." if missing else ""
        raise BaselineError(
            f"{name}: cannot read the baseline: {getattr(error, 'strerror', None) or error}.{hint}"
        ) from error
    if len(data) > _SIZE:
        raise BaselineError(f"{name}: larger than {_SIZE} bytes; this is not a fuseguard baseline.")
    data = data.removeprefix(codecs.BOM_UTF8)  # Windows' editors begin a file with it
    text = data.decode("utf-8", "replace")
    conflict = next((n for n, line in enumerate(text.splitlines(), 1) if line.startswith(("<<<<<<< ", ">>>>>>> "))), 0)
    if conflict:
        raise BaselineError(f"{name}:{conflict}: a merge conflict; resolve it, or create the baseline again.")
    try:
        document = msgspec.json.decode(data, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        hint = "restore it from version control, or create it again with 'fuseguard baseline create'"
        raise BaselineError(f"{name}: not a fuseguard baseline: {error}; {hint}.") from error
    if document.fuseguard_baseline != VERSION:
        raise BaselineError(
            f"{name}: a baseline of version {document.fuseguard_baseline}, but this fuseguard reads {VERSION}. "
            f"Create it again with 'fuseguard baseline create', or use a fuseguard that matches."
        )
    return Baseline(path, tuple(document.findings), _lines(text, document.findings))


def _lines(text: str, entries: Iterable[Entry]) -> tuple[int, ...]:
    """The line of each entry's fingerprint: a file may have been reformatted by hand or by a hook."""
    lines = text.splitlines()
    found, start = [], 0
    for entry in entries:
        number = next((n for n in range(start, len(lines)) if entry.fingerprint in lines[n]), None)
        found.append(0 if number is None else number + 1)
        start = start if number is None else number
    return tuple(found)


def render(baseline: Baseline) -> str:
    """The text of the file: the same entries give the same text."""
    entries = [json.dumps(msgspec.to_builtins(entry)) for entry in sorted(baseline.entries, key=_sorting)]
    body = "".join(f"\n    {entry}{',' if n < len(entries) else ''}" for n, entry in enumerate(entries, 1))
    end = "\n  " if entries else ""
    return f'{{\n  "fuseguard_baseline": {VERSION},\n  "findings": [{body}{end}]\n}}\n'


def entries_of(baseline: Baseline, report: Report) -> list[Entry]:
    """The entries that would cover everything that the report tells of the program.

    What loading the file would run (AR codes) can only be accepted with --allow-code, not with a list of known
    findings.
    """
    file = baseline.name_of(report.file)
    return [
        Entry(file, finding.code, place(finding), finding.fingerprint, finding.severity)
        for finding in report.findings
        if finding.effect is not Effect.RUNS_CODE
    ]


def place(finding: Finding) -> str:
    """Where a finding is, in words that a change elsewhere does not change: no line numbers, and no node names unless
    there is nothing else.
    """
    parts = [finding.module]
    source = finding.source
    if source is not None and not source.generated:
        name = PurePath(source.file.replace("\\", "/")).name
        parts.append(f"{name}: {' '.join(source.code.split())}" if source.code.strip() else name)
    if not any(parts):
        parts.append(", ".join(finding.nodes))
    text = " at ".join(part for part in parts if part)
    return text if len(text) <= _PLACE else f"{text[:_PLACE]}..."


def apply(report: Report, baseline: Baseline) -> Report:
    """The report with all that the baseline knows moved to ``suppressed``. What got worse stays, and says so."""
    name = baseline.name_of(report.file)
    known = {entry.fingerprint: (entry, line) for entry, line in baseline.numbered() if entry.file == name}
    kept: list[Finding] = []
    suppressed: list[Finding] = []
    for finding in report.findings:
        entry, line = known.get(finding.fingerprint, (None, 0))
        if entry is None:
            kept.append(finding)
        elif finding.severity.rank > entry.severity.rank:
            told = ("baseline", f"knows this as {entry.severity.value}; now it is worse")
            kept.append(replace(finding, details=(*finding.details, told)))
        else:
            known_as = Suppression(
                SuppressionKind.BASELINE,
                reason="known from before",
                scope=f"{entry.code} at {entry.place}",
                origin=_origin(baseline, line, entry),
            )
            suppressed.append(replace(finding, suppression=known_as))
    return replace(report, findings=tuple(kept), suppressed=(*report.suppressed, *suppressed))


def _origin(baseline: Baseline, line: int, entry: Entry) -> SourceLine:
    return SourceLine(displayed(baseline.path), max(line, 1), "", f"{entry.code} {entry.place}")


def displayed(path: Path) -> str:
    """A path as reports show it: from the current folder where that is shorter."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)
    return relative if len(relative) < len(str(path)) else str(path)


def stale(baseline: Baseline, results: Results) -> Iterator[Finding]:
    """SU002 for every entry whose rule ran on its file and did not find it."""
    gone = gone_entries(baseline, results)
    for entry, line in baseline.numbered():
        if entry in gone:
            identity = f"{entry.file}|{entry.fingerprint}"
            yield STALE_BASELINE_ENTRY.finding(
                _origin(baseline, line, entry), identity, file=entry.file, rule=entry.code, place=entry.place
            )


def gone_entries(baseline: Baseline, results: Results) -> set[Entry]:
    """The entries whose rule ran on their file and did not find them."""
    reports = {baseline.name_of(file): report for file, report in results.items() if report is not None}
    judged = {
        file: set(report.rules) - {failure.code for failure in report.failures} for file, report in reports.items()
    }
    there = {
        (file, finding.fingerprint)
        for file, report in reports.items()
        for finding in (*report.findings, *report.suppressed)
    }
    return {entry for entry in baseline.entries if entry.code in judged.get(entry.file, ()) and entry.key not in there}
