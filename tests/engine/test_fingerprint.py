"""Fingerprints: what must not change them, what must, and that no two findings of a report share one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuseguard.engine import Finding, run
from fuseguard.engine.fingerprint import VERSION, fingerprint
from fuseguard.engine.registry import load_registry
from fuseguard.ir import Graph, Node, Ref
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import Arg, SourceLine
from fuseguard.readers.pt2 import read_pt2
from fuseguard.target import Target
from fuseguard_testkit.paths import DATA

REGISTRY = load_registry()
RULES = REGISTRY.rules
TARGET = Target.parse("TOSA-1.0+INT+FP", "1.5.1")
BAD = [(f"{rule.code} {example.title}", example) for rule in RULES for example in rule.bad]
LINE = SourceLine("/build/7/src/net.py", 42, "forward", "h = torch.relu(self.conv(x))")


def check(graph: Graph, target: Target = TARGET) -> tuple[Finding, ...]:
    return run(graph, target, RULES).findings


def prints(findings: Sequence[Finding]) -> list[str]:
    return [finding.fingerprint for finding in findings]


# --- making programs ----------------------------------------------------------------------------------------


def island(
    b: GraphBuilder,
    x: str,
    zero_point: int = -17,
    source: SourceLine | None = LINE,
    module: str = "",
    step: float = 0.05,
) -> str:
    """conv2d -> relu on the DQ ``x``; FU101 for every zero point but -128."""
    weight = b.quantized_constant("w", (4, 4, 3, 3))
    bias = b.quantized_constant("bias", (4,), 0.0005, "int32")
    conv = b.call(
        "aten.conv2d.default", x, weight, bias, (1, 1), (1, 1), shape=(1, 4, 8, 8), source=source, module=module
    )
    return b.requantize(b.call("aten.relu.default", conv, source=source, module=module), int8(step, zero_point))


def network(*layers: dict[str, Any], in_front: Callable[[GraphBuilder, str], str] | None = None) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 8, 8), int8(0.05, 3))
    if in_front is not None:
        x = in_front(b, x)
    for layer in layers:
        x = island(b, x, **layer)
    return b.output(x)


def transformed(graph: Graph, name: Callable[[str], str], node: Callable[[Node], Node] = lambda n: n) -> Graph:
    """The program with other node names, and every node passed through ``node``."""

    def arg(value: Arg) -> Arg:
        if isinstance(value, Ref):
            return Ref(name(value.name))
        if isinstance(value, tuple):
            return tuple(arg(part) for part in value)
        return value

    nodes = [
        replace(node(n), name=name(n.name), args=arg(n.args), kwargs={k: arg(v) for k, v in n.kwargs.items()})
        for n in graph
    ]
    buffers = {name(key): values for key, values in graph.buffers.items()}
    bodies = {key: transformed(body, name, node) for key, body in graph.subgraphs.items()}
    return Graph(nodes, dialect=graph.dialect, name=graph.name, buffers=buffers, subgraphs=bodies)


# --- what must not change a fingerprint ---------------------------------------------------------------------


@given(st.sampled_from(BAD), st.integers(0, 2**16))
@settings(max_examples=150, deadline=None)
def test_renumbered_nodes_keep_every_fingerprint(named: tuple[str, Any], salt: int) -> None:
    """torch.export numbers nodes again whenever one is added anywhere."""
    example = named[1]
    graph = example.graph()
    names = {n.name: f"node_{(number * 7919 + salt) % 100003}" for number, n in enumerate(graph)}
    # Placeholders are the caller's own names.
    names.update({n.name: n.name for n in graph if n.op == "placeholder"})
    target = Target.parse(example.spec("TOSA-1.0+INT+FP"), "1.5.1")
    before, after = check(graph, target), check(transformed(graph, lambda name: names.get(name, name)), target)
    assert prints(before) == prints(after)


@given(st.floats(0.001, 2.0), st.integers(-100, 100))
def test_another_calibration_keeps_the_fingerprint(scale: float, zero_point: int) -> None:
    before = network({"zero_point": -17})
    after = network({"zero_point": zero_point, "step": scale})
    [found] = [finding for finding in check(after) if finding.code == "FU101"]
    assert found.fingerprint in prints(check(before))


@pytest.mark.parametrize("named", BAD, ids=[name for name, _ in BAD])
def test_another_calibration_renames_no_rules_finding(named: tuple[str, Any]) -> None:
    """Every rule's examples with all scales changed: a finding of the same nodes keeps its name."""
    example = named[1]
    target = Target.parse(example.spec("TOSA-1.0+INT+FP"), "1.5.1")
    changed = []

    def recalibrated(node: Node) -> Node:
        if node.kind in ("quantize", "dequantize") and isinstance(node.args[1], float):
            changed.append(node.name)
            return replace(node, args=(node.args[0], node.args[1] * 1.37, *node.args[2:]))
        return node

    graph = example.graph()
    after = transformed(graph, lambda name: name, recalibrated)
    assert changed or not any(node.kind in ("quantize", "dequantize") for node in graph)
    found, again = (
        {(finding.code, finding.graph, finding.nodes): finding.fingerprint for finding in check(program, target)}
        for program in (graph, after)
    )
    both = found.keys() & again.keys()
    assert {place: again[place] for place in both} == {place: found[place] for place in both}
    assert len(both) >= len(found) / 2, "else this test looks at nothing"


