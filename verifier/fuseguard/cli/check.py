"""``fuseguard check``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from fuseguard.cli import exits, output
from fuseguard.engine.finding import Severity
from fuseguard.engine.registry import Registry, load_registry
from fuseguard.engine.rule import Rule
from fuseguard.engine.run import POLICIES, run
from fuseguard.readers.errors import UnreadableInput
from fuseguard.report.formats import DOCUMENTS, render_document
from fuseguard.report.lines import plain
from fuseguard.report.result import CheckResult, FileError, FileResult
from fuseguard.target import Target

EPILOG = """\b
Examples:
  fuseguard check model.pt2
  fuseguard check model.pt2 --target TOSA-1.0+INT --executorch 1.4.1
  fuseguard check model.pt2 --select FU --ignore FU103 --fail-on note
  fuseguard check a.pt2 b.pt2 --output-format json --output-file report.json

\b
Exit codes: 0 nothing at or above --fail-on; 1 findings; 2 usage, target, rule
pack or internal error, or a rule failed; 3 a file could not be read or was
refused (the others are checked all the same). The largest that applies wins."""


@click.command("check", epilog=EPILOG, short_help="Check quantized programs for one target.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option(
    "--target",
    default="TOSA-1.0+INT+FP",
    show_default=True,
    help="TOSA specification (TOSA-1.0+INT) or accelerator (vgf, ethos-u55-128).",
)
@click.option(
    "--executorch",
    metavar="VERSION",
    help="ExecuTorch release to check for. Default: the installed one, else the newest measured.",
)
@click.option(
    "--policy",
    type=click.Choice(POLICIES),
    default="consistent",
    show_default=True,
    help="Which findings the guard would keep off the accelerator.",
)
@click.option("--select", multiple=True, metavar="RULES", help="Codes, prefixes or names to run; repeat or use commas.")
@click.option("--ignore", multiple=True, metavar="RULES", help="Codes, prefixes or names to leave out.")
@output.format_option("text", *DOCUMENTS)
@click.option(
    "--output-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the report to this file instead of stdout.",
)
@click.option(
    "--fail-on",
    type=click.Choice([severity.value for severity in Severity]),
    default="error",
    show_default=True,
    help="Exit with 1 for findings of this severity or worse.",
)
@click.option("--exit-zero", is_flag=True, help="Exit with 0 instead of 1. Errors (2, 3) still count.")
@click.option("--quiet", "-q", is_flag=True, help="Print findings and errors, but no notices and no summary.")
@output.color_option
@click.pass_context
def command(
    ctx: click.Context,
    files: tuple[Path, ...],
    target: str,
    executorch: str | None,
    policy: str,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    output_format: str,
    output_file: Path | None,
    fail_on: str,
    exit_zero: bool,
    quiet: bool,
    color: str,
) -> None:
    """Check quantized programs (.pt2 files) for one target.

    Nothing in a file is run, and torch is not needed.
    """
    resolved = Target.parse(target, executorch)
    rules = select_rules(load_registry(), split(select), split(ignore))
    results = tuple(check_file(path, resolved, rules, policy) for path in dict.fromkeys(files))
    code = exit_code(results, Severity(fail_on), exit_zero)
    result = CheckResult(resolved, policy, results, tuple(rule.code for rule in rules), code)
    try:
        _write(result, output_format, output_file, quiet, color)
    except exits.Failure as error:
        error.show()
        code = max(code, error.exit_code)
    ctx.exit(code)


def split(values: Sequence[str]) -> tuple[str, ...]:
    """A repeatable option whose values may hold several, separated by commas."""
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())


def select_rules(registry: Registry, select: Sequence[str], ignore: Sequence[str]) -> tuple[Rule, ...]:
    """The rules to run. Raises Failure for a selector that matches none, and when none is left."""
    for name in (*select, *ignore):
        try:
            registry.select((name,))
        except ValueError as error:
            known = [key for rule in registry.rules for key in (rule.code, rule.name)]
            raise exits.Failure(f"{error}. {exits.nearest(name, known)}".rstrip()) from error
    rules = registry.select(select, ignore)
    if not rules:
        # A gate that checks nothing must not look like one that found nothing.
        raise exits.Failure("--select and --ignore leave no rule to run.")
    return rules


def check_file(path: Path, target: Target, rules: Sequence[Rule], policy: str) -> FileResult:
    """Check one file. Whatever goes wrong with it becomes its result, so that the others are still checked."""
    from fuseguard import api

    name = str(path)
    try:
        graph, _ = api.read(path)
        return FileResult(name, run(graph, target, rules, policy, name))
    except (UnreadableInput, OSError) as error:
        return FileResult(name, error=FileError("unreadable", _reason(error)))
    except Exception as error:
        return FileResult(name, error=FileError("internal", exits.internal_error(error)))


def _reason(error: UnreadableInput | OSError) -> str:
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    return str(error)


def exit_code(results: Sequence[FileResult], fail_on: Severity, exit_zero: bool) -> int:
    """The largest exit code that applies."""
    code = exits.CLEAN
    for result in results:
        if result.error is not None:
            code = max(code, exits.UNREADABLE if result.error.kind == "unreadable" else exits.ABNORMAL)
        if result.report is not None:
            if result.report.failures:
                code = max(code, exits.ABNORMAL)
            if result.report.at_or_above(fail_on) and not exit_zero:
                code = max(code, exits.FINDINGS)
    return code


def _write(result: CheckResult, output_format: str, output_file: Path | None, quiet: bool, color: str) -> None:
    from fuseguard.report import text

    for file in result.files:
        if file.error is not None:
            click.echo(exits.clean_lines(f"error: {file.trouble}"), err=True)
    if output_file is not None:
        document = plain(text.render(result, quiet=quiet)) if output_format == "text" else None
        output.write_file(output_file, render_document(output_format, result) if document is None else document)
    elif output_format == "text":
        output.write_lines(text.render(result, quiet=quiet, errors=False), color)
    else:
        output.write_text(render_document(output_format, result))
