"""The eager side of a proof: the program's outputs, their steps, and the variants that explain a difference."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import ExportedProgram

from fuseguard.backend.fold_qparams import code_inputs
from fuseguard.backend.lookup_table import table_error
from fuseguard.executorch.copying import copy_program
from fuseguard.executorch.state import CALLS_WITH_STATE, carry_on, result_names, run_module, slots
from fuseguard.ir.activations import activation_bounds
from fuseguard.ir.graph import Node, Ref
from fuseguard.ir.ops import Trait
from fuseguard.ir.qparams import INTEGER_RANGES
from fuseguard.ir.view import View
from fuseguard.readers.fx import read_program
from fuseguard.target import Target


@dataclass(frozen=True, slots=True)
class OutputGrid:
    """What one user output is measured in.

    ``step`` is one code in real units, None where the output has no scale of its own (integer outputs have
    step 1). ``roundings`` sums what int16 anchors, elementwise ops and lookup tables upstream may be off by, in
    steps, if the output is int16. An anchor's RESCALE has 16-bit multipliers for the INT48 accumulator, a relative
    error of 2^-15, which is up to one step at the end of the int16 range; elementwise ops bring their operands to one
    int32 domain with no more than 12 bits to spare (InsertRescaleInt32Pass), which rounds them once more than the
    program does; a table interpolates, see fuseguard.backend.lookup_table. int8 outputs have none.
    """

    step: float | None
    roundings: int = 0


def output_grids(program: ExportedProgram, target: Target, view: View | None = None) -> list[OutputGrid]:
    """The grid of each result of a functional program, found by looking through value-transparent ops back to its DQ.

    Results are the user outputs and the new values of its state, as :func:`run_eager` yields them. ``view``: of the
    program, None reads it.
    """
    view = View(read_program(program)) if view is None else view
    return [_grid(view, view.graph[name], target) for name in result_names(program)]


def _grid(view: View, output: Node, target: Target) -> OutputGrid:
    if output.meta is not None and not output.meta.is_float:
        return OutputGrid(1.0)
    node = output
    while not view.is_dq(node):
        first = node.args[0] if node.args else None
        if not (node.info.has(Trait.MOVES) and len(code_inputs(view, node)) == 1 and isinstance(first, Ref)):
            return OutputGrid(None, _roundings(view, output, target))
        node = view.graph[first.name]
    qparams = view.qparams(node)
    if qparams is None or not qparams.usable:
        return OutputGrid(None)
    return OutputGrid(qparams.scale, _roundings(view, node, target) if qparams.dtype == "int16" else 0)


def _roundings(view: View, node: Node, target: Target) -> int:
    seen: set[str] = set()
    pending = [node]
    steps = 0
    while pending:
        current = pending.pop()
        if current.name in seen:
            continue
        seen.add(current.name)
        steps += off_by(view, current, target)
        pending.extend(view.graph.inputs(current))
    return steps


#: AVG_POOL2D multiplies by a rounded reciprocal, RESIZE is followed by a RESCALE with a 16-bit multiplier.
_AVERAGING = frozenset(("avg_pool2d", "upsample_bilinear2d"))


def off_by(view: View, node: Node, target: Target) -> int:
    """How many steps of its own int16 output an op may be off by in a right lowering."""
    if node.op != "call":
        return 0
    if node.info.has(Trait.UNARY):
        return max(1, _table_steps(view, node, target))
    return rescales(node)


def rescales(node: Node) -> int:
    """How many steps of its own int16 output an op that is not a lookup table may be off by: one for a RESCALE."""
    return 1 if node.info.has(Trait.MAC | Trait.ARITHMETIC) or node.kind in _AVERAGING else 0


def widened_by_tables(program: ExportedProgram, target: Target) -> bool:
    """Whether a 16-bit table may be off by more than the rounding that any op may be off by (table_error)."""
    view = View(read_program(program))
    return any(node.info.has(Trait.UNARY) and _table_steps(view, node, target) > 1 for node in view.calls())


def _table_steps(view: View, node: Node, target: Target) -> int:
    """What interpolation makes of a 16-bit table, 0 if it is more than a table may be off by."""
    error = table_error(view, node, target)
    return error.steps if error.tolerable else 0


def saturate_at_dtype(program: ExportedProgram, on_cpu: Collection[str] = ()) -> ExportedProgram | None:
    """A copy whose Q ops saturate where the backend's RESCALE does; None if that changes none of them.

    TOSA's RESCALE knows no qmin and qmax: it saturates to int8 or int16. An activation in front of such a Q
    that is the saturation at qmin and qmax goes with it, as the backend fuses it away. By construction the copy
    differs only where the program clips, and by no more than the codes that its ranges leave out. Qs that become no
    RESCALE stay as they are: those in ``on_cpu``, and those of float values, which DecomposeQuantNodesPass clamps.
    """
    widened = copy_program(program)
    view = View(read_program(program))
    saturations = saturating_activations(view)
    changed = False
    for node in _quantizers(widened):
        limits = INTEGER_RANGES.get(str(node.args[5]).removeprefix("torch."))
        value = node.args[0]
        producer = view.graph[value.name]
        if limits is None or node.name in on_cpu or not _is_folded(view, producer) or producer.info.has(Trait.UNARY):
            continue  # the entries of a lookup table keep qmin and qmax
        if value.name in saturations:
            value = value.args[0]
        elif producer.info.has(Trait.ACTIVATION):
            # An integer CLAMP, whose bounds are codes of this Q.
            low, high = activation_bounds(producer)
            limits = (
                node.args[3] if math.isfinite(low) else limits[0],
                node.args[4] if math.isfinite(high) else limits[1],
            )
        if value is not node.args[0] or (node.args[3], node.args[4]) != limits:
            activation = node.args[0]
            node.args = (value, *node.args[1:3], *limits, *node.args[5:])
            if not activation.users:
                widened.graph.erase_node(activation)  # relu_ would overwrite what the Q now reads
            changed = True
    if not changed:
        return None
    _clamp_table_inputs(widened, view, on_cpu)
    widened.graph_module.recompile()
    return widened


def _clamp_table_inputs(program: ExportedProgram, view: View, on_cpu: Collection[str]) -> None:
    """Lets lookup tables see qmin for what lies below it: InsertTableOpsPass tabulates their input that way.

    A table op without a Q after it, or with one on the CPU, is computed in float.
    """
    for node in list(program.graph.nodes):
        quantizers = view.out_q(view.graph[node.name]) if node.op == "call_function" else []
        if not view.graph[node.name].info.has(Trait.UNARY) or not {q.name for q in quantizers} - set(on_cpu):
            continue
        for dequantizer in node.all_input_nodes:
            if view.is_dq(view.graph[dequantizer.name]) and isinstance(dequantizer.args[1], float):
                with program.graph.inserting_before(node):
                    codes = program.graph.call_function(
                        torch.ops.aten.clamp.default, (dequantizer.args[0], *dequantizer.args[3:5])
                    )
                    clamped = program.graph.call_function(dequantizer.target, (codes, *dequantizer.args[1:]))
                node.replace_input_with(dequantizer, clamped)


def quantizers_of_floats(view: View) -> dict[str, bool]:
    """By name, the Q ops that stay what they are, floats in and codes out, and whether an op computes those floats."""
    owners = ((q, view.graph.node_of(q.args[0])) for q in view.calls(Trait.QUANTIZE) if q.args)
    return {q.name: owner.op == "call" for q, owner in owners if owner is not None and not _is_folded(view, owner)}


def _is_folded(view: View, producer: Node) -> bool:
    """Whether a Q after ``producer`` is taken away and a RESCALE, or nothing, put in its place."""
    return producer.annotated or producer.info.has(Trait.GETITEM) or view.is_dq(producer)


def saturating_activations(view: View) -> frozenset[str]:
    """Names of activations between an anchor and its Q whose bounds are the Q's own saturation."""
    found = set()
    for island in view.islands:
        qparams = view.qparams(island.output_q) if island.output_q is not None else None
        if island.activation is None or qparams is None or not qparams.usable:
            continue
        low, high = activation_bounds(island.activation)
        if qparams.quantize(low) == qparams.qmin and qparams.quantize(high) == qparams.qmax:
            found.add(island.activation.name)
    return frozenset(found)


