"""The Python API: ``check``, ``check_files``, ``render`` and ``why_not``, with the options of the command line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fuseguard.engine.finding import Severity
from fuseguard.engine.nearest import nearest
from fuseguard.engine.registry import load_registry
from fuseguard.engine.run import Report
from fuseguard.gate.gate import Gate, make_gate
from fuseguard.gate.suppress import SuppressionRule
from fuseguard.readers import open as readers
from fuseguard.target import HasTosaSpec, Target, as_target

if TYPE_CHECKING:
    import torch
    from executorch.exir import EdgeProgramManager
    from torch.export import ExportedProgram

    from fuseguard.engine.why_not_answer import WhyNot
    from fuseguard.gate.result import CheckResult
    from fuseguard.ir.graph import Graph

T = TypeVar("T", bound=Target | HasTosaSpec)


def check(
    program: ExportedProgram | EdgeProgramManager | torch.fx.GraphModule | Graph | str | os.PathLike[str],
    target: str | Target | HasTosaSpec | Sequence[str | Target | HasTosaSpec] | None = None,
    executorch: str | Sequence[str] | None = None,
    policy: str | None = None,
    select: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
    *,
    severity: Mapping[str, Severity | str] | None = None,
    suppressions: Sequence[SuppressionRule] = (),
    baseline: str | os.PathLike[str] | None = None,
    fail_on: Severity | str | None = None,
    require_quantized: bool | None = None,
    method: str | Sequence[str] | None = None,
    allow_code: Sequence[str] | None = None,
    config: str | os.PathLike[str] | None = None,
) -> Report:
    """Check a program for one target or several.

    Args:
        program: a live ``ExportedProgram`` or ``GraphModule`` in ATen or edge dialect, an ``EdgeProgramManager`` (all
            of its methods), a :class:`Graph`, or the path of a file: a ``.pt2`` file, an ETRecord, or what
            ``executorch.exir.serde.save`` wrote. It is never changed, and nothing in a file is executed.
        target: a TOSA specification (``TOSA-1.0+INT``), an accelerator (``vgf``, ``ethos-u85``), a compile spec or
            partitioner of the backend, or several; ``all`` is one of each kind. None means ``TOSA-1.0+INT+FP``.
        executorch: the release to check for, or several, for every target in turn; ``all`` are those measured. None
            means the installed one or, if none is installed, the newest measured.
        policy: ``consistent`` (the default), ``measured`` or ``bit-exact``: which findings the plug-in would refuse.
        select: the rules to run, as codes, prefixes or names. None means the configuration's, or else all.
        ignore: the rules to leave out, likewise.
        severity: severities by code, prefix or name. They replace those of the effects.
        suppressions: what not to report. Suppressed findings are in ``report.suppressed``.
        baseline: a file made by ``fuseguard baseline``; what it knows is in ``report.suppressed`` as well.
        fail_on: the least severity for which ``report.ok`` is False; None means error.
        require_quantized: make it an error that a program is not quantized, has observers, or was quantized by another
            quantizer than Arm's. None means that the configuration says so, or else not.
        method: the program to check of a file with several, or several of them; None means all.
        allow_code: codes of findings about the file itself (AR901 and on) that are accepted: they say what
            ``torch.export.load`` would run of it. Accepted ones are in ``report.suppressed``.
        config: a ``fuseguard.toml`` or ``pyproject.toml``; it says what the arguments above do not. None means none:
            unlike the command line, this function looks for no configuration.

    Returns:
        The findings, errors first, and what else the check saw.

    Raises:
        TargetError: the target or release is not valid.
        UnreadableInput: the file cannot be read or is refused.
        RulePackError: an installed rule pack is broken.
        ValueError: an unknown policy, selector or severity, a suppression that is refused (SuppressionError), a
            configuration (ConfigError) or baseline (BaselineError) that cannot be used.
    """
    options = (select, ignore, severity, suppressions, baseline, fail_on, allow_code, config, require_quantized, method)
    gate = _gate(target, executorch, policy, *options)
    graph, file = readers.read(program, gate.methods)
    report = gate.check(graph, file)
    live = None if file else graph  # a file can be read again, and a report of a large program stays small
    findings = (*report.findings, *gate.upkeep({file: report}))
    return replace(report, findings=findings, fail_on=gate.fail_on, graph=live)


def check_files(
    files: Iterable[str | os.PathLike[str]],
    target: str | Target | HasTosaSpec | Sequence[str | Target | HasTosaSpec] | None = None,
    executorch: str | Sequence[str] | None = None,
    policy: str | None = None,
    select: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
    *,
    severity: Mapping[str, Severity | str] | None = None,
    suppressions: Sequence[SuppressionRule] = (),
    baseline: str | os.PathLike[str] | None = None,
    fail_on: Severity | str | None = None,
    require_quantized: bool | None = None,
    method: str | Sequence[str] | None = None,
    allow_code: Sequence[str] | None = None,
    config: str | os.PathLike[str] | None = None,
    jobs: int = 1,
) -> CheckResult:
    """Check ``.pt2`` files as one run of ``fuseguard check`` does.

    Unlike :func:`check` once per file, a suppression counts as unused (SU001) only if it matches in none of them, and a
    file that cannot be read does not keep the others from being checked: it has an ``error`` instead of a report.

    Args:
        files: paths. At least one.
        target: as for :func:`check`, and so are all arguments that follow, up to ``config``.
        executorch: see :func:`check`.
        policy: see :func:`check`.
        select: see :func:`check`.
        ignore: see :func:`check`.
        severity: see :func:`check`.
        suppressions: see :func:`check`.
        baseline: see :func:`check`.
        fail_on: see :func:`check`.
        require_quantized: see :func:`check`.
        method: see :func:`check`.
        allow_code: see :func:`check`.
        config: see :func:`check`.
        jobs: the number of processes, 0 for one per processor.

    Returns:
        The results in the order of ``files``, then those about suppressions and the baseline; and ``exit_code``,
        which is what ``fuseguard check`` exits with.

    Raises:
        TargetError: as for :func:`check`.
        RulePackError: as for :func:`check`.
        ValueError: as for :func:`check`, and if ``files`` is empty. UnreadableInput is not raised.
    """
    from fuseguard.gate.files import check_with

    options = (select, ignore, severity, suppressions, baseline, fail_on, allow_code, config, require_quantized, method)
    gate = _gate(target, executorch, policy, *options)
    paths = [Path(file) for file in files]
    if not paths:
        raise ValueError("check_files was given no file; a gate that checks nothing must not look like a clean one")
    return check_with(gate, paths, jobs)


def render(
    result: Report | CheckResult,
    output_format: str = "text",
    *,
    source_root: str | os.PathLike[str] | None = None,
    quiet: bool = False,
    verbose: bool = False,
    statistics: bool = False,
) -> str:
    """A report as ``fuseguard check --output-format`` writes it, in plain text.

    Args:
        result: what :func:`check` or :func:`check_files` returned.
        output_format: ``text``, ``concise``, ``json``, ``json-lines``, ``sarif``, ``junit``, ``github``,
            ``gitlab``, ``html``, ``markdown`` or, of one program, ``model-explorer``.
        source_root: the directory that source lines are relative to; None means the current one.
        quiet: leave out notices and the summary, in formats for people.
        verbose: write out every finding in the text format. Otherwise, findings with one cause are one entry.
        statistics: counts by rule instead of findings, in formats for people.

    Returns:
        The report, without colours.

    Raises:
        ValueError: there is no such format, or it is about one program and there are several.
    """
    import warnings

    from fuseguard.gate.result import of_report
    from fuseguard.report.formats import FORMATS, render_document
    from fuseguard.report.options import Options

    if output_format not in FORMATS:
        hint = nearest(output_format, FORMATS)
        text = f"{output_format!r} is not a format. {hint} Valid are {', '.join(FORMATS)}."
        raise ValueError(text.replace("  ", " "))
    rules = {rule.code: rule for rule in load_registry().rules}
    root = Path.cwd() if source_root is None else Path(source_root)
    whole = of_report(result) if isinstance(result, Report) else result
    return render_document(output_format, whole, Options(root, rules, quiet, statistics, warnings.warn, verbose))


def why_not(
    program: ExportedProgram | EdgeProgramManager | torch.fx.GraphModule | Graph | str | os.PathLike[str],
    rule: str,
    node: str,
    target: str | Target | HasTosaSpec | Sequence[str | Target | HasTosaSpec] | None = None,
    executorch: str | Sequence[str] | None = None,
    *,
    method: str | Sequence[str] | None = None,
    config: str | os.PathLike[str] | None = None,
) -> tuple[WhyNot, ...]:
    """Say which condition of a rule did not hold for a node, or that the rule reports it: ``fuseguard why-not``.

    The answer comes from a run of the rule itself: its conditions and those of the backend models that it asks, with
    their outcomes for this node. Nothing in a file is executed.

    Args:
        program: as for :func:`check`.
        rule: the code or the name of a rule.
        node: the name of an op, as in the program's graph and in findings.
        target: as for :func:`check`.
        executorch: as for :func:`check`.
        method: as for :func:`check`.
        config: as for :func:`check`.

    Returns:
        An answer for each target and for each part of the program that has such a node. ``print`` shows an answer as
        the command does.

    Raises:
        UnknownNode: the program has no such node; the text names the nearest. A ValueError.
        SelectorError: there is no such rule, or it is not about nodes. A ValueError.
        TargetError: as for :func:`check`, and so are UnreadableInput, RulePackError and ValueError.
    """
    from fuseguard.engine.why_not import rule_to_ask
    from fuseguard.engine.why_not import why_not as ask

    asked = rule_to_ask(load_registry(), rule)
    gate = _gate(target, executorch, None, None, None, None, (), None, None, None, config, None, method)
    graph, file = readers.read(program, gate.methods)
    return tuple(replace(answer, file=file) for item in gate.targets for answer in ask(asked, graph, item, node))


def _gate(
    target: str | Target | HasTosaSpec | Sequence[str | Target | HasTosaSpec] | None,
    executorch: str | Sequence[str] | None,
    policy: str | None,
    select: Sequence[str] | None,
    ignore: Sequence[str] | None,
    severity: Mapping[str, Severity | str] | None,
    suppressions: Sequence[SuppressionRule],
    baseline: str | os.PathLike[str] | None,
    fail_on: Severity | str | None,
    allow_code: Sequence[str] | None,
    config: str | os.PathLike[str] | None,
    require_quantized: bool | None,
    method: str | Sequence[str] | None,
) -> Gate:
    """The gate that the options of :func:`check` ask for."""
    from fuseguard.gate.baseline import read as read_baseline
    from fuseguard.gate.config import Config, load_config

    registry = load_registry()
    configured = Config() if config is None else load_config(Path(config), registry)
    path = configured.baseline if baseline is None else Path(baseline)
    return make_gate(
        registry,
        configured,
        targets=None if target is None else [as_target(item) for item in _several(target) or ()],
        releases=_several(executorch),
        policy=policy,
        select=select,
        ignore=ignore,
        severities={rule: Severity(level) for rule, level in (severity or {}).items()},
        suppressions=suppressions,
        fail_on=None if fail_on is None else Severity(fail_on),
        baseline=None if path is None else read_baseline(path),
        require_quantized=require_quantized,
        methods=_several(method),
        allow_code=allow_code,
    )


def _several(value: str | T | Sequence[str | T] | None) -> list[str | T] | None:
    """One or several, as a list."""
    if value is None:
        return None
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(value)
    return [value]
