"""The options that ``check``, ``baseline`` and ``upgrade-check`` share, which override the configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from fuseguard.cli import candidates, exits, output
from fuseguard.cli.exits import Failure
from fuseguard.cli.hints import Choice
from fuseguard.engine.finding import Severity
from fuseguard.engine.registry import Registry
from fuseguard.engine.run import POLICIES
from fuseguard.gate.baseline import Baseline, BaselineError, displayed, read
from fuseguard.gate.gate import Gate, NothingToRun, make_gate
from fuseguard.readers.trust import check_loadable, refuse_untrusted
from fuseguard.target import Target

F = TypeVar("F", bound=Callable[..., Any])

#: Of the files that a directory stands for.
SUFFIXES = (".pt2", ".etrecord")
SEVERITIES: tuple[str, ...] = tuple(severity.value for severity in Severity)


_TARGET = click.option(
    "--target",
    multiple=True,
    metavar="TARGET",
    shell_complete=candidates.targets,
    help="TOSA specification (TOSA-1.0+INT) or accelerator (vgf, ethos-u55-128); repeat or use commas. "
    "all: one of each kind. Default: TOSA-1.0+INT+FP.",
)
_EXECUTORCH = click.option(
    "--executorch",
    multiple=True,
    metavar="VERSION",
    shell_complete=candidates.releases,
    help="ExecuTorch release to check for; repeat or use commas, for every target in turn. all: those measured. "
    "Default: the installed one, else the newest measured.",
)
_POLICY = click.option(
    "--policy",
    type=Choice(POLICIES),
    help="Which findings the guard would keep off the accelerator. Default: consistent.",
)
_SELECT = click.option(
    "--select", multiple=True, metavar="RULES", shell_complete=candidates.rules,
    help="Codes, prefixes or names to run; repeat or use commas.",
)  # fmt: skip
_IGNORE = click.option(
    "--ignore", multiple=True, metavar="RULES", shell_complete=candidates.rules,
    help="Codes, prefixes or names to leave out.",
)  # fmt: skip
_SEVERITY = click.option(
    "--severity",
    multiple=True,
    metavar="RULE=LEVEL",
    shell_complete=candidates.severities,
    help="Report a code, prefix or name as error, warning or note; repeat or use commas.",
)
_ALLOW_CODE = click.option(
    "--allow-code",
    multiple=True,
    metavar="CODES",
    shell_complete=candidates.archive_codes,
    help="Accept that torch would run code from the file in this way (AR901 and up); repeat or use commas.",
)
_CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Configuration: a fuseguard.toml, or a pyproject.toml with [tool.fuseguard]. Default: the nearest from the "
    "current folder upwards. Options override it.",
)
_NO_CONFIG = click.option("--no-config", is_flag=True, help="Use no configuration.")
_SHARED = (_SELECT, _IGNORE, _SEVERITY, _ALLOW_CODE, _CONFIG, _NO_CONFIG)

_fail_on = click.option(
    "--fail-on",
    type=Choice(SEVERITIES),
    help="Exit with 1 for findings of this severity or worse. Default: error.",
)


_REQUIRE_QUANTIZED = click.option(
    "--require-quantized/--no-require-quantized",
    default=None,
    help="Report an error instead of a warning if a program is not quantized, has observers, or was quantized by a "
    "quantizer other than Arm's.",
)
_METHOD = click.option(
    "--method", multiple=True, metavar="NAME",
    help="Check only this program of a file with several, such as an ETRecord; repeat or use commas. Default: all.",
)  # fmt: skip


def gate_options(command: F) -> F:
    """The options that say what to check for. Their values go to :func:`resolve` as they are."""
    for option in reversed((_TARGET, _EXECUTORCH, _POLICY, *_SHARED)):
        command = option(command)
    return command


def rule_options(command: F) -> F:
    """The same without ``--executorch``, for a command that is about two releases."""
    for option in reversed((_TARGET, _POLICY, *_SHARED)):
        command = option(command)
    return command


def target_options(command: F) -> F:
    """The options that say which target, for a command that is about one rule."""
    for option in reversed((_TARGET, _EXECUTORCH, _METHOD, _CONFIG, _NO_CONFIG)):
        command = option(command)
    return command


def baseline_options(command: F) -> F:
    """``--baseline`` and ``--no-baseline``."""
    command = click.option("--no-baseline", is_flag=True, help="Ignore the configuration's baseline.")(command)
    return click.option(
        "--baseline",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Report only findings that are not in this file ('fuseguard baseline create'), and entries that are gone.",
    )(command)


def output_file_option(command: F) -> F:
    """``--output-file``."""
    return click.option(
        "--output-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Write the report to this file instead of stdout.",
    )(command)


def jobs_option(command: F) -> F:
    """``--jobs``."""
    return click.option(
        "--jobs",
        "-j",
        type=click.IntRange(min=0),
        default=1,
        show_default=True,
        metavar="N",
        help="Check this many files at once; 0 for one per processor. The report is the same.",
    )(command)


def selection_options(command: F) -> F:
    """``--select`` and ``--ignore``, for commands without a configuration; ``split`` what they are given."""
    return _SELECT(_IGNORE(command))


#: What ``--inputs`` takes where a program is run.
INPUTS = "FILE.npz|FILE.pt|random[:SEED]"


def installed_target_option(command: F) -> F:
    """``--target``, for commands that lower programs: one target, with the release that is installed."""
    return click.option(
        "--target",
        shell_complete=candidates.target,
        default="TOSA-1.0+INT+FP",
        show_default=True,
        help="TOSA specification or accelerator. The release is the installed one.",
    )(command)


def trust_option(command: F) -> F:
    """``--trust``, for commands that load a program with torch."""
    return click.option(
        "--trust", is_flag=True, help="The file is trusted: loading it for execution runs code from it."
    )(command)


def ir_validity_option(command: F) -> F:
    """``--no-check-ir-validity``, for commands that lower programs."""
    return click.option(
        "--no-check-ir-validity",
        is_flag=True,
        help="Lower with EdgeCompileConfig(_check_ir_validity=False), as Arm's ahead-of-time compiler does.",
    )(command)


def policy_option(text: str = "What the guard refuses.") -> Callable[[F], F]:
    """``--policy``, for commands that lower programs; ``text`` is its help."""
    return click.option("--policy", type=Choice(POLICIES), default="consistent", show_default=True, help=text)


def installed_target(name: str, no_check_ir_validity: bool) -> Target:
    """What ``--target`` and ``--no-check-ir-validity`` say. Raises TargetError."""
    return replace(Target.parse(name), ir_validity=not no_check_ir_validity)


def require_trust(files: Iterable[Path], what: str, trust: bool) -> None:
    """Raises UntrustedFile without ``--trust`` (``what``: "Proving a program"), UnreadableInput for what cannot be
    loaded. Needs no torch, so that both are told at once.
    """
    paths = list(files)
    if not trust:
        refuse_untrusted(paths[0], what, "--trust")
    for path in paths:
        check_loadable(path)


def fail_on_option(command: F) -> F:
    """``--fail-on``."""
    return _fail_on(command)


def program_options(command: F) -> F:
    """``--require-quantized`` and ``--method``."""
    return _REQUIRE_QUANTIZED(_METHOD(command))


def resolve(
    registry: Registry,
    *,
    target: Sequence[str] = (),
    executorch: Sequence[str] = (),
    policy: str | None = None,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    severity: Sequence[str] = (),
    allow_code: Sequence[str] = (),
    config: Path | None = None,
    no_config: bool = False,
    fail_on: str | None = None,
    baseline: Path | None = None,
    no_baseline: bool = False,
    require_quantized: bool | None = None,
    method: Sequence[str] = (),
) -> Gate:
    """The gate that options and configuration define. ``no_baseline`` also ignores the configuration's baseline.

    Raises Failure, or what ``cli.main`` turns into one.
    """
    from fuseguard.gate.config import Config, load_config, nearest_config

    if config is not None and no_config:
        raise click.UsageError("--config and --no-config exclude each other.")
    if no_config:
        found = Config()
    else:
        found = nearest_config(Path.cwd(), registry) if config is None else load_config(config, registry)
    if baseline is not None and no_baseline:
        raise click.UsageError("--baseline and --no-baseline exclude each other.")
    path = None if no_baseline else baseline or found.baseline
    try:
        return make_gate(
            registry,
            found,
            targets=split(target) or None,
            releases=split(executorch) or None,
            policy=policy,
            select=split(select) or None,
            ignore=split(ignore) or None,
            severities=severities(registry, split(severity)),
            allow_code=split(allow_code) or None,
            fail_on=None if fail_on is None else Severity(fail_on),
            baseline=None if path is None else open_baseline(path, baseline is None, found.files),
            require_quantized=require_quantized,
            methods=split(method),
        )
    except NothingToRun as error:
        raise Failure(str(error)) from error


def not_to_be_lost(files: Sequence[Path], gate: Gate, config: Path | None = None) -> dict[Path, str]:
    """Identity of a file -> what it is: those that a run reads, and that no report of it may overwrite."""
    kept = {output.identity(file): "a program that is checked" for file in files}
    if gate.baseline is not None:
        kept[output.identity(gate.baseline.path)] = "the baseline"
    if config is not None:
        kept[output.identity(config)] = "the configuration"
    return kept


def open_baseline(path: Path, configured: bool, files: Sequence[Path]) -> Baseline:
    """Read a baseline. Raises Failure, which says where its name came from if not from the command line."""
    try:
        return read(path)
    except BaselineError as error:
        if not configured or not files:
            raise Failure(str(error)) from error
        hint = f"The configuration ({displayed(files[-1])}) names it; --no-baseline ignores it."
        raise Failure(f"{error}\n{hint}") from error


def severities(registry: Registry, values: Sequence[str]) -> dict[str, Severity]:
    """``FU103=note`` and the like. Raises UsageError for what is not of this form, SelectorError."""
    found = {}
    for value in values:
        rule, _, level = value.partition("=")
        if not rule.strip() or level.strip() not in SEVERITIES:
            hint = exits.nearest(level, SEVERITIES) if level.strip() else ""
            raise click.UsageError(
                f"--severity {value!r} is not RULE=LEVEL with a level of {', '.join(SEVERITIES)}, as in FU103=note. "
                f"{hint}".rstrip()
            )
        registry.check_selectors((rule.strip(),))
        found[rule.strip()] = Severity(level.strip())
    return found


def split(values: Sequence[str]) -> tuple[str, ...]:
    """A repeatable option whose values may hold several, separated by commas."""
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())


def programs(files: Sequence[Path]) -> tuple[Path, ...]:
    """The files to check: those of the command line, a directory standing for the .pt2 files and ETRecords in it.

    Raises Failure for a directory without one.
    """
    found: list[Path] = []
    for path in files:
        if path.is_dir():
            inside = sorted(item for item in path.iterdir() if item.suffix in SUFFIXES and item.is_file())
            if not inside:
                raise exits.Refused(
                    f"{path}: is a directory without a .pt2 or .etrecord file; name the file, or its directory."
                )
            found += inside
        else:
            found.append(path)
    return tuple(found)
