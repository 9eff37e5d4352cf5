"""OP727 where its examples do not reach, torch-free. Protects: what counts as a way to rescale a convolution."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fuseguard.engine import Effect, run
from fuseguard.engine.finding import Finding
from fuseguard.ir import Graph
from fuseguard.target import ACCELERATORS, Target, as_target
from fuseguard_rules.examples.operator.op727 import _graph
from fuseguard_rules.operator.op727_int16_conv_branches_on_u55 import Int16ConvBranchesOnU55
from fuseguard_testkit.graph_rewriting import repair_graph

RULE = Int16ConvBranchesOnU55()


def found(graph: Graph, target: str = "ethos-u55-128", release: str = "1.5.1") -> tuple[Finding, ...]:
    return run(graph, Target.parse(target, release), (RULE,)).findings


@pytest.mark.parametrize(
    ("readers", "refused"),
    [
        # What Vela 5.1.0 did with each of them for ethos-u55-128, lowered with 1.5.1.
        (("add.Tensor", "conv"), True),
        (("add.Tensor", "returned"), True),
        (("sub.Tensor", "add.Tensor"), True),
        (("maximum.default", "add.Tensor"), True),
        (("abs", "maximum.default"), True),
        (("gt.Tensor", "add.Tensor"), True),
        (("gt.Tensor", "maximum.default"), True),
        (("sub.Tensor", "sub.Tensor", "returned"), True),
        (("gt.Tensor", "conv"), False),
        (("gt.Tensor", "gt.Tensor"), False),
        (("abs", "abs"), False),
        (("add.Tensor", "add.Tensor"), False),
        (("add.Tensor",), False),
        (("maximum.default",), False),
        (("conv", "returned"), False),
    ],
)
def test_each_int32_reader_is_a_way_and_all_others_are_one(readers: tuple[str, ...], refused: bool) -> None:
    """No comparison runs on a U55, so that it reads the convolution's codes."""
    findings = found(_graph(*readers)())
    assert [finding.effect for finding in findings] == [Effect.CRASH] * refused


@pytest.mark.parametrize("target", ["ethos-u85-256", "vgf", "TOSA-1.0+INT+int16"])
def test_no_other_target_has_the_fault(target: str) -> None:
    assert found(_graph("add.Tensor", "conv")(), target) == ()


def test_a_u65_has_the_fault_too() -> None:
    assert found(_graph("add.Tensor", "conv")(), "ethos-u65-256")


@pytest.mark.parametrize(("release", "refused"), [("1.5.0", True), ("1.4.1", False)])
def test_before_1_5_the_convolution_has_no_branches(release: str, refused: bool) -> None:
    assert bool(found(_graph("add.Tensor", "conv")(), release=release)) is refused


def test_the_repair_leaves_one_way() -> None:
    graph, target = _graph("add.Tensor", "maximum.default")(), Target.parse("ethos-u55-128")
    _, applied, remaining = repair_graph(graph, target, (RULE,))
    assert len(applied) == 1
    assert not remaining.findings


class EthosUCompileSpec:
    """Stands for the backend's own."""

    def __init__(self, accelerator: str, spec: str) -> None:
        self.tosa_spec = spec
        self.compiler_flags = [f"--accelerator-config={accelerator}", "--config=Arm/vela.ini"]


class EthosUPartitioner:
    """Stands for the backend's own, which keeps no compile spec before 1.5."""

    def __init__(self, compile_spec: EthosUCompileSpec) -> None:
        self.tosa_spec = compile_spec.tosa_spec
        flags = SimpleNamespace(key="compile_flags", value=" ".join(compile_spec.compiler_flags).encode())
        other = SimpleNamespace(key="output_format", value=b"vela")
        self.delegation_spec = SimpleNamespace(compile_specs=[other, flags])


@pytest.mark.parametrize("accelerator", ["ethos-u55-128", "ethos-u85-256"])
def test_a_compile_spec_and_a_partitioner_are_for_their_accelerator(accelerator: str) -> None:
    """They were TOSA's with the same specification, so that the guard of an EthosUPartitioner knew no rule about it."""
    for text in (ACCELERATORS[accelerator], "TOSA-1.0+INT"):
        spec = EthosUCompileSpec(accelerator, text)
        for value in (spec, EthosUPartitioner(spec)):
            found = as_target(value)
            if isinstance(found, Target):
                assert (found.accelerator, found.spec) == (accelerator, "TOSA-1.0+INT")
            else:
                assert found == accelerator
                assert spec.tosa_spec == ACCELERATORS[accelerator]
