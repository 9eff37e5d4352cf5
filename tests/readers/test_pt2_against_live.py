"""A file must give the graph that the live program gives, or lint and plug-in would name different islands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from make_fixtures import programs

from fuseguard.ir import Graph, Node
from fuseguard.readers.pt2 import read_pt2

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def live_programs() -> dict[str, Any]:
    return programs()


def comparable(node: Node) -> dict[str, Any]:
    """What both readers can know. torch.export.save writes no metadata for placeholders and the output node."""
    fields: dict[str, Any] = {
        "name": node.name, "op": node.op, "target": node.target, "kind": node.kind, "args": node.args,
        "kwargs": dict(node.kwargs), "outputs": node.outputs, "constant": node.constant, "index": node.index,
        "subgraphs": node.subgraphs, "dim_orders": [output.dim_order for output in node.outputs],
    }  # fmt: skip
    if node.op == "call":
        fields |= {
            "stack": node.stack, "module": node.module, "module_type": node.module_type, "annotated": node.annotated,
        }  # fmt: skip
    return fields


NAMES = ("conv_cat", "linear", "split", "split_add", "cond", "loop", "arguments", "conv_cat_edge")


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_live_program_give_the_same_graph(name: str, live_programs: dict[str, Any], tmp_path: Path) -> None:
    import torch

    from fuseguard.readers.fx import read_program

    program = live_programs[name]
    path = tmp_path / f"{name}.pt2"
    torch.export.save(program, path)
    live, saved = list(read_program(program).walk()), list(read_pt2(path).walk())
    assert [(graph.name, graph.dialect, len(graph)) for graph in saved] == [
        (graph.name, graph.dialect, len(graph)) for graph in live
    ]
    for expected, found in zip(live, saved, strict=True):
        assert [comparable(node) for node in found] == [comparable(node) for node in expected]
        assert found.buffers == expected.buffers
        assert_same_views(expected, found)


def assert_same_views(expected: Graph, found: Graph) -> None:
    assert list(found.subgraphs) == list(expected.subgraphs)
    for node in expected:
        assert [user.name for user in found.users(found[node.name])] == [user.name for user in expected.users(node)]


def test_failed_save_of_a_lowered_program_is_named(live_programs: dict[str, Any], tmp_path: Path) -> None:
    """torch.export.save raises on a delegate and leaves a file without a program behind."""
    import torch
    from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec
    from executorch.backends.arm.tosa.partitioner import TOSAPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from torch._export.serde.serialize import SerializeError

    from fuseguard.readers.errors import UnreadableInput

    partitioner = TOSAPartitioner(TosaCompileSpec("TOSA-1.0+INT"))
    lowered = to_edge_transform_and_lower(live_programs["linear"], partitioner=[partitioner]).exported_program()
    path = tmp_path / "lowered.pt2"
    with pytest.raises(SerializeError):
        torch.export.save(lowered, path)
    with pytest.raises(UnreadableInput, match=r"models/\*\.json.*fails on a lowered program"):
        read_pt2(path)
