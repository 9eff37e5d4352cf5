"""``fuseguard.check``: the Python API, with the same options as ``fuseguard check``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fuseguard.engine.finding import Severity
from fuseguard.engine.gate import make_gate
from fuseguard.engine.registry import load_registry
from fuseguard.engine.run import Report
from fuseguard.engine.suppress import SuppressionRule
from fuseguard.ir.graph import Graph
from fuseguard.target import Target

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram


T = TypeVar("T", bound=Target)


def check(
    program: ExportedProgram | torch.fx.GraphModule | Graph | str | os.PathLike[str],
    target: str | Target | Sequence[str | Target] | None = None,
    executorch: str | Sequence[str] | None = None,
    policy: str | None = None,
    select: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
    *,
    severity: Mapping[str, Severity | str] | None = None,
    suppressions: Sequence[SuppressionRule] = (),
    baseline: str | os.PathLike[str] | None = None,
    fail_on: Severity | str | None = None,
    config: str | os.PathLike[str] | None = None,
) -> Report:
    """Check a program for one target or several.

    Args:
        program: a live ``ExportedProgram`` or ``GraphModule`` in ATen or edge dialect, a :class:`Graph`, or the
            path of a ``.pt2`` file. It is never changed, and nothing in a file is executed.
        target: a TOSA specification (``TOSA-1.0+INT``) or an accelerator (``vgf``, ``ethos-u55-128``), or several;
            ``all`` is one of each kind. None means ``TOSA-1.0+INT+FP``.
        executorch: the release to check for, or several, for every target in turn; ``all`` are those measured. None
            means the installed one, else the newest measured.
        policy: ``consistent`` (the default), ``measured`` or ``bit-exact``: which findings the plug-in would refuse.
        select, ignore: rule codes, prefixes or names.
        severity: severities by code, prefix or name, in the place of the effects'.
        suppressions: what not to report. Suppressed findings are in ``report.suppressed``.
        baseline: a file made by ``fuseguard baseline``; what it knows is in ``report.suppressed`` as well.
        fail_on: the least severity for which ``report.ok`` is False; None means error.
        config: a ``fuseguard.toml`` or ``pyproject.toml``; it says what the arguments above do not. None means none:
            unlike the command line, this function looks for no configuration.

    Raises:
        TargetError: the target or release is not valid.
        UnreadableInput: the file cannot be read or is refused.
        RulePackError: an installed rule pack is broken.
        ValueError: an unknown policy, selector or severity, a suppression that is refused (SuppressionError), a
            configuration (ConfigError) or baseline (BaselineError) that cannot be used.
    """
    from fuseguard.engine.baseline import read as read_baseline
    from fuseguard.engine.config import Config, load_config

    registry = load_registry()
    configured = Config() if config is None else load_config(Path(config), registry)
    path = configured.baseline if baseline is None else Path(baseline)
    gate = make_gate(
        registry,
        configured,
        targets=_several(target),
        releases=_several(executorch),
        policy=policy,
        select=select,
        ignore=ignore,
        severities={rule: Severity(level) for rule, level in (severity or {}).items()},
        suppressions=suppressions,
        fail_on=None if fail_on is None else Severity(fail_on),
        baseline=None if path is None else read_baseline(path),
    )
    graph, file = read(program)
    report = gate.check(graph, file)
    return replace(report, findings=(*report.findings, *gate.upkeep({file: report})), fail_on=gate.fail_on)


def _several(value: str | T | Sequence[str | T] | None) -> list[str | T] | None:
    """One or several, as a list."""
    if value is None:
        return None
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(value)
    return [value]


def read(program: ExportedProgram | torch.fx.GraphModule | Graph | str | os.PathLike[str]) -> tuple[Graph, str]:
    """The graph of a program and its file name ("" for a live one). Raises UnreadableInput, TypeError."""
    if isinstance(program, Graph):
        return program, ""
    if isinstance(program, str | os.PathLike):
        from fuseguard.readers.pt2 import read_pt2

        return read_pt2(Path(program)), str(program)
    from fuseguard.readers.fx import read_program  # imports torch, which a caller with a live program has

    return read_program(program), ""
