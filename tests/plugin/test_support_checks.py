"""The plug-in as the backend's partitioners use it."""

from __future__ import annotations

import copy
import random

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")

import torch  # noqa: E402
from executorch.backends.arm.ethosu import EthosUCompileSpec, EthosUPartitioner  # noqa: E402
from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec  # noqa: E402
from executorch.backends.arm.tosa.partitioner import TOSAPartitioner  # noqa: E402
from executorch.backends.arm.vgf import VgfCompileSpec, VgfPartitioner  # noqa: E402
from executorch.exir import to_edge_transform_and_lower  # noqa: E402
from torch.fx.passes.operator_support import OperatorSupportBase  # noqa: E402

import fuseguard  # noqa: E402
from fuseguard.engine import Rule  # noqa: E402
from fuseguard.engine.registry import Registry, RulePack  # noqa: E402
from fuseguard.executorch import guard, prove, report_of, support_checks  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.ir.builder import GraphBuilder, int8  # noqa: E402
from fuseguard_rules.examples.fusion import islands as examples  # noqa: E402

PROFILES = ("TOSA-1.0+INT+FP", "TOSA-1.0+INT")
BROKEN = examples.OUT_OF_RANGE[0]  # conv2d -> relu into a cat with a signed branch
CLEAN = examples.IN_RANGE[0]  # conv2d -> relu alone


class EdgeGraphOf(OperatorSupportBase):
    """Refuses everything and keeps the edge graph that the partitioner was given."""

    def __init__(self) -> None:
        self.graphs: list[torch.fx.Graph] = []

    def is_node_supported(self, submodules, node) -> bool:
        if node.graph not in self.graphs:
            self.graphs.append(node.graph)
        return False


def edge_module(example, spec: str = PROFILES[0]) -> torch.fx.GraphModule:
    """The edge graph as a partitioner's check sees it, in a module of its own."""
    probe = EdgeGraphOf()
    program, _ = materialize(example.graph())
    compile_spec = TosaCompileSpec(spec)
    to_edge_transform_and_lower(program, partitioner=[TOSAPartitioner(compile_spec, additional_checks=[probe])])
    graph = probe.graphs[0]
    assert graph.owning_module is not None
    return copy.deepcopy(graph.owning_module)


@pytest.fixture(scope="module")
def broken_edge() -> torch.fx.GraphModule:
    return edge_module(BROKEN)


def refused(checks, module: torch.fx.GraphModule, order=None) -> set[str]:
    nodes = [node for node in module.graph.nodes if node.op == "call_function"]
    if order is not None:
        order.shuffle(nodes)
    return {node.name for node in nodes if not all(check.is_node_supported({}, node) for check in checks)}


def test_each_check_is_a_class_named_after_its_rule() -> None:
    """The backend reports a reject by class name alone."""
    names = [type(check).__name__ for check in support_checks(PROFILES[0])]
    assert "FU101_fused_activation_out_of_range" in names
    assert len(set(names)) == len(names)


def test_the_backends_own_report_names_the_rule(caplog) -> None:
    program, _ = materialize(BROKEN.graph())
    partitioner = guard(TOSAPartitioner(TosaCompileSpec(PROFILES[0])))
    with caplog.at_level("INFO", logger="executorch.backends.arm.tosa.partitioner"):
        to_edge_transform_and_lower(program, partitioner=[partitioner])
    assert "FU101_fused_activation_out_of_range" in caplog.text


def test_anchor_activation_and_private_dqs_are_refused_together(broken_edge) -> None:
    """Refusing half of the pair makes the crash that the guard should prevent."""
    names = refused(support_checks(PROFILES[0]), broken_edge)
    kinds = {node.name: str(node.target) for node in broken_edge.graph.nodes}
    targets = sorted(kinds[name] for name in names)
    assert sum("convolution" in target for target in targets) == 1
    assert sum("relu" in target for target in targets) == 1
    assert sum("dequantize" in target for target in targets) == 3
    assert not any("cat" in target or ".quantize_per" in target for target in targets)


