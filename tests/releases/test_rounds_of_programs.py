"""The torch-free rewriting of the tests does what the real one does, so that what tests/rules/test_repair_rounds.py
says of thousands of small graphs holds of programs.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]

pytest.importorskip("executorch")

from fuseguard.engine import Example, Finding, Rule  # noqa: E402
from fuseguard.engine.example_cases import repair_policy  # noqa: E402
from fuseguard.engine.rounds import Repair  # noqa: E402
from fuseguard.executorch import repair  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.ir import Graph  # noqa: E402
from fuseguard.readers.fx import read_program  # noqa: E402
from fuseguard.target import Target  # noqa: E402
from fuseguard_testkit.graph_rewriting import repair_graph  # noqa: E402
from fuseguard_testkit.repair_cases import EXAMPLES, PROFILES, SELECTED, SHORT  # noqa: E402

CASES = [
    pytest.param(
        rule,
        example,
        example.spec(SHORT.get(number, PROFILES[number % 2])),
        id=f"{rule.code}-{example.title}",
        marks=[] if number in SHORT else [pytest.mark.thorough],
    )
    for number, (rule, example) in enumerate(EXAMPLES)
]


@pytest.mark.parametrize(("rule", "example", "spec"), CASES)
def test_a_small_graph_is_rewritten_as_the_program_is(rule: Rule, example: Example, spec: str) -> None:
    program, _ = materialize(example.graph())
    policy = repair_policy(rule)
    result = repair(program, spec, policy)
    graph, applied, report = repair_graph(read_program(program), Target.parse(spec), SELECTED, policy)
    assert _told(applied) == _told(result.applied)
    assert _named(report.findings) == _named(result.remaining)
    assert _shape(graph) == _shape(read_program(result.program))


def _told(repairs: Sequence[Repair]) -> list[tuple[str, str, int]]:
    return [(item.finding.code, item.finding.fingerprint, len(item.rewrite.edits)) for item in repairs]


def _named(findings: Sequence[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.code, finding.fingerprint, finding.effect.value) for finding in findings]


def _shape(graph: Graph) -> list[tuple[object, ...]]:
    """Every node without its name: what it is, reads and yields, in an order that both graphs have."""
    found: list[tuple[object, ...]] = []
    for body in graph.walk():
        for node in body:
            reads = tuple(sorted(body[ref.name].target or body[ref.name].op for ref in node.refs()))
            literals = tuple(str(arg) for arg in node.args if not node.refs() or "name=" not in str(arg))
            found.append((body.name, node.op, node.target, node.outputs, node.annotated, reads, literals))
    return sorted(found, key=str)
