"""A lint's work grows with the program, not with its square: function calls are counted, not seconds.

Protects: what a rule asks of the whole graph must be asked once, not once a finding (a repair is asked for each).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from fuseguard.engine import Rule, load_registry
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_testkit.lint_work import function_calls, growth, lines_run
from fuseguard_testkit.side_by_side import first_bad_examples, repeated

RULES = load_registry().rules
OP724 = next(rule for rule in RULES if rule.code == "OP724")
QPARAMS = int8(0.05, -17)
SHAPE = (1, 4, 8, 8)
#: Copies of an example, in ``growth``. The counts are exact, so that few copies tell.
COPIES = 3
#: Every rule is at 1 exactly, but for sets whose order differs from one process to another.
AT_MOST = 1.01


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """What is looked up once in a process must not count."""
    function_calls(gated(2))


@pytest.mark.parametrize("most", [1, pytest.param(None, marks=pytest.mark.thorough)], ids=["first", "all"])
@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.bad], ids=lambda rule: rule.code)
def test_as_many_findings_as_copies_cost_as_many_times_the_work(rule: Rule, most: int | None) -> None:
    for example in rule.bad[:most]:
        graph = example.graph()
        assert growth(function_calls, partial(repeated, [graph]), COPIES) < AT_MOST, example.title


@pytest.mark.parametrize("most", [2, pytest.param(None, marks=pytest.mark.thorough)], ids=["first", "all"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_no_loop_runs_over_the_whole_graph_for_each_finding(rule: Rule, most: int | None) -> None:
    """A comprehension is one call, however long: BO605 took seconds where it found nothing. So lines are counted."""
    target = Target.parse("TOSA-1.0+INT", "1.5.1")

    def work(graph: Graph) -> int:
        return lines_run(graph, [rule], target)

    for example in (*rule.bad[:most], *rule.good[:most]):
        graph = example.graph()
        assert growth(work, partial(repeated, [graph]), COPIES) < AT_MOST, example.title


def test_all_findings_at_once_cost_as_many_times_the_work() -> None:
    """Also what is asked once a lint, of all findings together: fingerprints, and what refusals expose."""
    assert growth(function_calls, partial(repeated, first_bad_examples()), 1) < AT_MOST


def split_in(parts: int) -> Graph:
    b = GraphBuilder()
    split = b.call("aten.split.Tensor", b.quantized_input("x", (1, parts, 8, 8), QPARAMS), 1, 1)
    halves = [b.call("operator.getitem", split, number, shape=(1, 1, 8, 8)) for number in range(parts)]
    return b.output(*(b.requantize(half, QPARAMS) for half in halves))


def gated(blocks: int) -> Graph:
    """A chain in which every block reads the one before twice, as residual networks do."""
    b = GraphBuilder()
    value = b.quantized_input("x", SHAPE, QPARAMS)
    for _ in range(blocks):
        gate = b.requantize(b.call("aten.tanh.default", value, shape=SHAPE), QPARAMS)
        value = b.requantize(b.call("aten.add.Tensor", value, gate, shape=SHAPE), QPARAMS)
    return b.output(value)


def chosen(blocks: int) -> Graph:
    b = GraphBuilder()
    mask, other = b.input("mask", SHAPE, "bool"), b.quantized_input("y", SHAPE, QPARAMS)
    value = b.requantize(b.call("aten.sigmoid.default", b.quantized_input("x", SHAPE, QPARAMS), shape=SHAPE), QPARAMS)
    for _ in range(blocks):
        value = b.requantize(b.call("aten.where.self", mask, value, other, shape=SHAPE), QPARAMS)
    return b.output(value)


def joined(inputs: int) -> Graph:
    b = GraphBuilder()
    values = tuple(b.quantized_input(f"x{number}", SHAPE, QPARAMS) for number in range(inputs))
    return b.output(b.requantize(b.call("aten.cat.default", values, 1, shape=(1, 4 * inputs, 8, 8)), QPARAMS))


def moved(ops: int) -> Graph:
    b = GraphBuilder()
    value = b.requantize(b.call("aten.tanh.default", b.quantized_input("x", SHAPE, QPARAMS), shape=SHAPE), QPARAMS)
    for _ in range(ops):
        value = b.requantize(b.call("aten.permute.default", value, (0, 1, 3, 2), shape=SHAPE), QPARAMS)
    return b.output(value)


@pytest.mark.parametrize("program", [split_in, gated, chosen, joined, moved], ids=lambda program: program.__name__)
def test_long_and_wide_programs(program: object) -> None:
    assert callable(program)
    small, large = program(100), program(400)
    assert function_calls(large) < function_calls(small) * 4.2  # a square would make sixteen of it


def constants_of_one_value(count: int, chained: bool) -> Graph:
    """Constants in the shape of one value, or each in the shape of the one before."""
    b = GraphBuilder()
    value = b.quantized_input("x", SHAPE, QPARAMS)
    values = []
    for _ in range(count):
        values.append(b.requantize(b.call("aten.ones_like.default", value, shape=SHAPE), QPARAMS))
        value = values[-1] if chained else value
    return b.output(*(values[-1:] if chained else values))


def rolls_of_one_value(count: int) -> Graph:
    """Ops on the CPU that read one value, each of which leaves a delegate."""
    b = GraphBuilder()
    value = b.quantized_input("x", SHAPE, QPARAMS)
    rolls = (b.call("aten.roll.default", value, (1,), (2,), shape=SHAPE) for _ in range(count))
    return b.output(*(b.requantize(roll, QPARAMS) for roll in rolls))


def clones_of_one_value(count: int) -> Graph:
    """Results of a delegate that are one of its inputs."""
    b = GraphBuilder()
    value = b.quantized_input("x", SHAPE, QPARAMS)
    clones = [b.requantize(b.call("aten.clone.default", value), QPARAMS) for _ in range(count)]
    return b.output(*clones, b.requantize(b.call("aten.neg.default", value), QPARAMS))


def test_a_repair_of_one_finding_does_not_look_for_all_others() -> None:
    """OP724 searched the whole program again for the repair of each of its findings."""
    target = Target.parse("ethos-u85-256", "1.5.1")
    few, many = (lines_run(clones_of_one_value(count), [OP724], target) for count in (40, 80))
    assert many < 2.1 * few


@pytest.mark.parametrize(
    "graph",
    [partial(constants_of_one_value, chained=False), partial(constants_of_one_value, chained=True), rolls_of_one_value],
    ids=["constants of one value", "constants in a row", "ops on the CPU"],
)
@pytest.mark.parametrize("spec", ["TOSA-1.0+INT", "vgf"])
def test_many_readers_of_one_value_cost_no_more_than_their_number(graph: Callable[[int], Graph], spec: str) -> None:
    """OP713 asked about all readers of the value for each of them: 1,500 constants took 11 s, in a row 20 s."""
    target = Target.parse(spec, "1.5.1")
    few, many = (lines_run(graph(count), RULES, target) for count in (40, 80))
    assert many < 2.1 * few