def test_the_order_of_questions_does_not_matter(broken_edge) -> None:
    expected = refused(support_checks(PROFILES[0]), broken_edge)
    assert expected
    for seed in range(5):
        assert refused(support_checks(PROFILES[0]), broken_edge, random.Random(seed)) == expected


def test_int_and_int_fp_refuse_the_same_nodes(broken_edge) -> None:
    assert refused(support_checks(PROFILES[0]), broken_edge) == refused(support_checks(PROFILES[1]), broken_edge)


def test_one_analysis_serves_all_questions_about_a_graph(broken_edge) -> None:
    checks = support_checks(PROFILES[0])
    refused(checks, broken_edge)
    refused(checks, broken_edge)
    assert len(report_of(checks).analyses) == 1


def test_a_changed_graph_is_analysed_again(broken_edge) -> None:
    """Same checks, same graph object, other qparams: the first verdict must not stick."""
    module = copy.deepcopy(broken_edge)
    checks = support_checks(PROFILES[0])
    assert refused(checks, module)
    for node in module.graph.nodes:
        if "quantize_per_tensor" in str(node.target) and node.args[2] == examples.SIGNED.zero_point:
            node.args = (*node.args[:2], -128, *node.args[3:])
    assert not refused(checks, module)
    assert len(report_of(checks).analyses) == 2


def test_the_report_of_a_partitioner_is_that_of_its_checks(broken_edge) -> None:
    """report_of(partitioner) ended in "'TOSAPartitioner' object is not iterable"."""
    partitioner = TOSAPartitioner(TosaCompileSpec(PROFILES[0]))
    with pytest.raises(ValueError, match=r"this TOSAPartitioner is not guarded.*guard\(partitioner\) before lowering"):
        report_of(partitioner)
    guard(partitioner)
    assert refused(partitioner.additional_checks, broken_edge)
    assert report_of(partitioner) is partitioner.fuseguard_report
    assert report_of(partitioner).findings
    with pytest.raises(ValueError, match="not made by"):
        report_of([])
    with pytest.raises(TypeError, match=r"takes a guarded partitioner or the checks .* not int"):
        report_of(1)


class Raises(Rule):
    code = "XX999"
    name = "always-raises"
    summary = why = remedy = message = "test"
    scope = "node"
    effects = examples_ = bad = good = ()  # type: ignore[assignment]

    def check(self, view, target):
        raise RuntimeError("boom")


def _only_the_broken_rule() -> Registry:
    return Registry([RulePack("test", "0", (Raises(),))])


@pytest.mark.parametrize("strict", [False, True])
def test_an_internal_error_never_reaches_the_lowering(broken_edge, monkeypatch, strict) -> None:
    """The default accepts what could not be checked, strict refuses it; both say so in the report."""
    monkeypatch.setattr("fuseguard.executorch.partition.load_registry", _only_the_broken_rule)
    checks = support_checks(PROFILES[0], strict=strict)
    names = refused(checks, broken_edge)
    assert bool(names) is strict
    assert any("boom" in text for _, text in report_of(checks).errors)


def test_an_unreadable_graph_never_reaches_the_lowering(broken_edge, monkeypatch) -> None:
    def explode(*args: object) -> None:
        raise ValueError("cannot read")

    monkeypatch.setattr("fuseguard.executorch.partition.read_graph_module", explode)
    checks = support_checks(PROFILES[0])
    assert refused(checks, broken_edge) == set()
    assert any("cannot read" in text for _, text in report_of(checks).errors)


def test_the_report_keeps_every_reason() -> None:
    program, _ = materialize(BROKEN.graph())
    partitioner = guard(TOSAPartitioner(TosaCompileSpec(PROFILES[0])))
    to_edge_transform_and_lower(program, partitioner=[partitioner])
    report = partitioner.fuseguard_report
    assert {code for codes in report.refused.values() for code in codes} == {"FU101"}
    assert "FU101" in str(report)
    assert report.to_dict()["findings"][0]["cluster"]


def test_guarding_keeps_other_checks_and_does_not_pile_up() -> None:
    probe = EdgeGraphOf()
    partitioner = TOSAPartitioner(TosaCompileSpec(PROFILES[0]), additional_checks=[probe])
    once = len(guard(partitioner).additional_checks)
    assert len(guard(partitioner).additional_checks) == once
    assert partitioner.additional_checks[0] is probe


