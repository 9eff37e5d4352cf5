"""What the backend's own partitioner does with a program, before anything is compiled. Needs torch and executorch."""

from __future__ import annotations

from typing import Any

from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec
from executorch.backends.arm.tosa.partitioner import TOSAPartitioner
from executorch.exir import to_edge_transform_and_lower
from torch.export import ExportedProgram

from fuseguard.ir import Graph
from fuseguard.readers.fx import read_program


class _Done(Exception):
    pass


class _Recorder(TOSAPartitioner):  # type: ignore[misc]
    graph: Graph
    tags: dict[str, str]

    def partition(self, exported_program: Any) -> Any:
        self.graph = read_program(exported_program)
        super().partition(exported_program)
        nodes = exported_program.graph_module.graph.nodes
        self.tags = {node.name: node.meta["delegation_tag"] for node in nodes if "delegation_tag" in node.meta}
        raise _Done


def partitioned(program: ExportedProgram, spec: str) -> tuple[Graph, dict[str, str]]:
    """The edge program that the partitioner for ``spec`` is given, and the tag of each node that it delegates.

    Raises whatever the partitioner or ``to_edge`` raises.
    """
    recorder = _Recorder(TosaCompileSpec(spec))
    try:
        to_edge_transform_and_lower(program, partitioner=[recorder])
    except _Done:
        return recorder.graph, recorder.tags
    raise AssertionError("the partitioner was not asked")