@pytest.mark.parametrize("source", [LINE, None], ids=["traced", "without stack traces"])
def test_an_unrelated_layer_keeps_the_fingerprints_of_all_others(source: SourceLine | None) -> None:
    def pool(b: GraphBuilder, x: str) -> str:
        line = SourceLine("/build/7/src/net.py", 40, "forward", "x = self.pool(x)")
        return b.requantize(b.call("aten.max_pool2d.default", x, (1, 1), source=line, module="pool"), int8(0.05, 3))

    layers = ({"module": "one", "source": source}, {"module": "two", "source": source})
    plain, with_pool = check(network(*layers)), check(network(*layers, in_front=pool))
    assert len(plain) == 2
    assert prints(with_pool) == prints(plain)


def test_a_layer_more_in_a_sequential_renames_none_of_those_after_it() -> None:
    def sigmoid(b: GraphBuilder, x: str) -> str:
        line = replace(LINE, code="return self.layers(x)")
        return b.requantize(b.call("aten.sigmoid.default", x, source=line, module="net.layers.0"), int8(1 / 256, -128))

    before = check(network({"module": "net.layers.0"}, {"module": "net.layers.2"}))
    after = check(network({"module": "net.layers.1"}, {"module": "net.layers.3"}, in_front=sigmoid))
    assert [f.fingerprint for f in after if f.code == "FU101"] == prints(before)
    assert len(set(prints(before))) == 2
    assert prints(check(network({"module": "net.layer1"}))) != prints(check(network({"module": "net.layer2"})))


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(LINE, line=97),
        replace(LINE, file="/home/somebody/checkout/net.py"),
        replace(LINE, file="C:\\src\\net.py"),
        replace(LINE, code="   h = torch.relu( self.conv(x))".replace("( ", "(")),
    ],
    ids=["line moved", "other machine", "windows", "indented"],
)
def test_the_same_code_at_another_line_or_on_another_machine_is_the_same(elsewhere: SourceLine) -> None:
    assert prints(check(network({"source": elsewhere}))) == prints(check(network({"source": LINE})))


def test_the_generated_code_between_the_users_lines_does_not_count() -> None:
    """torch.cond leaves frames of <eval_with_key>.415, with node names in their text, innermost on the stack."""

    def through(number: int) -> list[str]:
        generated = SourceLine(f"<eval_with_key>.{number}", 6, "forward", f"relu = torch.relu(l_args_{number})")
        graph = transformed(
            network({"source": LINE}), lambda n: n, lambda n: replace(n, stack=(*n.stack, generated) if n.stack else ())
        )
        findings = check(graph)
        assert findings[0].source == LINE
        return prints(findings)

    assert through(415) == through(17) == prints(check(network({"source": LINE})))


def test_a_notebook_cell_is_another_file_in_every_run() -> None:
    cells = [replace(LINE, file=f"{tempfile.gettempdir()}/ipykernel_{run}/{run * 77}.py") for run in (1, 2)]
    first, second = (prints(check(network({"source": cell}))) for cell in cells)
    assert first == second