def test_guard_refuses_what_is_no_arm_partitioner() -> None:
    with pytest.raises(TypeError, match="TOSAPartitioner"):
        guard(object())


@pytest.mark.parametrize(
    ("partitioner", "spec"),
    [
        (TOSAPartitioner, lambda: TosaCompileSpec("TOSA-1.0+INT")),
        (VgfPartitioner, lambda: VgfCompileSpec()),
        (EthosUPartitioner, lambda: EthosUCompileSpec("ethos-u55-128")),
        (EthosUPartitioner, lambda: EthosUCompileSpec("ethos-u85-256")),
    ],
    ids=["tosa", "vgf", "u55", "u85"],
)
def test_every_arm_partitioner_refuses_the_island(partitioner, spec) -> None:
    """Tagging is enough to see; what the Vela or VGF compiler does afterwards is not the plug-in's."""
    from executorch.exir import to_edge

    program, _ = materialize(BROKEN.graph())
    edge = to_edge(program).exported_program()
    guarded = guard(partitioner(spec()))
    tagged = guarded.partition(edge).tagged_exported_program
    tags = {node.name: node.meta.get("delegation_tag") for node in tagged.graph.nodes}
    assert guarded.fuseguard_report.refused
    assert all(tags.get(name) is None for name in guarded.fuseguard_report.refused)
    assert any(tag is not None for tag in tags.values()), "the rest must stay delegated"


@pytest.mark.parametrize("profile", PROFILES)
def test_on_a_clean_program_the_guard_changes_nothing(profile) -> None:
    program, inputs = materialize(CLEAN.graph())
    assert prove(program, inputs, profile).delegated == prove(program, inputs, profile, checks="guard").delegated


@pytest.mark.parametrize("example", [BROKEN, examples.OUT_OF_RANGE[6], examples.STRANDED[1]], ids=lambda e: e.title)
def test_file_live_and_edge_name_the_same_islands(example, tmp_path) -> None:
    """Lint and plug-in must agree, or a green lint says nothing about the lowering."""
    program, _ = materialize(example.graph())
    path = tmp_path / "model.pt2"
    torch.export.save(program, path)
    from_file = fuseguard.check(path, PROFILES[0])
    live = fuseguard.check(program, PROFILES[0])
    edge = fuseguard.check(edge_module(example), PROFILES[0])
    islands = [{(f.code, f.island_key) for f in report.findings} for report in (from_file, live, edge)]
    assert islands[0] == islands[1] == islands[2]
    assert islands[0]


def test_a_live_program_is_not_changed_by_a_check() -> None:
    program, _ = materialize(BROKEN.graph())
    before = program.graph_module.code, [dict(node.meta) for node in program.graph.nodes]
    fuseguard.check(program, PROFILES[0])
    assert (program.graph_module.code, [dict(node.meta) for node in program.graph.nodes]) == before


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("target", ["aten.add.Tensor", "aten.mul.Tensor", "aten.cat.default"])
def test_a_dq_shared_with_the_island_is_not_torn_from_its_other_reader(target, profile) -> None:
    """Hand-made or deduplicated graphs: guarded lowering crashed, and with a sigmoid it was silently wrong."""
    b = GraphBuilder()
    shape = (1, 4, 8, 8)
    x = b.quantized_input("x", shape, int8(0.0487, 3))
    w = b.quantized_constant("weight", (4, 4, 3, 3), 0.01031)
    table = b.call("aten.sigmoid.default", x)
    relu = b.call("aten.relu.default", b.call("aten.conv2d.default", x, w, None, (1, 1), (1, 1)))
    island = b.requantize(relu, examples.SIGNED)
    if target == "aten.cat.default":
        joined = b.call(target, (island, b.requantize(x, examples.SIGNED)), 1, shape=(1, 8, 8, 8))
    else:
        joined = b.call(target, island, x)
    graph = b.output(b.requantize(joined, examples.SIGNED), b.requantize(table, int8(1 / 255.7, -128)))
    program, inputs = materialize(graph)
    assert prove(program, inputs, profile, checks="guard").ok
