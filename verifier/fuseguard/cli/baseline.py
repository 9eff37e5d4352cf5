"""``fuseguard baseline``: create, update and prune."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from fuseguard.cli import exits, output, settings
from fuseguard.cli.hints import Group
from fuseguard.cli.paths import ProgramPath
from fuseguard.cli.progress import progress
from fuseguard.engine.registry import load_registry
from fuseguard.engine.run import Report
from fuseguard.engine.shown import counted
from fuseguard.gate import baseline as baselines
from fuseguard.gate.baseline import Baseline, Entry
from fuseguard.gate.files import check_programs
from fuseguard.gate.gate import Gate
from fuseguard.report.lines import Line
from fuseguard.report.quoting import quoted

F = TypeVar("F", bound=Callable[..., Any])

EPILOG = """\b
Examples:
  fuseguard baseline create model.pt2
  fuseguard check model.pt2 --baseline fuseguard-baseline.json
  fuseguard baseline prune model.pt2
  fuseguard baseline update model.pt2 --allow-growth

The file is --baseline, or the configuration's, or fuseguard-baseline.json. Use the
same --target, --executorch and --select as in the check.

Exit codes: 0 the baseline covers what was found; 1 update: there are findings that
it does not cover; 2 usage, configuration, rule pack or internal error, or a rule
failed; 3 a file could not be read. With 2 and 3, nothing is written."""


@click.group(
    "baseline", cls=Group, epilog=EPILOG, short_help="Record current findings so that only new ones are reported."
)
def command() -> None:
    """Keep a list of known findings, so that a check fails on new ones only.

    The list is text with one finding per line. Commit and review it like code.
    """


def _options(function: F) -> F:
    function = output.color_option(function)
    function = output.format_option("text", "json")(function)
    function = settings.jobs_option(function)
    function = settings.gate_options(function)
    function = click.option(
        "--baseline", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
        help=f"Default: the configuration's, else {baselines.DEFAULT_NAME}.",
    )(function)  # fmt: skip
    files = click.argument("files", nargs=-1, required=True, metavar="FILE...", type=ProgramPath())
    return files(function)


@dataclass(frozen=True, slots=True)
class Difference:
    """How a command changed a baseline. ``missing`` holds the findings that are not in it.

    An entry stays the same when only its place is renamed: one more layer before it turns ``body.1`` into ``body.2``.
    """

    before: Baseline
    after: Baseline
    missing: tuple[Entry, ...] = ()

    @property
    def added(self) -> list[Entry]:
        return _without(self.after.entries, self.before.entries)

    @property
    def removed(self) -> list[Entry]:
        return _without(self.before.entries, self.after.entries)

    @property
    def changed(self) -> list[Entry]:
        """Entries whose place or severity has changed."""
        same = set(self.before.entries)
        return _without([entry for entry in self.after.entries if entry not in same], self.added)


def _without(entries: Sequence[Entry], others: Sequence[Entry]) -> list[Entry]:
    keys = {entry.key for entry in others}
    return sorted((entry for entry in entries if entry.key not in keys), key=lambda entry: entry.key)


_CREATE = """\b
Examples:
  fuseguard baseline create model.pt2
  fuseguard baseline create *.pt2 --target all --baseline gate/known.json"""

_UPDATE = """\b
Examples:
  fuseguard baseline update model.pt2
  fuseguard baseline update model.pt2 --allow-growth"""

_PRUNE = """\b
Examples:
  fuseguard baseline prune model.pt2
  fuseguard baseline prune *.pt2 --missing"""


@command.command("create", epilog=_CREATE, short_help="Write a new baseline with all findings.")
@_options
@click.option("--force", is_flag=True, help="Overwrite an existing baseline, even with more findings than it has.")
@click.pass_context
def create(
    ctx: click.Context, /, files: tuple[Path, ...], baseline: Path | None, force: bool, jobs: int, output_format: str,
    color: str, **options: Any,
) -> None:  # fmt: skip
    """Write a new baseline with all findings of the files, whatever their severity. Suppressed ones are left out."""
    gate, path = _gate(baseline, files, options)
    if path.exists() and not force:
        name = baselines.displayed(path)
        raise exits.Failure(f"{name} exists. Change it with 'fuseguard baseline update', or replace it with --force.")
    before = Baseline(path)
    reports = _reports(ctx, files, gate, jobs)
    after = before.with_entries(entry for report in reports for entry in baselines.entries_of(before, report))
    _finish(Difference(before, after), output_format, color)


@command.command("update", epilog=_UPDATE, short_help="Drop what is gone; with --allow-growth, also add what is new.")
@_options
@click.option("--allow-growth", is_flag=True, help="Add findings that are new or got worse.")
@click.pass_context
def update(
    ctx: click.Context, /, files: tuple[Path, ...], baseline: Path | None, allow_growth: bool, jobs: int,
    output_format: str, color: str, **options: Any,
) -> None:  # fmt: skip
    """Bring a baseline up to date with the files: drop what is gone or suppressed, record lower severities.

    New findings, and those that got worse, are added only with --allow-growth. Entries of other files stay.
    """
    gate, path = _gate(baseline, files, options)
    before = baselines.read(path)
    reports = _reports(ctx, files, gate, jobs)
    found = {entry.key: entry for report in reports for entry in baselines.entries_of(before, report)}
    ran = {before.name_of(report.file): set(report.rules) for report in reports}
    kept = []
    for entry in before.entries:
        current = found.pop(entry.key, None)
        if current is None:
            kept += [entry] if entry.code not in ran.get(entry.file, ()) else []
        elif current.severity.rank > entry.severity.rank:
            found[entry.key] = current
            kept.append(entry)
        else:
            kept.append(current)
    if allow_growth:
        kept = [*(entry for entry in kept if entry.key not in found), *found.values()]
    missing = () if allow_growth else tuple(sorted(found.values(), key=lambda entry: entry.key))
    _finish(Difference(before, before.with_entries(kept), missing), output_format, color)
    ctx.exit(exits.FINDINGS if missing else exits.CLEAN)


@command.command("prune", epilog=_PRUNE, short_help="Drop what is gone, and change nothing else.")
@_options
@click.option("--missing", "missing_files", is_flag=True, help="Also drop the entries of files that no longer exist.")
@click.pass_context
def prune(
    ctx: click.Context, /, files: tuple[Path, ...], baseline: Path | None, missing_files: bool, jobs: int,
    output_format: str, color: str, **options: Any,
) -> None:  # fmt: skip
    """Drop the entries of findings that the files no longer have (SU002), and change nothing else."""
    gate, path = _gate(baseline, files, options)
    before = baselines.read(path)
    gone = baselines.gone_entries(before, {report.file: report for report in _reports(ctx, files, gate, jobs)})
    folder = path.absolute().parent
    kept = [
        entry
        for entry in before.entries
        if entry not in gone and not (missing_files and not (folder / entry.file).exists())
    ]
    _finish(Difference(before, before.with_entries(kept)), output_format, color)


def _gate(baseline: Path | None, files: Sequence[Path], options: dict[str, Any]) -> tuple[Gate, Path]:
    """The gate without a baseline, and the path of the one to write."""
    gate = settings.resolve(load_registry(), no_baseline=True, **options)
    path = baseline or gate.baseline_path or Path(baselines.DEFAULT_NAME)
    output.refuse_to_overwrite(path, "--baseline", settings.not_to_be_lost(files, gate, options["config"]))
    return gate, path


def _reports(ctx: click.Context, files: Sequence[Path], gate: Gate, jobs: int) -> list[Report]:
    """The reports of all files. Ends the command if one has none: half a baseline would let faults through."""
    with progress(len(set(files))) as step:
        results = check_programs(gate, files, jobs, step)
    code = exits.CLEAN
    for result in results:
        if result.error is not None:
            exits.tell(f"error: {result.trouble}")
            code = max(code, exits.UNREADABLE if result.error.kind == "unreadable" else exits.ABNORMAL)
        for failure in result.report.failures if result.report else ():
            exits.tell(f"error: rule {failure.code} failed: {failure.error}")
            code = max(code, exits.ABNORMAL)
    if code:
        exits.tell("No baseline was written.")
        ctx.exit(code)
    return [result.report for result in results if result.report is not None]


def _finish(difference: Difference, output_format: str, color: str) -> None:
    """Write the file, and say what changes."""
    after = difference.after
    output.write_file(after.path, baselines.render(after))
    if output_format == "json":
        from fuseguard.report import json

        output.write_text(
            json.dump(
                {
                    **json.envelope(),
                    "baseline": baselines.displayed(after.path),
                    "findings": len(after.entries),
                    "added": msgspec.to_builtins(difference.added),
                    "removed": msgspec.to_builtins(difference.removed),
                    "changed": msgspec.to_builtins(difference.changed),
                    "missing": msgspec.to_builtins(difference.missing),
                }
            )
        )
    else:
        output.write_lines(_lines(difference), color)


def _lines(difference: Difference) -> Iterator[Line]:
    yield from (Line(("+ ", "error"), _told(entry), hang=4) for entry in difference.added)
    yield from (Line(("- ", "good"), _told(entry), hang=4) for entry in difference.removed)
    yield from (Line(("~ ", "note"), _told(entry), hang=4) for entry in difference.changed)
    for entry in difference.missing:
        yield Line(("new ", "error"), _told(entry), hang=4)
    total = counted(len(difference.after.entries), "finding")
    changes = f"{len(difference.added)} added, {len(difference.removed)} removed"
    changes += f", {len(difference.changed)} changed" if difference.changed else ""
    yield Line((quoted(baselines.displayed(difference.after.path)), "strong"), f": {total} ({changes})")
    if difference.missing:
        number = counted(len(difference.missing), "finding")
        yield Line(f"{number} not in the baseline; fix them, or pass --allow-growth to accept them.")


def _told(entry: Entry) -> str:
    return quoted(f"{entry.file}: {entry.severity.value}[{entry.code}] {entry.place}")
