"""Helpers for your own tests: assert that a model can be lowered, and that a rule of yours is complete and right.

The pytest plug-in of this package (``fuseguard.pytest_plugin``) gives :func:`assert_lowerable` as a fixture, with
defaults from pytest's configuration.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

    from fuseguard.engine.finding import Severity
    from fuseguard.engine.rule import Rule
    from fuseguard.engine.run import Report
    from fuseguard.gate.suppress import SuppressionRule
    from fuseguard.ir.graph import Graph
    from fuseguard.target import HasTosaSpec, Target

__all__ = ["assert_lowerable", "assert_rule"]


def assert_lowerable(
    program: ExportedProgram | torch.fx.GraphModule | Graph | str | os.PathLike[str],
    target: str | Target | HasTosaSpec | Sequence[str | Target | HasTosaSpec] | None = None,
    executorch: str | Sequence[str] | None = None,
    *,
    policy: str | None = None,
    select: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
    severity: Mapping[str, Severity | str] | None = None,
    suppressions: Sequence[SuppressionRule] = (),
    baseline: str | os.PathLike[str] | None = None,
    fail_on: Severity | str | None = None,
    require_quantized: bool | None = None,
    method: str | Sequence[str] | None = None,
    allow_code: Sequence[str] | None = None,
    config: str | os.PathLike[str] | None = None,
) -> Report:
    """Fail a test, with the report as its message, if fuseguard finds fault with ``program``.

    The options are those of :func:`fuseguard.check`; ``program`` may be the path of a ``.pt2`` file, for which no torch
    is needed, and nothing in it is executed. ``fail_on`` is the mildest severity to fail for, ``error`` unless said
    otherwise.

    Returns:
        The report, in which milder findings, suppressed ones and notices are.

    Raises:
        AssertionError: a finding at or above ``fail_on``, or a rule that failed and so found nothing.
        TargetError: the target or release is not valid.
        UnreadableInput: the file cannot be read or is refused.
        RulePackError: an installed rule pack is broken.
        ValueError: an unknown policy, selector or severity, or a suppression, configuration or baseline that cannot be
            used.
    """
    __tracebackhide__ = True  # pytest then shows the line of the test
    from fuseguard import api

    report = api.check(
        program, target, executorch, policy, select, ignore, severity=severity, suppressions=suppressions,
        baseline=baseline, fail_on=fail_on, require_quantized=require_quantized, method=method, allow_code=allow_code,
        config=config,
    )  # fmt: skip
    if not report.ok:
        raise AssertionError("not lowerable as it is\n" + api.render(report))
    return report


def assert_rule(rule: Rule | type[Rule], beside: Iterable[Rule] | None = None) -> None:
    """Fail a test if a rule does not hold against its own examples; the same as ``fuseguard test-rules``.

    ``beside`` are the rules that run together with it; None means those that are installed.

    Raises:
        AssertionError: something is wrong with the rule; the message lists all of it.
        RulePackError: it is not a complete rule at all, or an installed rule pack is broken.
    """
    __tracebackhide__ = True
    from types import SimpleNamespace

    from fuseguard.engine.registry import load_registry, make_pack
    from fuseguard.engine.rule import INTERFACE
    from fuseguard.engine.rule_examples import faults

    (checked,) = make_pack("under test", "", SimpleNamespace(INTERFACE=INTERFACE, RULES=(rule,))).rules
    found = faults(checked, load_registry().select() if beside is None else beside)
    if found:
        raise AssertionError("\n".join(str(fault) for fault in found))
