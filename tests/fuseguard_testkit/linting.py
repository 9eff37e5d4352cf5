"""What one rule finds in a program."""

from __future__ import annotations

from fuseguard.engine import Finding, Rule, run
from fuseguard.ir import Graph
from fuseguard.target import Target


def find(rule: Rule, graph: Graph, spec: str = "TOSA-1.0+INT+FP", release: str = "1.5.1") -> tuple[Finding, ...]:
    """The findings of ``rule`` alone, which must not fail."""
    report = run(graph, Target.parse(spec, release), [rule])
    assert not report.failures
    return report.findings
