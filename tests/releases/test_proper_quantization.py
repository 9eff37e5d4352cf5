"""The model of CheckArmQuantized and CheckProperQuantization against the classes of the installed backend.

Protects: a release that changes what an INT-only backend asks of an op's quantization is noticed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]

pytest.importorskip("executorch")

import torch  # noqa: E402
from executorch.backends.arm.operator_support import tosa_supported_operators as backend  # noqa: E402
from executorch.backends.arm.operator_support.tosa_profile_supported_op_lists import (  # noqa: E402
    TOSA_PRO_FP_SupportList,
    TOSA_PRO_INT_SupportList,
)
from executorch.backends.arm.tosa.partitioner import TOSAPartitioner  # noqa: E402
from executorch.exir import to_edge_transform_and_lower  # noqa: E402
from executorch.exir.backend.utils import WhyNoPartitionReporter  # noqa: E402
from torch.export import ExportedProgram  # noqa: E402

from fuseguard.backend.proper_quantization import Refusal, improper, is_annotated, is_targeted, is_unlisted, refusal  # noqa: E402
from fuseguard.executorch.lowering import compile_spec_for  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.ir import Graph, Node, View  # noqa: E402
from fuseguard.ir.graph import canonical_target  # noqa: E402
from fuseguard.readers.fx import read_program  # noqa: E402
from fuseguard.target import Target  # noqa: E402
from fuseguard_testkit.proper_quantization_cases import Case, cases, fused_graph  # noqa: E402

TARGET = Target.parse("TOSA-1.0+INT")
SPEC = compile_spec_for(TARGET)
#: Ops that the edge dialect makes others of before a list is asked.
DECOMPOSED = {
    "aten.celu.default", "aten.conv_transpose2d.input", "aten.floor_divide.default", "aten.glu.default",
    "aten.max_pool2d.default", "aten.selu.default", "aten.slice_scatter.default",
}  # fmt: skip
WHY = {
    Refusal.FLOAT_INPUT: "One or more inputs were not quantized.",
    Refusal.FLOAT_OUTPUT: "One or more outputs were not quantized.",
    Refusal.SYMBOLIC_INPUT: "Symbolic scalar inputs cannot be delegated.",
    None: "",
}


def name(op: Any) -> str:
    return canonical_target(str(getattr(op, "_op", op)))


def nodes(ops: Any) -> Iterator[Node]:
    targets = {name(op) for op in ops} - DECOMPOSED
    yield from (Node("op", "call", target) for target in targets if target.startswith("aten."))


class Reporter(WhyNoPartitionReporter):
    """Keeps the last reason."""

    why = ""

    def report_reject(self, node: torch.fx.Node, reason: str) -> None:
        self.why = reason


class Captured(Exception):
    pass


def edge_program(program: ExportedProgram) -> ExportedProgram:
    """The program that the partitioner is given."""
    partitioner = TOSAPartitioner(SPEC)
    seen: list[ExportedProgram] = []

    def partition(exported_program: ExportedProgram) -> None:
        seen.append(exported_program)
        raise Captured

    partitioner.partition = partition
    with pytest.raises(Captured):
        to_edge_transform_and_lower(program, partitioner=[partitioner])
    return seen[0]


def test_the_targeted_ops_are_those_of_the_installed_backend() -> None:
    registered = {op for check in backend.get_registered_tosa_support_checks(SPEC.tosa_spec) for op in check.targets}
    targeted = set(backend.CheckProperQuantization.targeted_ops)
    integer = TOSA_PRO_INT_SupportList | registered
    for node in nodes(TOSA_PRO_FP_SupportList | integer | targeted):
        assert is_targeted(node, TARGET) == (node.target in {name(op) for op in targeted}), node.target
    for node in nodes(TOSA_PRO_FP_SupportList | integer):
        assert is_unlisted(node, TARGET) == (node.target not in {name(op) for op in integer}), node.target


def compare(graph: Graph) -> dict[str, bool]:
    """Each node of the edge program against both checks; whether the backend supports it, by its target."""
    edge = edge_program(materialize(graph)[0])
    read = read_program(edge)
    view, reporter = View(read), Reporter()
    annotated, proper = backend.CheckArmQuantized(reporter), backend.CheckProperQuantization(reporter)
    support = backend.tosa_support_factory(SPEC.tosa_spec, edge, Reporter())
    supported: dict[str, bool] = {}
    for fx_node in edge.graph_module.graph.nodes:
        node = read[fx_node.name]
        if node.op != "call" or view.is_q(node) or view.is_dq(node):
            continue
        assert is_annotated(view, node) == annotated.is_node_supported({}, fx_node), node.target
        reporter.why = ""
        proper.is_node_supported({}, fx_node)
        assert WHY[improper(view, node, TARGET)] == reporter.why, node.target
        supported[node.target] = support.is_node_supported({}, fx_node)
        assert supported[node.target] == (refusal(view, node, TARGET) is None), node.target
    return supported


@pytest.mark.parametrize("case", cases(), ids=str)
def test_the_model_says_what_the_installed_backend_says(case: Case) -> None:
    supported = compare(case.graph())
    listed = not case.op.since or TARGET.release_in(f">={case.op.since}")
    others = {"aten.permute_copy.default", "aten.unsqueeze_copy.default", "operator.getitem"}
    taken = all(is_supported for target, is_supported in supported.items() if target not in others)
    assert taken == (case.expected(listed) is None), supported


@pytest.mark.parametrize(("activation", "bounds"), [("relu", ()), ("hardtanh", (0.0, 2.0)), ("hardtanh", (-1.0, 5.0))])
@pytest.mark.parametrize("zero_point", [-128, 3])
@pytest.mark.parametrize("anchor", ["conv2d", "mm"])
def test_activations_are_fused_where_the_installed_backend_fuses_them(
    activation: str, bounds: tuple[float, ...], zero_point: int, anchor: str
) -> None:
    compare(fused_graph(activation, zero_point, *bounds, anchor=anchor))
