"""The eager side of a proof: the program's outputs, their steps, and the variants that explain a difference."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from fuseguard.ir.graph import Graph, Node, Ref
from fuseguard.ir.ops import Trait
from fuseguard.ir.qparams import INTEGER_RANGES
from fuseguard.ir.view import View
from fuseguard.readers.fx import read_program


@dataclass(frozen=True, slots=True)
class OutputGrid:
    """What one user output is measured in.

    ``step`` is one code in real units, None where the output has no scale of its own (integer outputs have
    step 1). ``roundings`` counts the int16 anchors and lookup tables upstream, if the output is int16: their
    RESCALE has 16-bit multipliers for the INT48 accumulator, a relative error of 2^-15, which is up to one step
    at the end of the int16 range. int8 outputs have none.
    """

    step: float | None
    roundings: int = 0


def output_grids(program: ExportedProgram) -> list[OutputGrid]:
    """The grid of each user output, found by looking through value-transparent ops back to its DQ."""
    graph = read_program(program)
    view = View(graph)
    names = [
        spec.arg.name
        for spec in program.graph_signature.output_specs
        if spec.kind.name == "USER_OUTPUT" and hasattr(spec.arg, "name")
    ]
    return [_grid(graph, view, graph[name]) for name in names]


def _grid(graph: Graph, view: View, output: Node) -> OutputGrid:
    if output.meta is not None and not output.meta.is_float:
        return OutputGrid(1.0)
    node = output
    while not view.is_dq(node):
        first = node.args[0] if node.args else None
        if node.kind not in _KEEP_GRID or not isinstance(first, Ref):
            return OutputGrid(None)
        node = graph[first.name]
    qparams = view.qparams(node)
    if qparams is None or qparams.per_channel or not qparams.known or not qparams.scale > 0:
        return OutputGrid(None)
    return OutputGrid(qparams.scale, _roundings(graph, node) if qparams.dtype == "int16" else 0)


def _roundings(graph: Graph, node: Node) -> int:
    seen: set[str] = set()
    pending = [node]
    count = 0
    while pending:
        current = pending.pop()
        if current.name in seen:
            continue
        seen.add(current.name)
        count += current.op == "call" and (current.info.has(Trait.MAC) or current.info.has(Trait.TABLE))
        pending.extend(graph.inputs(current))
    return count


#: Ops that pass values on unchanged; other value-transparent ones (pools, activations) may leave the grid.
_KEEP_GRID = frozenset(
    ("view", "permute", "squeeze", "unsqueeze", "expand", "slice", "select", "clone", "getitem", "split", "unbind",
     "flip", "repeat")
)  # fmt: skip


def saturate_at_dtype(program: ExportedProgram) -> ExportedProgram | None:
    """A copy whose per-tensor Q ops saturate at the limits of their dtype; None if all of them already do.

    TOSA's RESCALE knows no qmin and qmax: it saturates to int8 or int16.
    """
    widened = copy.deepcopy(program)
    changed = False
    for node in _quantizers(widened):
        limits = INTEGER_RANGES.get(str(node.args[5]).removeprefix("torch."))
        if limits is not None and (node.args[3], node.args[4]) != limits:
            node.args = (*node.args[:3], *limits, *node.args[5:])
            changed = True
    if not changed:
        return None
    widened.graph_module.recompile()
    return widened


def nudge_rounding(program: ExportedProgram, steps: float) -> ExportedProgram:
    """A copy that adds ``steps`` of a Q's own scale to what it rounds, at every per-tensor Q.

    Torch rounds half to even, RESCALE half up, and float32 sums end up a hair beside a tie: with a nudge of
    a thousandth of a step up or down, all of these round alike, and nothing else changes.
    """
    nudged = copy.deepcopy(program)
    for node in _quantizers(nudged):
        value = node.args[0]
        with nudged.graph.inserting_before(node):
            moved = nudged.graph.call_function(torch.ops.aten.add.Scalar, (value, steps * float(node.args[1])))
        moved.meta = {key: item for key, item in value.meta.items() if key == "val"}
        node.replace_input_with(value, moved)
    nudged.graph_module.recompile()
    return nudged


def _quantizers(program: ExportedProgram) -> list[Any]:
    return [
        node
        for node in program.graph.nodes
        if node.op == "call_function"
        and "quantized_decomposed.quantize_per_tensor.default" in str(node.target)
        and isinstance(node.args[1], float)
    ]


def run_eager(program: ExportedProgram, inputs: Sequence[Any]) -> tuple[torch.Tensor, ...]:
    """The program's tensor outputs, flat and in order. Works on a copy: modules may mutate their buffers."""
    module = copy.deepcopy(program).module()
    with torch.no_grad():
        flat = pytree.tree_leaves(module(*inputs))
    return tuple(item.detach() for item in flat if isinstance(item, torch.Tensor))