def test_control_flow_bodies_are_numbered_anew_too() -> None:
    def inside(body_name: str) -> Graph:
        program = network({"source": None})
        body = Graph(list(program), name=body_name, buffers=program.buffers)
        meta = program["x"].outputs
        nodes = [
            Node("x", "placeholder", outputs=meta),
            Node("cond", "call", "higher_order.cond", (True, body_name, (Ref("x"),)), subgraphs=(body_name,)),
            Node("output", "output", args=((Ref("cond"),),)),
        ]
        return Graph(nodes, subgraphs={body_name: body})

    first, other, top = check(inside("true_graph_0")), check(inside("true_graph_3")), check(network({"source": None}))
    fault = [finding.fingerprint for finding in first if finding.code == "FU101"]
    assert fault == [finding.fingerprint for finding in other if finding.code == "FU101"] != []
    assert fault != prints(top), "in a branch is another place than at the top"


@pytest.mark.parametrize("named", BAD, ids=[name for name, _ in BAD])
def test_targets_and_releases_have_one_fingerprint(named: tuple[str, Any]) -> None:
    """Or no report could put them side by side."""
    example = named[1]
    by_target = []
    for release in ("1.2.0", "1.5.1"):
        target = Target.parse(example.spec("TOSA-1.0+INT+FP"), release)
        by_target.append({(f.code, f.nodes[0]): f.fingerprint for f in check(example.graph(), target)})
    for place in by_target[0].keys() & by_target[1].keys():
        assert by_target[0][place] == by_target[1][place]


def test_the_edge_dialect_has_the_fingerprints_of_the_aten_program() -> None:
    """As torch.export and to_edge wrote them: other names, other operators, other placeholders."""
    aten, edge = (check(read_pt2(DATA / f"{name}.pt2")) for name in ("conv_cat", "conv_cat_edge"))
    assert [f.code for f in aten] == ["FU101"]
    assert aten[0].nodes != edge[0].nodes
    assert prints(aten) == prints(edge)


# --- what must change it ------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", BAD, ids=[name for name, _ in BAD])
def test_no_two_findings_share_a_fingerprint(named: tuple[str, Any]) -> None:
    example = named[1]
    found = prints(check(example.graph(), Target.parse(example.spec("TOSA-1.0+INT+FP"), "1.5.1")))
    assert len(set(found)) == len(found)
    assert all(item.startswith(f"{VERSION}:") and len(item) == len(VERSION) + 17 for item in found)


@pytest.mark.parametrize(
    "other",
    [
        {"module": "second"},
        {"source": replace(LINE, code="h = F.relu(self.conv(x))")},
        {"source": replace(LINE, function="forward_head")},
        {"source": replace(LINE, file="head.py")},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_place_is_another_finding(other: dict[str, Any]) -> None:
    [there] = prints(check(network({"module": "first", **other})))
    assert there not in prints(check(network({"module": "first"})))


def test_mending_one_of_several_equal_places_renames_no_other() -> None:
    """A loop over layers runs one source line; a baseline must not take the third for the second."""
    bad, good = {"zero_point": -17}, {"zero_point": -128}
    first, second, third = prints(check(network(bad, bad, bad)))
    assert prints(check(network(bad, good, bad))) == [first, third]
    assert prints(check(network(good, good, bad))) == [third]
    assert len({first, second, third}) == 3


def test_without_names_of_modules_and_lines_the_neighbours_tell_places_apart() -> None:
    bare: dict[str, Any] = {"source": None}

    def sigmoid(b: GraphBuilder, x: str) -> str:
        return b.requantize(b.call("aten.sigmoid.default", x), int8(1 / 256, -128))

    [after_input] = [f.fingerprint for f in check(network(bare)) if f.code == "FU101"]
    [after_sigmoid] = [f.fingerprint for f in check(network(bare, in_front=sigmoid)) if f.code == "FU101"]
    assert after_input != after_sigmoid


def test_the_algorithm_is_pinned() -> None:
    """Fingerprints are kept in people's baselines: whoever changes one of these raises VERSION."""
    assert fingerprint("FU101", ("", "conv", "Conv2d", 0)) == "fg1:5cf5734d419cd130"
    assert prints(check(network({"module": "conv"}))) == ["fg1:37d5adcef6ddece5"]
    assert fingerprint("FU101", ("\ud800",)).startswith("fg1:"), "names come from files by strangers"
