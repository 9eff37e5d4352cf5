"""BO603 where its examples do not reach, torch-free.

Protects: what a body does not tell apart is not reported, and a loop is called wrong only if a value can enter it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from fuseguard.engine import Effect
from fuseguard.ir import Graph, QParams, Ref
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_rules.boundary.bo603_control_flow_qparams_disagree import ControlFlowBoundary
from fuseguard_rules.examples.boundary import control_flow_graphs as control_flow
from fuseguard_testkit.linting import find

CF = "TOSA-1.0+INT+FP+cf"


def with_body(graph: Graph, name: str, body: Graph) -> Graph:
    named = Graph(list(body), name=name)
    return Graph(list(graph), subgraphs={**graph.subgraphs, name: named})


def identity(*, used: bool) -> Graph:
    """A branch that gives back its first operand, quantized; the second is looked at or not."""
    b = GraphBuilder()
    x, y = b.input("arg0", (2, 4, 4)), b.input("arg1", (2, 4, 4))
    value = b.requantize(x, control_flow.FIRST)
    if used:
        value = b.call("aten.add.Tensor", value, b.requantize(y, control_flow.FINE))
    return b.output(b.requantize(value, control_flow.COARSE))


@pytest.mark.parametrize("used", [True, False])
def test_an_operand_that_no_branch_reads_may_be_anything(used: bool) -> None:
    graph = control_flow.cond(control_flow.FINE)()
    for name in graph.subgraphs:
        graph = with_body(graph, name, identity(used=used))
    assert len(find(ControlFlowBoundary(), graph, CF)) == used


def test_branches_may_use_other_qparams_than_the_operands_and_results() -> None:
    """The backend puts a RESCALE at each entry and exit."""
    graph = control_flow.cond()()
    b = GraphBuilder()
    x, y = (b.requantize(b.input(f"arg{number}", (2, 4, 4)), control_flow.FINE) for number in (0, 1))
    body = b.output(b.requantize(b.call("aten.add.Tensor", x, y), control_flow.FINE))
    assert not find(ControlFlowBoundary(), with_body(graph, "true_graph_0", body), CF)


def test_without_the_extension_control_flow_stays_on_the_cpu() -> None:
    graph = control_flow.cond(control_flow.FINE)()
    assert find(ControlFlowBoundary(), graph, CF)
    assert not find(ControlFlowBoundary(), graph)


def test_a_carried_value_that_nothing_reads_after_the_loop_goes_round_as_the_body_ends_with_it() -> None:
    """Without a Q after the loop there is nothing to rescale to."""
    looped = control_flow.loop()()
    first = [node for node in looped if node.name not in ("getitem_1", "quantize_per_tensor_3", "output")]
    kept = [node for node in first if node.name != "dequantize_per_tensor_3"]
    end = replace(looped["output"], args=((Ref("dequantize_per_tensor_2"),),))
    graph = Graph([*kept, end], subgraphs=looped.subgraphs)
    assert not find(ControlFlowBoundary(), graph, CF)
    b = GraphBuilder()
    x, y = (b.requantize(b.input(f"arg{number}", (2, 4, 4)), control_flow.FIRST) for number in (0, 1))
    body = b.output(
        b.requantize(b.call("aten.add.Tensor", x, y), control_flow.FIRST),
        b.requantize(b.call("aten.abs.default", y), control_flow.COARSE),
    )
    (finding,) = find(ControlFlowBoundary(), with_body(graph, "while_body_graph_0", body), CF)
    assert "dequantize_per_tensor_1 leaves a round" in finding.message


def test_integer_operands_are_no_floats_beside_codes() -> None:
    """A loop's counter is carried along with quantized values."""
    b = GraphBuilder()
    operands = (b.quantized_input("x", (2, 4, 4), control_flow.FIRST), b.input("count", (), "int32"))
    call = b.call("higher_order.cond", b.input("predicate", (), "bool"), "true_graph_0", "false_graph_0", operands)
    graph = b.output(b.requantize(b.call("operator.getitem", call, 0), control_flow.COARSE))
    for name in ("true_graph_0", "false_graph_0"):
        graph = with_body(graph, name, identity(used=True))
    assert not find(ControlFlowBoundary(), graph, CF)


