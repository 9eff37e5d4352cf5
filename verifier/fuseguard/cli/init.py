"""``fuseguard init``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click

from fuseguard.cli import candidates, exits, output, settings
from fuseguard.engine.registry import load_registry
from fuseguard.engine.shown import counted
from fuseguard.gate import baseline as baselines
from fuseguard.gate import scaffold
from fuseguard.gate.discovery import Found, Source, discover, globs_of, parse_source
from fuseguard.gate.files import check_programs
from fuseguard.gate.scaffold import Change
from fuseguard.report.lines import Line
from fuseguard.report.quoting import name, quoted
from fuseguard.target import Target

EPILOG = """\b
Examples:
  fuseguard init --dry-run
  fuseguard init --target ethos-u85 --baseline
  fuseguard init --source acme/fuseguard@v0.1.0

Exit codes: 0 done, or nothing to do; 2 usage or internal error; 3 a program
could not be read for the baseline. With 2 and 3, nothing is written."""

_PARTS = ("config", "hook", "workflow")


@click.command("init", epilog=EPILOG, short_help="Write configuration, hook and workflow for a repository.")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False, exists=True), default=Path())
@click.option(
    "--target", multiple=True, metavar="TARGET", shell_complete=candidates.targets,
    help="What to check for; repeat or use commas. Default: the targets of the compile specs in the sources.",
)  # fmt: skip
@click.option(
    "--executorch", metavar="VERSION", shell_complete=candidates.releases,
    help="ExecuTorch release to check for. Default: the installed one, else the one that the repository pins.",
)  # fmt: skip
@click.option(
    "--source", metavar="REPO@REV",
    help="The repository and revision of fuseguard that hook and workflow use. Default: where it was installed from.",
)  # fmt: skip
@click.option("--baseline", is_flag=True, help="Record current findings, if any, so that only new ones are reported.")
@click.option("--skip", multiple=True, type=click.Choice(_PARTS), help="Leave this out; repeat for several.")
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@output.color_option
@click.pass_context
def command(
    ctx: click.Context,
    directory: Path,
    target: tuple[str, ...],
    executorch: str | None,
    source: str | None,
    baseline: bool,
    skip: tuple[str, ...],
    dry_run: bool,
    color: str,
) -> None:
    """Write the configuration, the pre-commit hook and the GitHub workflow for a repository.

    Finds programs, targets, release and default branch itself. What is there already stays: init adds to it, or says
    what to add. A second run changes nothing. Needs no torch.
    """
    found = _found(directory, executorch)
    targets = settings.split(target) or found.targets
    for item in targets:
        if item != "all":
            Target.parse(item, found.release)  # raises TargetError
    origin = _source(source) or found.source
    known = _Known(found.root)
    changes: list[Change] = []
    recorded = _baseline(ctx, found, targets, known) if baseline else None
    held = baselines.DEFAULT_NAME if recorded is not None and (recorded.content or known.has_baseline) else ""
    if "config" not in skip:
        changes.append(scaffold.configuration(found, targets, held, known.pyproject, known.own))
    if recorded is not None:
        changes.append(recorded)
    if "hook" not in skip:
        changes.append(scaffold.hooks(origin, known.hooks))
    if "workflow" not in skip:
        changes.append(scaffold.workflow(found, origin, known.workflows))
    if not dry_run:
        for change in changes:
            if change.content is not None:
                path = found.root / change.path
                path.parent.mkdir(parents=True, exist_ok=True)
                output.write_file(path, change.content)
    origin_of_targets = _origin(target, found, known)
    output.write_lines(_lines(found, targets, changes, dry_run, origin_of_targets), color)


def _origin(given: Sequence[str], found: Found, known: _Known) -> str:
    """Where the targets are from; "" for those of a configuration that is there."""
    if given:
        return "as given"
    if known.config is not None:
        return ""
    return "from the compile specs in the sources" if found.targets else "TOSA-1.0+INT+FP, the default; see --target"


def _found(directory: Path, executorch: str | None) -> Found:
    found = discover(directory)
    if executorch is None:
        return found
    release = str(Target.parse("TOSA-1.0+INT", executorch).release)
    return replace(found, release=release, release_from="as given")


def _source(text: str | None) -> Source | None:
    if text is None:
        return None
    try:
        return parse_source(text)
    except ValueError as error:
        raise click.UsageError(f"--source: {error}.") from error


class _Known:
    """The texts of the files that are there. Raises Failure for one that cannot be read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pyproject = self._text("pyproject.toml")
        self.own = self._text("fuseguard.toml")
        self.hooks = self._text(scaffold.HOOKS_FILE)
        self.has_baseline = (root / baselines.DEFAULT_NAME).exists()
        folder = root / ".github" / "workflows"
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        names = [item for item in names if item.endswith((".yml", ".yaml"))]
        paths = [f".github/workflows/{item}" for item in names]
        self.workflows = [(path, self._text(path) or "") for path in paths]

    @property
    def config(self) -> Path | None:
        """The configuration that is there."""
        if self.own is not None:
            return self.root / "fuseguard.toml"
        has = self.pyproject is not None and "[tool.fuseguard" in self.pyproject
        return self.root / "pyproject.toml" if has else None

    def _text(self, path: str) -> str | None:
        try:
            with open(self.root / path, encoding="utf-8", newline="") as file:  # line ends as they are
                return file.read()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or str(error)
            raise exits.Failure(f"{self.root / path}: cannot be read: {reason}. Nothing was written.") from error


