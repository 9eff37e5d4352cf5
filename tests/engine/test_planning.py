"""A repair is planned once, by the engine: all that speaks of it later reads it from the finding.

Protects: a rule that is asked twice (the second answer may be another one, and costs as much), and a finding that
loses its rewrite on the way to a report.
"""

from __future__ import annotations

import copy
import pickle
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import fuseguard
from fuseguard.engine import Finding, Insert, Pair, Rewrite, Rule, run
from fuseguard.engine.fingerprint import add_fingerprints
from fuseguard.engine.registry import load_registry
from fuseguard.engine.rule_examples import faults
from fuseguard.gate.difference import Change, compare
from fuseguard.gate.targets import merge
from fuseguard.ir import Graph, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.dtype.dt508_table_codes_taken_for_floats import TableCodesAsFloats
from fuseguard_rules.examples.fusion import islands as examples
from fuseguard_rules.fusion.fu101_fused_activation_out_of_range import FusedActivationOutOfRange
from fuseguard_testkit.side_by_side import bad_examples, side_by_side

RULES = load_registry().select()
DATA = Path(__file__).parents[1] / "readers" / "data"
TARGET = Target.parse("TOSA-1.0+INT+FP", "1.5.1")
Asked = Counter[tuple[str, str, str, tuple[str, ...]]]


def counting(rules: tuple[Rule, ...], asked: Asked) -> tuple[Rule, ...]:
    """Copies of ``rules`` that count what they are asked to repair: code, target, graph and nodes."""
    return tuple(_counting(rule, asked) for rule in rules)


def _counting(rule: Rule, asked: Asked) -> Rule:
    def repair(self: Rule, view: View, target: Target, finding: Finding) -> Rewrite | None:
        asked[finding.code, str(target), finding.graph, finding.nodes] += 1
        return rule.repair(view, target, finding)

    members: dict[str, Any] = {"repair": repair} if rule.repairable else {}
    counted: Rule = type(type(rule).__name__, (type(rule),), members)()
    return counted


@pytest.fixture(scope="module")
def graph() -> Graph:
    """The bad examples of all rules in one program, so that findings meet."""
    return side_by_side(bad_examples())


def _finds(finding: Finding, target: Target) -> tuple[str, str, str, tuple[str, ...]]:
    return finding.code, str(target), finding.graph, finding.nodes


def test_a_rule_is_asked_for_a_repair_once_a_finding_and_lint(graph: Graph) -> None:
    asked: Asked = Counter()
    report = run(graph, TARGET, counting(RULES, asked))
    knows = {rule.code for rule in RULES if rule.repairable}
    assert not report.failures
    assert asked == Counter(_finds(finding, TARGET) for finding in report.findings if finding.code in knows)
    assert len(asked) > 100
    assert set(asked.values()) == {1}


def test_a_check_for_several_targets_asks_once_for_each() -> None:
    graph, asked = side_by_side([item.graph() for item in examples.OUT_OF_RANGE]), Counter[Any]()
    targets = [Target.parse(spec, "1.5.1") for spec in ("TOSA-1.0+INT", "TOSA-1.0+INT+FP")]
    reports = [run(graph, target, counting(RULES, asked)) for target in targets]
    merged = merge(reports, graph)
    assert all(finding.rewrite is not None for finding in merged.findings)
    assert set(asked.values()) == {1}
    assert {target for _, target, _, _ in asked} == set(map(str, targets))


def test_the_checks_of_a_rule_pack_ask_no_further() -> None:
    """``test-rules`` lints each example; what it says of a repair is read from the finding."""
    found, asked = Counter[str](), Counter[str]()

    class Counted(FusedActivationOutOfRange):
        def check(self, view: View, target: Target) -> Iterator[Finding]:
            for finding in super().check(view, target):
                found[str(target)] += 1
                yield finding

        def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
            asked[str(target)] += 1
            return super().repair(view, target, finding)

    assert faults(Counted(), RULES) == ()
    assert found
    assert asked == found