def looped(carried: QParams, after: QParams | None, entry: QParams = control_flow.FIRST) -> Graph:
    """A loop over x, read outside with FIRST and inside with ``entry``, that each round ends with ``carried``."""
    shape = (2, 4, 4)
    b = GraphBuilder()
    x = b.quantized_input("x", shape, control_flow.FIRST)
    names = ("while_cond_graph_0", "while_body_graph_0")
    call = b.call("higher_order.while_loop", *names, (x,), (), shape=shape)
    value = b.call("operator.getitem", call, 0, shape=shape)
    graph = b.output(value if after is None else b.requantize(value, after))
    b = GraphBuilder()
    value = b.requantize(b.input("arg0", shape), entry)
    body = b.output(b.requantize(b.call("aten.abs.default", value, shape=shape), carried))
    b = GraphBuilder()
    b.input("arg0", shape)
    condition = b.output(b.call("aten.full.default", (), True, shape=(), dtype="bool"))
    nodes = [replace(node, subgraphs=names) if node.name == "while_loop" else node for node in graph]
    return with_body(with_body(Graph(nodes), names[0], condition), names[1], body)


@pytest.mark.parametrize(
    ("carried", "after", "entry", "effect"),
    [
        (control_flow.FIRST, control_flow.FIRST, control_flow.FIRST, None),
        (control_flow.FIRST, None, control_flow.FIRST, None),
        (control_flow.FINER, control_flow.FIRST, control_flow.FIRST, None),
        (control_flow.FINER, control_flow.FIRST, control_flow.FINER, Effect.BOUNDED),
        (control_flow.FINER, None, control_flow.FIRST, Effect.WRONG),
        (control_flow.FIRST, control_flow.COARSE, control_flow.FIRST, Effect.WRONG),
        (control_flow.COARSE, control_flow.COARSE, control_flow.FIRST, Effect.WRONG),
        (control_flow.FIRST, int8(0.05025), control_flow.FIRST, Effect.WRONG),
    ],
)
def test_what_goes_round_is_rounded_or_wrong(
    carried: QParams, after: QParams | None, entry: QParams, effect: Effect | None
) -> None:
    """A round ends in the codes after the loop, and the next one reads them as those in front of it: 0.5 % between the
    two shrink the values in every round.
    """
    findings = find(ControlFlowBoundary(), looped(carried, after, entry), CF)
    assert [finding.effect for finding in findings] == ([] if effect is None else [effect])


def test_qparams_that_a_body_does_not_tell_apart_are_the_same_to_it() -> None:
    """Half a step at the end of the range is less than the body's own steps."""
    near = int8(0.05 * (1 + 1e-6))
    assert not find(ControlFlowBoundary(), control_flow.cond(near)(), CF)
    assert find(ControlFlowBoundary(), control_flow.cond(int8(0.0503))(), CF)


@pytest.mark.parametrize(
    "odd",
    [
        QParams.per_tensor(0.05, 0, -(2**31), 2**31 - 1, "int32"),
        QParams.per_tensor(0.0, 0, -128, 127, "int8"),
        QParams.per_tensor(float("nan"), 0, -128, 127, "int8"),
        QParams.per_tensor(float("inf"), 0, -128, 127, "int8"),
    ],
    ids=["four billion codes", "no scale", "NaN", "infinite"],
)
def test_qparams_that_cannot_be_gone_through_one_by_one_do_not_stop_the_rule(odd: QParams) -> None:
    """Files hold anything."""
    for graph in (
        looped(odd, odd),
        looped(control_flow.FIRST, odd),
        looped(control_flow.FINER, control_flow.FIRST, odd),
        control_flow.cond(odd)(),
        control_flow.cond(control_flow.FINE, odd)(),
    ):
        find(ControlFlowBoundary(), graph, CF)


