"""No rule raises on a malformed graph: a file may call any op with any arguments, and with results of any type.

The examples of all rules, each with the arguments of one op dropped, swapped or retyped, or with other results.
What a rule raised would be reported as its failure, so that nothing passes; but it would also hide what the rule finds
in the rest of the program. Random choices have fixed seeds, so that a failure repeats.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from fuseguard.engine import Example, Rule
from fuseguard.engine.registry import load_registry
from fuseguard.gate.config import Config
from fuseguard.gate.gate import Gate, make_gate
from fuseguard.ir import Graph
from fuseguard.ir.graph import Arg, Node, Ref, TensorMeta

REGISTRY = load_registry()
TARGETS = (("TOSA-1.0+INT", "1.5.1"), ("TOSA-1.0+INT+FP", "1.2.0"))
#: Mutants of one example in the ordinary run; each takes some milliseconds.
MUTANTS = 4
LITERALS: tuple[Arg, ...] = (
    None, True, False, 0, 1, -1, 2, 2**63, -(2**63), 0.5, -1.5, 1e308, float("nan"), float("inf"), "", "int8", "x",
    (), (1,), (-1, 0), (None,), ("x",), (1.5, 2), (2**40, 2**40), ((),), ((1, 2), (3,)),
)  # fmt: skip
METAS = (
    (), (TensorMeta("int8", ()),), (TensorMeta("float32", (0,)),), (TensorMeta("dtype77", (None, None)),),
    (TensorMeta("float32", (2**62, 2**62)),), (TensorMeta("int64", (-1, 3)),), (TensorMeta("bool", (1,) * 64),),
    (TensorMeta("float32", (1, 2)), TensorMeta("int8", (4,))),
)  # fmt: skip
Mutation = Callable[[Node, list[str], random.Random], Node]


def _arguments(node: Node, args: list[Arg]) -> Node:
    return replace(node, args=tuple(args))


def drop(node: Node, before: list[str], rng: random.Random) -> Node:
    """Without one argument, which moves the others, or without all from one on."""
    if node.kwargs and rng.random() < 0.3:
        gone = rng.choice(list(node.kwargs))
        return replace(node, kwargs={name: value for name, value in node.kwargs.items() if name != gone})
    args = list(node.args)
    if args:
        at = rng.randrange(len(args))
        del args[at : None if rng.random() < 0.5 else at + 1]
    return _arguments(node, args)


def swap(node: Node, before: list[str], rng: random.Random) -> Node:
    args = list(node.args)
    if len(args) > 1:
        first, second = rng.sample(range(len(args)), 2)
        args[first], args[second] = args[second], args[first]
    return _arguments(node, args)


def retype(node: Node, before: list[str], rng: random.Random) -> Node:
    """Another literal or another node in the place of an argument, or of an item of one."""
    value: Arg = Ref(rng.choice(before)) if before and rng.random() < 0.3 else rng.choice(LITERALS)
    if node.kwargs and rng.random() < 0.3:
        return replace(node, kwargs={**node.kwargs, rng.choice(list(node.kwargs)): value})
    args = list(node.args)
    if not args:
        return _arguments(node, [value])
    at = rng.randrange(len(args))
    item = args[at]
    if isinstance(item, tuple) and item and rng.random() < 0.5:
        inner = list(item)
        inner[rng.randrange(len(inner))] = value
        value = tuple(inner)
    args[at] = value
    return _arguments(node, args)


def add(node: Node, before: list[str], rng: random.Random) -> Node:
    if rng.random() < 0.5:
        name = rng.choice(["dim", "other", "alpha", "dtype", "keepdim", "x"])
        return replace(node, kwargs={**node.kwargs, name: rng.choice(LITERALS)})
    return _arguments(node, [*node.args, rng.choice(LITERALS)])


def results(node: Node, before: list[str], rng: random.Random) -> Node:
    return replace(node, outputs=rng.choice(METAS))


MUTATIONS: tuple[Mutation, ...] = (drop, swap, retype, add, results)


def mutated(graph: Graph, rng: random.Random, mutation: Mutation | None = None) -> Graph:
    """The graph with one node changed, in a control-flow body or at the top."""
    bodies = [body for body in graph.walk() if any(node.op != "output" for node in body)]
    chosen = rng.choice(bodies)
    return _rebuilt(graph, chosen, rng, mutation or rng.choice(MUTATIONS))


def _rebuilt(graph: Graph, chosen: Graph, rng: random.Random, mutation: Mutation) -> Graph:
    nodes = list(graph)
    if graph is chosen:
        at = rng.choice([number for number, node in enumerate(nodes) if node.op != "output"])
        nodes[at] = mutation(nodes[at], [node.name for node in nodes[:at]], rng)
    return Graph(
        nodes, dialect=graph.dialect, name=graph.name, buffers=graph.buffers,
        subgraphs={name: _rebuilt(body, chosen, rng, mutation) for name, body in graph.subgraphs.items()},
        mutations=graph.mutations, functionalized=graph.functionalized, delegate=graph.delegate,
    )  # fmt: skip


def failures(graph: Graph, gate: Gate) -> list[str]:
    report = gate.check(graph, "m.pt2")
    return [f"{failure.code}: {failure.error}" for failure in report.failures]


@pytest.fixture(scope="module")
def gates() -> list[Gate]:
    config = Config()
    return [make_gate(REGISTRY, config, targets=[spec], releases=[release]) for spec, release in TARGETS]


def examples(rule: Rule) -> Iterator[Example]:
    yield from rule.bad
    yield from rule.good


def run_mutants(rule: Rule, gates: list[Gate], number: int, seed: str = "") -> list[str]:
    found = []
    for example in examples(rule):
        rng = random.Random(f"{seed}{rule.code}{example.title}")
        graph = example.graph()
        for index in range(number):
            mutant = mutated(graph, rng)
            found += [f"{example.title} #{index}: {item}" for item in failures(mutant, gates[index % len(gates)])]
    return found


@pytest.mark.parametrize("rule", REGISTRY.rules, ids=lambda rule: rule.code)
def test_no_rule_raises_on_a_malformed_example(rule: Rule, gates: list[Gate]) -> None:
    assert run_mutants(rule, gates, MUTANTS) == []


@pytest.mark.parametrize("code", ["DT501", "OP701", "DT508", "DT509"])
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_rules_that_once_raised(code: str, mutation: Mutation, gates: list[Gate]) -> None:
    rule = REGISTRY.get(code)
    assert rule is not None
    rng = random.Random(code)
    for example in examples(rule):
        graph = example.graph()
        for index in range(10):
            assert failures(mutated(graph, rng, mutation), gates[index % 2]) == []


def test_most_mutants_differ() -> None:
    """A mutation that changes nothing would show nothing."""
    rng = random.Random(1)
    rule = REGISTRY.get("FU101")
    assert rule is not None
    graph = rule.bad[0].graph()
    changed = sum(list(mutated(graph, rng)) != list(graph) for _ in range(200))
    assert changed > 150
