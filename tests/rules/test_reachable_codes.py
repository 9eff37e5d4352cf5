"""Which codes a program reaches decides whether a table is right, and the finding says which. Torch-free."""

from __future__ import annotations

import pytest

from fuseguard.engine import Finding, Fold, Rule, run
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8, int16
from fuseguard.target import Target
from fuseguard_rules.dtype.dt503_lookup_table_width import LookupTable
from fuseguard_rules.dtype.dt506_interpolated_table import InterpolatedTable
from fuseguard_rules.examples.dtype import softmax_graphs as graphs
from fuseguard_rules.qdomain.qd201_duplicate_consumers_merged import DuplicateConsumersMerged
from fuseguard_rules.qparams.qp306_amplified_rounding import AmplifiedRounding
from fuseguard_testkit.graph_rewriting import repair_graph

TARGET = Target.parse("TOSA-1.0+INT+int16", "1.5.1")
FLOOR = 2.0**-12


def found(rule: type[Rule], graph: Graph, policy: str = "consistent") -> list[Finding]:
    report = run(graph, TARGET, [rule()], policy)
    assert not report.failures
    return list(report.findings)


def test_the_reciprocal_and_exp_of_a_softmax_are_left_alone() -> None:
    """The guard cut trained networks into several delegates for these."""
    assert not found(LookupTable, graphs.plain())


def test_a_masked_softmax_is_reported_with_the_codes_that_it_reaches() -> None:
    (finding,) = found(LookupTable, graphs.masked())
    assert finding.nodes == ("exp",)
    assert finding.message.endswith("(codes -32767..0 of -32767..32767 are reachable)")


@pytest.mark.parametrize(("least", "rule"), [(1e-4, LookupTable), (0.3, InterpolatedTable)])
def test_a_table_of_a_stored_variance_is_judged_by_the_values_and_stored(least: float, rule: type[Rule]) -> None:
    (finding,) = found(rule, graphs.normalized((least, 2.0), FLOOR)())
    assert f"(codes {round(least / FLOOR)}..8192 of -32767..32767 are reachable)" in finding.message
    assert finding.repairable
    assert finding.rewrite is not None
    assert [type(edit) for edit in finding.rewrite.edits] == [Fold]


@pytest.mark.parametrize("policy", ["consistent", "bit-exact"])
def test_what_is_stored_is_found_fault_with_no_more(policy: str) -> None:
    repaired, applied, report = repair_graph(
        graphs.tiny_variances(), TARGET, [LookupTable(), InterpolatedTable()], policy
    )
    assert len(applied) == 1
    assert not report.findings
    assert "rsqrt" not in {node.kind for node in repaired}


def test_a_variance_without_values_is_judged_by_its_qparams() -> None:
    """A file that holds no weights, or a partitioner without the program."""
    graph = graphs.ordinary_variances()
    nameless = Graph(list(graph), dialect=graph.dialect)
    (finding,) = found(LookupTable, nameless)
    assert "(codes -32767..32767" not in finding.message


def test_a_variance_that_the_program_writes_to_is_none_of_its_constants() -> None:
    b = GraphBuilder()
    data = int16(FLOOR)
    variance = b.stored_constant("variance", (4,), data, [4096] * 4)
    value = b.requantize(b.call("aten.rsqrt.default", variance), data)
    b.call("aten.copy_.default", "variance", b.quantize(value, data), dtype="int16")
    graph = b.output(value)
    findings = found(LookupTable, graph)
    assert all(finding.rewrite is None for finding in findings)


def test_twins_whose_codes_differ_where_values_are_are_reported() -> None:
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 8), int8(0.05))
    halves = [b.requantize(b.call("aten.sigmoid.default", x), qparams) for qparams in (int8(0.005), int8(0.005, 1))]
    (finding,) = found(DuplicateConsumersMerged, b.output(*halves))
    assert "(codes 0..127 of -128..127 are reachable)" in finding.message


@pytest.mark.parametrize(("codes", "said"), [(3.0, "up to 10 %"), (0.4, "any amount"), (9.0, "")])
def test_roundings_that_an_rsqrt_amplifies(codes: float, said: str) -> None:
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 8), int8(0.01, -128))
    out = int8((codes * 0.01) ** -0.5 / 255, -128)
    findings = found(AmplifiedRounding, b.output(b.requantize(b.call("aten.rsqrt.default", x), out)))
    assert [finding.message.rpartition(" by ")[2] for finding in findings] == ([said] if said else [])
    assert not any(finding.refuse for finding in findings)