def _baseline(ctx: click.Context, found: Found, targets: Sequence[str], known: _Known) -> Change:
    """The baseline of the programs' findings. Ends the command if one cannot be read: it would let faults through."""
    path = found.root / baselines.DEFAULT_NAME
    if known.has_baseline:
        return Change(path.name, note="exists; 'fuseguard baseline update' brings it up to date")
    gate = settings.resolve(
        load_registry(), target=targets, executorch=(found.release,), config=known.config,
        no_config=known.config is None, no_baseline=True,
    )  # fmt: skip
    before = baselines.Baseline(path)
    entries = []
    code = exits.CLEAN
    for result in check_programs(gate, [found.root / program for program in found.programs]):
        if result.error is not None:
            exits.tell(f"error: {result.trouble}")
            code = max(code, exits.UNREADABLE if result.error.kind == "unreadable" else exits.ABNORMAL)
        elif result.report is not None:
            entries += list(baselines.entries_of(before, result.report))
    if code:
        exits.tell("Nothing was written.")
        ctx.exit(code)
    if not entries:
        return Change(path.name, note="is not needed: nothing was found")
    text = baselines.render(before.with_entries(entries))
    return Change(path.name, text, f"{counted(len(entries), 'finding')}\n")


def _lines(
    found: Found, targets: Sequence[str], changes: Sequence[Change], dry_run: bool, origin: str
) -> Iterator[Line]:
    programs = counted(len(found.programs), "program")
    where = f" ({', '.join(map(name, globs_of(found.programs)))})" if found.programs else ""
    yield Line(("found", "dim"), f": {programs}{where}", hang=4)
    yield Line(("release", "dim"), f": ExecuTorch {found.release} ({quoted(found.release_from)})", hang=4)
    told = f"{', '.join(map(name, targets))} ({origin})" if targets and origin else origin
    yield Line(("target", "dim"), f": {told or 'that of the configuration'}", hang=4)
    for change in changes:
        yield from _change(change, dry_run)
    if any(change.content for change in changes) and not dry_run:
        yield Line(f"Next: fuseguard check {' '.join(map(name, found.globs))}")
    elif dry_run:
        yield Line("Nothing was written (--dry-run).")


def _change(change: Change, dry_run: bool) -> Iterator[Line]:
    if change.content is None:
        first, *rest = change.note.splitlines()
        yield Line((change.path, "strong"), f": {quoted(first)}", hang=4)
        yield from (Line(f"    {quoted(line)}") for line in rest)
        return
    verb = "written" if change.content == change.added or "finding" in change.added else "added to"
    yield Line((change.path, "strong"), f": {'to be ' if dry_run else ''}{verb}", hang=4)
    yield from (Line(f"    {quoted(line)}") for line in change.added.splitlines())
