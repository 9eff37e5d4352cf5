"""Plans the repair of every finding, once: reports, guard and repair read it from the finding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import perf_counter

from fuseguard.engine.finding import Finding
from fuseguard.engine.isolation import RuleTimeout, time_limit
from fuseguard.engine.rule import Rule
from fuseguard.ir.ops import Trait
from fuseguard.ir.value import replace
from fuseguard.ir.view import View
from fuseguard.target import Target


def plan_repairs(
    view: View,
    target: Target,
    rules: Iterable[Rule],
    findings: Sequence[Finding],
    seconds: dict[str, float],
    rule_seconds: float | None = None,
) -> tuple[list[Finding], dict[str, BaseException]]:
    """``findings`` of one graph with their ``rewrite`` set; and by code what rules raised that could not plan one.

    Each rule is asked once about each of its findings. What that takes is added to ``seconds``, by code;
    ``rule_seconds`` limits each plan. A rule that took longer is not asked again.
    """
    by_code = {rule.code: rule for rule in rules if rule.repairable}
    planned = []
    failed: dict[str, BaseException] = {}
    for finding in findings:
        rewrite = None
        rule = by_code.get(finding.code)
        if rule is not None and not isinstance(failed.get(rule.code), RuleTimeout):
            started = perf_counter()
            try:
                with time_limit(rule_seconds):
                    rewrite = rule.repair(view, target, finding) if _is_rewritten(view, finding) else None
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # the finding stays, with or without a repair
                failed.setdefault(rule.code, error)
            seconds[rule.code] += perf_counter() - started
        planned.append(finding if rewrite is None else replace(finding, rewrite=rewrite))
    return planned, failed


def _is_rewritten(view: View, finding: Finding) -> bool:
    """Whether a finding's cluster is rewritten where its rule knows how: all but anchors in control-flow bodies.

    Their weights are operands of the body, and no release lowers a convolution whose weights are (RewriteConvPass:
    "unsupported param type"). As it is, the guard keeps it off the accelerator. Repaired, it would be accepted, and
    lowering would crash.
    """
    return not finding.graph or not any(view.graph[name].info.has(Trait.MAC) for name in finding.cluster)