def _quantizers(program: ExportedProgram) -> list[Any]:
    return [
        node
        for node in program.graph.nodes
        if node.op == "call_function"
        and "quantized_decomposed.quantize_per_tensor.default" in str(node.target)
        and isinstance(node.args[1], float)
    ]


def run_eager(program: ExportedProgram, inputs: Sequence[Any]) -> tuple[torch.Tensor, ...]:
    """The program's tensor outputs, flat and in order, then the new values of what it mutates (state.slots).

    The program and the inputs stay as they are.
    """
    return run_module(program, inputs)


def largest_difference(one: ExportedProgram, other: ExportedProgram, inputs: Sequence[Any]) -> float:
    """The largest absolute difference between the eager results of two programs; 0.0 only if all of them are equal.

    Programs with state are run several times, each on its own. Infinite where only one of two values is NaN, and for
    results of different shapes or dtypes. Raises what the programs raise.
    """
    if not slots(one) and not slots(other):
        return _difference(run_eager(one, inputs), run_eager(other, inputs))
    programs = [copy_program(program, share_weights=True) for program in (one, other)]
    given = [tuple(inputs), tuple(inputs)]
    worst = 0.0
    for _ in range(CALLS_WITH_STATE):
        left, right = (run_eager(program, values) for program, values in zip(programs, given, strict=True))
        worst = max(worst, _difference(left, right))
        given = [
            carry_on([program], values, after)
            for program, values, after in zip(programs, given, (left, right), strict=True)
        ]
    return worst


def _difference(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> float:
    worst = 0.0
    for left, right in zip(one, other, strict=True):
        if left.shape != right.shape or left.dtype != right.dtype:
            return math.inf
        differing = (left != right) & ~(left.isnan() & right.isnan())
        if bool(differing.any()):
            errors = (left[differing].to(torch.float64) - right[differing].to(torch.float64)).abs()
            worst = max(worst, float(errors.nan_to_num(nan=math.inf).max()))
    return worst