def test_repairable_follows_from_the_rewrite() -> None:
    (finding,) = run(examples.OUT_OF_RANGE[0].graph(), TARGET, RULES).findings
    assert finding.rewrite is not None
    assert (finding.repairable, finding.unsafe_repair) == (True, False)
    inexact = replace(finding, rewrite=replace(finding.rewrite, exact=False))
    assert (inexact.repairable, inexact.unsafe_repair) == (False, True)
    without = replace(finding, rewrite=None)
    assert (without.repairable, without.unsafe_repair) == (False, False)


def test_findings_of_two_runs_are_equal_and_hash_alike(graph: Graph) -> None:
    first, second = (run(graph, TARGET, RULES).findings for _ in range(2))
    assert first == second
    assert [hash(finding) for finding in first] == [hash(finding) for finding in second]
    finding = next(finding for finding in first if finding.rewrite is not None)
    assert finding != replace(finding, rewrite=None)


def test_a_finding_keeps_its_rewrite_through_pickle_and_copy(graph: Graph) -> None:
    """As on its way from a worker process."""
    report = run(graph, TARGET, RULES)
    assert pickle.loads(pickle.dumps(report)) == report
    assert copy.deepcopy(report) == report


def test_a_rewrite_adds_little_to_what_a_worker_process_sends(graph: Graph) -> None:
    findings = run(graph, TARGET, RULES).findings
    without = tuple(replace(finding, rewrite=None) for finding in findings)
    assert sum(finding.rewrite is not None for finding in findings) > 50
    assert len(pickle.dumps(findings)) < 1.5 * len(pickle.dumps(without))


def test_files_checked_by_two_processes_yield_the_same_findings() -> None:
    files = [DATA / f"{name}.pt2" for name in ("conv_cat", "split_add", "linear")]
    one, two = (fuseguard.check_files(files, executorch="1.5.1", jobs=jobs) for jobs in (1, 2))
    assert one.findings == two.findings
    assert any(finding.rewrite is not None for finding in two.findings)


def test_a_rewrite_is_no_part_of_a_fingerprint_or_a_difference() -> None:
    graph = examples.OUT_OF_RANGE[0].graph()
    report = run(graph, TARGET, RULES)
    other = replace(report, findings=tuple(replace(finding, rewrite=None) for finding in report.findings))
    assert {pair.change for pair in compare(report, other)} == {Change.SAME}
    view = [View(graph)]
    assert [f.fingerprint for f in add_fingerprints(other.findings, view)] == [f.fingerprint for f in report.findings]


class Broken(FusedActivationOutOfRange):
    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        raise RuntimeError("boom")


def test_a_rule_that_cannot_plan_a_repair_fails_and_its_findings_stand() -> None:
    graph = side_by_side([item.graph() for item in examples.OUT_OF_RANGE[:2]])
    whole, broken = (run(graph, TARGET, [rule]) for rule in (FusedActivationOutOfRange(), Broken()))
    assert [finding.nodes for finding in broken.findings] == [finding.nodes for finding in whole.findings]
    assert not any(finding.rewrite for finding in broken.findings)
    assert [(failure.code, failure.error) for failure in broken.failures] == [("FU101", "RuntimeError: boom")]


class Watching(TableCodesAsFloats):
    seen: tuple[str, ...] = ()

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        type(self).seen = finding.cluster
        return Rewrite((Insert(finding.nodes[0], (), (Pair(int8(1.0)),)),))


def test_a_repair_is_planned_for_the_whole_cluster() -> None:
    """With what its refusal exposes (engine/exposure.py): the rule sees the finding that the report holds."""
    qparams = int8(1 / 255.3, -128)
    b = GraphBuilder()
    value = b.requantize(b.call("aten.sigmoid.default", b.quantized_input("x", (1, 4, 8, 8), int8(0.0487, 3))), qparams)
    value = b.requantize(b.call("aten.max_pool2d.default", value, (2, 2), (2, 2), shape=(1, 4, 4, 4)), qparams)
    value = b.call("aten.avg_pool2d.default", value, (2, 2), (2, 2), shape=(1, 4, 2, 2))
    (finding,) = run(b.output(b.requantize(value, qparams)), TARGET, [Watching()]).findings
    assert {"avg_pool2d", "max_pool2d"} <= set(finding.cluster)
    assert Watching.seen == finding.cluster