@pytest.mark.parametrize(("release", "found"), [("1.2.0", True), ("1.3.1", True), ("1.4.1", False), ("1.5.1", False)])
def test_additional_inputs_that_the_body_quantizes_take_a_newer_release(release: str, found: bool) -> None:
    """One that the condition alone reads gets no qparams in the body, and the pass has nothing to stumble over."""
    graph = control_flow.loop(additional=True)()
    findings = find(ControlFlowBoundary(), graph, CF, release)
    assert [finding.effect for finding in findings] == [Effect.CRASH] * found
    b = GraphBuilder()
    x, _ = b.input("arg0", (2, 4, 4)), b.input("arg1", (2, 4, 4))
    value = b.call("aten.abs.default", b.requantize(x, control_flow.FIRST))
    body = b.output(b.requantize(value, control_flow.FIRST))
    assert not find(ControlFlowBoundary(), with_body(graph, "while_body_graph_0", body), CF, release)


def compared(kind: str, constant: str, swapped: bool, *, one_domain: bool = True) -> Graph:
    """The condition of a loop: codes of x from 0 to 127.5 against a ``constant``."""
    b = GraphBuilder()
    sums = int8(0.5, -128)
    x = b.requantize(b.input("arg0", (2, 4, 4)), sums)
    b.input("arg1", (2, 4, 4))
    name, *value = constant.split()
    made = b.call(f"aten.{name}.default", (1,), *map(float, value), shape=(1,))
    bound = b.requantize(made, sums if one_domain else int8(0.25, -128))
    sides = (bound, x) if swapped else (x, bound)
    less = b.call(f"aten.{kind}.Tensor", *sides, shape=(1, 1, 1), dtype="bool")
    return b.output(b.call("aten.squeeze.default", less, shape=(), dtype="bool"))


@pytest.mark.parametrize(
    ("kind", "constant", "swapped", "never"),
    [
        ("gt", "full 127.5", False, True),
        ("gt", "full 300", False, True),  # clamped to 127.5 like x
        ("gt", "full 127", False, False),
        ("lt", "full 0", False, True),
        ("lt", "zeros", False, True),
        ("lt", "ones", False, False),
        ("lt", "full 300", False, False),
        ("gt", "zeros", True, True),
        ("lt", "full 300", True, True),
        ("ge", "full 300", False, False),  # met by what is clamped too
        ("eq", "zeros", False, False),
    ],
)
def test_a_loop_whose_condition_no_code_meets_runs_no_round(
    kind: str, constant: str, swapped: bool, never: bool
) -> None:
    """Arm's own test_while.py has two: calibrated on values that do not enter them, with idle qparams in the body."""
    graph = control_flow.loop(inside=control_flow.COARSE)()
    graph = with_body(graph, "while_cond_graph_0", compared(kind, constant, swapped))
    assert [item.effect for item in find(ControlFlowBoundary(), graph, CF)] == [Effect.WRONG] * (not never)


def test_codes_of_two_domains_are_compared_with_a_rounding_and_prove_nothing() -> None:
    graph = control_flow.loop(inside=control_flow.COARSE)()
    condition = compared("gt", "full 300", False, one_domain=False)
    assert find(ControlFlowBoundary(), with_body(graph, "while_cond_graph_0", condition), CF)


def test_a_loop_that_no_value_enters_crashes_all_the_same_where_lowering_does() -> None:
    graph = control_flow.loop(second=control_flow.FINE, limit=0.0)()
    (finding,) = find(ControlFlowBoundary(), graph, CF, "1.2.0")
    assert finding.effect is Effect.CRASH
    (finding,) = find(ControlFlowBoundary(), graph, CF, "1.5.1")
    assert "is returned unchanged" in finding.message  # y is read after the loop with the first operand's qparams
