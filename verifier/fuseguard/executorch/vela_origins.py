"""Which op of a program each operator of a delegate's TOSA was made for.

The backend's own serializer is watched: it writes the operators of one node after the other. Source:
``TOSABackend._preprocess`` and ``process_call_function`` of ExecuTorch 1.2.0 to 1.5.1.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch.fx import GraphModule, Node

from fuseguard.engine.place import placed_by
from fuseguard.executorch.lowering import name_before
from fuseguard.ir.graph import SourceLine
from fuseguard.ir.view import View
from fuseguard.readers.fx import read_graph_module


@dataclass(frozen=True, slots=True)
class Origin:
    """``node`` is the op's name after Arm's passes, ``before`` that in the exported program ("" if a pass made it)."""

    node: str
    before: str
    module: str
    source: SourceLine | None


@contextlib.contextmanager
def origins(names: Mapping[tuple[str, ...], str]) -> Iterator[dict[bytes, dict[str, Origin]]]:
    """For each TOSA graph that the backend makes meanwhile: tensor -> the op whose operator yields it.

    ``names`` are those of the ops before lowering, by name and ancestry.
    """
    from executorch.backends.arm.tosa import backend

    module: Any = backend
    kind: Any = backend.TOSABackend
    preprocess, process = kind._preprocess, module.process_call_function
    found: dict[bytes, dict[str, Origin]] = {}
    current: dict[str, Origin] = {}
    views: dict[int, View] = {}

    def processed(node: Node, tosa_graph: Any, *args: Any, **kwargs: Any) -> Any:
        block = tosa_graph.currRegion.currBasicBlock
        start = len(block.operators)
        result = process(node, tosa_graph, *args, **kwargs)
        made = [str(name) for operator in block.operators[start:] for name in operator.outputs]
        if made:
            origin = _origin(node, views, names)
            current.update(dict.fromkeys(made, origin))
        return result

    def preprocessed(*args: Any, **kwargs: Any) -> Any:
        current.clear()
        views.clear()
        result = preprocess(*args, **kwargs)
        found[bytes(result.processed_bytes)] = dict(current)
        return result

    module.process_call_function, kind._preprocess = processed, staticmethod(preprocessed)
    try:
        yield found
    finally:
        module.process_call_function, kind._preprocess = process, staticmethod(preprocess)


def _origin(node: Node, views: dict[int, View], names: Mapping[tuple[str, ...], str]) -> Origin:
    module = node.graph.owning_module
    assert isinstance(module, GraphModule)
    if id(module) not in views:
        views[id(module)] = View(read_graph_module(module, {}, {}))
    view = views[id(module)]
    read = view.graph[node.name]
    placed = placed_by(view, [read])
    return Origin(node.name, name_before(node, names), read.module, placed.source)
