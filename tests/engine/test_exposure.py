"""What only a refusal breaks is refused with it: half a remedy must not make the fault it should prevent."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.engine import Finding, run
from fuseguard.engine.registry import load_registry
from fuseguard.ir import Graph, Node, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.dtype.dt508_table_codes_taken_for_floats import TableCodesAsFloats

TARGET = Target.parse("TOSA-1.0+INT+FP", "1.5.1")
RULES = load_registry().rules
QPARAMS = int8(1 / 255.3, -128)


def pooled_twice() -> Graph:
    """A sigmoid, a max pool that hands on its codes, and the average pool that cannot be lowered."""
    b = GraphBuilder()
    value = b.quantized_input("x", (1, 4, 8, 8), int8(0.0487, 3))
    value = b.requantize(b.call("aten.sigmoid.default", value), QPARAMS)
    value = b.requantize(b.call("aten.max_pool2d.default", value, (2, 2), (2, 2), shape=(1, 4, 4, 4)), QPARAMS)
    return b.output(b.requantize(b.call("aten.avg_pool2d.default", value, (2, 2), (2, 2), shape=(1, 4, 2, 2)), QPARAMS))


def half_through_a_refused_linear() -> Graph:
    """A split whose halves meet again, one of them through a linear that DT508 refuses."""
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 8, 4), QPARAMS)
    halves = b.call("aten.split.Tensor", x, 4, 1, shape=(1, 8, 4))
    first, second = (b.call("operator.getitem", halves, part, shape=(1, 4, 4)) for part in (0, 1))
    table = b.requantize(b.call("aten.tanh.default", b.requantize(first, QPARAMS), shape=(1, 4, 4)), QPARAMS)
    weight = b.quantized_constant("weight", (4, 4), 0.0103)
    linear = b.requantize(b.call("aten.linear.default", table, weight, None, shape=(1, 4, 4)), QPARAMS)
    return b.output(linear, b.requantize(second, QPARAMS))


def found(graph: Graph, code: str) -> Finding:
    report = run(graph, TARGET, RULES)
    assert not report.failures
    return next(finding for finding in report.findings if finding.code == code)


def test_a_pool_that_ends_a_delegate_since_its_reader_is_refused_is_refused_too() -> None:
    finding = found(pooled_twice(), "DT508")
    assert finding.nodes == ("avg_pool2d",)
    assert {"avg_pool2d", "max_pool2d"} <= set(finding.cluster)


def test_a_split_that_a_refusal_tears_is_refused_too() -> None:
    finding = found(half_through_a_refused_linear(), "DT508")
    assert finding.nodes == ("linear",)
    assert {"linear", "split", "getitem", "getitem_1"} <= set(finding.cluster)


def test_nothing_is_exposed_where_nothing_is_refused() -> None:
    report = run(pooled_twice(), Target.parse("TOSA-1.0+INT", "1.2.0"), RULES, "measured")
    assert not report.refused()


def test_a_rule_that_cannot_say_what_is_exposed_is_a_failure_and_not_an_end() -> None:
    class Broken(TableCodesAsFloats):
        def exposed(self, view: View, target: Target, refused: frozenset[str]) -> Iterator[tuple[Node, Node]]:
            raise RuntimeError("no answer")

    report = run(pooled_twice(), TARGET, [Broken()])
    assert [failure.code for failure in report.failures] == ["DT508"]
    assert [finding.code for finding in report.findings] == ["DT508"]
