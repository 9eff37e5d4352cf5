"""The eager side of a proof: the program's outputs, their steps, and the variants that explain a difference."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

from fuseguard.executorch.control_flow import is_control_flow, run_control_flow
from fuseguard.executorch.copying import copy_program
from fuseguard.ir.graph import Node, Ref
from fuseguard.ir.int16_table import table_error
from fuseguard.ir.ops import Trait
from fuseguard.ir.qparams import INTEGER_RANGES
from fuseguard.ir.view import View, activation_bounds, smallest_scales
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
    program does; a table interpolates, see fuseguard.ir.int16_table. int8 outputs have none.
    """

    step: float | None
    roundings: int = 0


def output_grids(program: ExportedProgram, target: Target) -> list[OutputGrid]:
    """The grid of each user output, found by looking through value-transparent ops back to its DQ."""
    graph = read_program(program)
    view = View(graph)
    names = [
        spec.arg.name
        for spec in program.graph_signature.output_specs
        if spec.kind.name == "USER_OUTPUT" and hasattr(spec.arg, "name")
    ]
    return [_grid(view, graph[name], target) for name in names]


def _grid(view: View, output: Node, target: Target) -> OutputGrid:
    if output.meta is not None and not output.meta.is_float:
        return OutputGrid(1.0)
    node = output
    while not view.is_dq(node):
        first = node.args[0] if node.args else None
        if node.kind not in _KEEP_GRID or not isinstance(first, Ref):
            return OutputGrid(None)
        node = view.graph[first.name]
    qparams = view.qparams(node)
    if qparams is None or qparams.per_channel or not qparams.known or not qparams.scale > 0:
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
        steps += _off_by(view, current, target)
        pending.extend(view.graph.inputs(current))
    return steps


def _off_by(view: View, node: Node, target: Target) -> int:
    """How many steps of its own int16 output an op may be off by in a right lowering."""
    if node.op != "call":
        return 0
    if node.info.has(Trait.TABLE):
        return max(1, _table_steps(view, node, target))
    return 1 if node.info.has(Trait.MAC | Trait.RESCALED) else 0


def _table_steps(view: View, node: Node, target: Target) -> int:
    """What interpolation makes of a 16-bit table, 0 if it is more than a table may be off by."""
    quantizers = view.out_q(node)
    out = view.qparams(quantizers[0]) if quantizers else None
    error = table_error(node, view.in_qp(node, 0), out, target.release_in)
    return error.steps if error.tolerable else 0


#: Ops that pass values on unchanged; other value-transparent ones (pools, activations) may leave the grid.
_KEEP_GRID = frozenset(
    ("view", "permute", "squeeze", "unsqueeze", "expand", "slice", "select", "clone", "getitem", "split", "unbind",
     "flip", "repeat")
)  # fmt: skip


def saturate_at_dtype(program: ExportedProgram, *, inputs: bool = True) -> ExportedProgram | None:
    """A copy whose per-tensor Q ops saturate at the limits of their dtype; None if all of them already do.

    TOSA's RESCALE knows no qmin and qmax: it saturates to int8 or int16. An activation in front of such a Q
    that is the saturation at qmin and qmax goes with it, as the backend fuses it away. By construction the copy
    differs only where the program clips, and by no more than the codes that its ranges leave out. ``inputs=False``
    leaves the Qs of the program's inputs as they are: a delegate without float support leaves them to the CPU.
    """
    widened = copy_program(program)
    saturations = _saturating_activations(program)
    changed = False
    for node in _quantizers(widened):
        limits = INTEGER_RANGES.get(str(node.args[5]).removeprefix("torch."))
        if limits is None or (node.args[3], node.args[4]) == limits:
            continue
        value = node.args[0]
        if value.op == "placeholder" and not inputs:
            continue
        if value.name in saturations:
            value = value.args[0]
        node.args = (value, *node.args[1:3], *limits, *node.args[5:])
        changed = True
    if not changed:
        return None
    widened.graph_module.recompile()
    return widened


def _saturating_activations(program: ExportedProgram) -> frozenset[str]:
    """Names of activations between an anchor and its Q whose bounds are the Q's own saturation."""
    view = View(read_program(program))
    found = set()
    for island in view.islands:
        qparams = view.qparams(island.output_q) if island.output_q is not None else None
        if island.activation is None or qparams is None or not qparams.known or not qparams.scale > 0:
            continue
        low, high = activation_bounds(island.activation)
        if qparams.quantize(low) == qparams.qmin and qparams.quantize(high) == qparams.qmax:
            found.add(island.activation.name)
    return frozenset(found)


def run_exactly(
    program: ExportedProgram,
    inputs: Sequence[Any],
    nudge: float = 0.0,
    *,
    snapped: bool = False,
    scattered: int | None = None,
) -> tuple[torch.Tensor, ...]:
    """The tensor outputs of the program computed in float64, what every Q rounds moved by ``nudge`` steps.

    Torch sums in float32, which ends up on the wrong side of a rounding tie now and then, and rounds ties to
    even, RESCALE half up. In float64 a sum of int8 products is exact, so what differs from it by more than a
    tie is an error. ``snapped`` rounds the operands of maximum, minimum and the comparisons to multiples of the
    smaller of their scales first, as InsertRescaleInt32Pass does. ``scattered`` moves each value up or down by itself,
    at random from this seed: a pool and a RESCALE behind it break their ties differently.
    """
    interpreter = _Float64(program.graph_module, nudge, scattered=scattered is not None)
    interpreter.generator.manual_seed(scattered or 0)
    if snapped:
        interpreter.grids = smallest_scales(View(read_program(program)))
    return _run(interpreter, program, inputs)


def shaken_outputs(
    program: ExportedProgram, inputs: Sequence[Any], target: Target, times: int = 6
) -> list[tuple[torch.Tensor, ...]]:
    """The outputs of the program, first as it is and then ``times`` times with its int16 results moved at random.

    Each code of an int16 anchor, elementwise op or table is moved by no more than the backend may have it off
    (OutputGrid says by how much). What that makes of the outputs, amplified by whatever comes behind, is how far
    a right lowering may be from the program.
    """
    view = View(read_program(program))
    shaken: dict[str, int] = {}
    for node in view.calls():
        steps = _off_by(view, node, target)
        for q in view.out_q(_owner(view, node)) if steps else ():
            qparams = view.qparams(q)
            if qparams is not None and qparams.dtype == "int16":
                shaken[q.name] = steps
    runs = [_run(_Float64(program.graph_module, 0.0), program, inputs)]
    for seed in range(times if shaken else 0):
        interpreter = _Float64(program.graph_module, 0.0, shaken)
        interpreter.generator.manual_seed(seed)
        runs.append(_run(interpreter, program, inputs))
    return runs


def _owner(view: View, node: Node) -> Node:
    users = view.users(node)
    return users[0] if len(users) == 1 and users[0].info.has(Trait.ACTIVATION) else node


def _run(interpreter: _Float64, program: ExportedProgram, inputs: Sequence[Any]) -> tuple[torch.Tensor, ...]:
    arguments: list[Any] = []
    user_inputs = iter(pytree.tree_leaves(tuple(inputs)))
    for spec in program.graph_signature.input_specs:
        if spec.kind == InputKind.USER_INPUT:
            value = next(user_inputs)
        else:
            value = program.state_dict.get(spec.target, program.constants.get(spec.target))
        arguments.append(_widen(value))
    with torch.no_grad():
        outputs = pytree.tree_leaves(interpreter.run(*arguments))
    kinds = [spec.kind for spec in program.graph_signature.output_specs]
    return tuple(
        output.detach()
        for output, kind in zip(outputs, kinds, strict=True)
        if kind == OutputKind.USER_OUTPUT and isinstance(output, torch.Tensor)
    )


def _widen(value: Any) -> Any:
    return value.to(torch.float64) if isinstance(value, torch.Tensor) and value.dtype == torch.float32 else value


class _Float64(torch.fx.Interpreter):
    """Q and DQ by their formula in float64 (torch's own insist on float32); everything else as it is."""

    def __init__(
        self,
        module: torch.fx.GraphModule,
        nudge: float,
        shaken: Mapping[str, int] | None = None,
        *,
        scattered: bool = False,
    ) -> None:
        """``shaken``: by the name of a Q, how many steps its codes are moved up or down at random.

        ``scattered``: each value that is rounded is moved by ``nudge`` up or down, at random.
        """
        super().__init__(module)
        self.nudge = nudge
        self.scattered = scattered
        self.shaken = shaken or {}
        self.grids: Mapping[str, float] = {}
        self.generator = torch.Generator()

    def run_node(self, n: torch.fx.Node) -> Any:
        if n.name in self.grids:
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            result = self.call_function(n.target, tuple(map(self._on_grid(self.grids[n.name]), args)), kwargs)
        else:
            result = super().run_node(n)
        steps = self.shaken.get(n.name, 0)
        if not steps:
            return result
        limits = torch.iinfo(result.dtype)
        moves = torch.randint(-steps, steps + 1, result.shape, generator=self.generator)
        return (result.to(torch.int64) + moves).clamp(limits.min, limits.max).to(result.dtype)

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = str(target)
        if "quantized_decomposed.quantize_per_tensor.default" in name:
            value, scale, zero_point, qmin, qmax, dtype = args
            codes = torch.round(value / scale + self._nudges(value)) + zero_point
            return codes.clamp(qmin, qmax).to(dtype)
        if "quantized_decomposed.dequantize_per_tensor.default" in name:
            return (args[0].to(torch.float64) - args[2]) * args[1]
        if "quantized_decomposed.dequantize_per_channel.default" in name:
            shape = [1] * args[0].dim()
            shape[args[3]] = -1
            scales, zero_points = (item.to(torch.float64).reshape(shape) for item in args[1:3])
            return (args[0].to(torch.float64) - zero_points) * scales
        if is_control_flow(target):
            return run_control_flow(target, args, self._body)
        if kwargs.get("dtype") == torch.float32:
            kwargs = {**kwargs, "dtype": torch.float64}
        return _widen(super().call_function(target, args, kwargs))

    def _body(self, body: torch.fx.GraphModule, operands: Sequence[Any]) -> Any:
        interpreter = _Float64(body, self.nudge, scattered=self.scattered)
        interpreter.generator = self.generator
        return interpreter.run(*map(_widen, operands))

    def _nudges(self, value: torch.Tensor) -> torch.Tensor | float:
        if not self.scattered:
            return self.nudge
        signs = torch.randint(0, 2, value.shape, generator=self.generator, dtype=torch.float64)
        return (2 * signs - 1) * self.nudge

    def _on_grid(self, scale: float) -> Callable[[Any], Any]:
        def rounded(arg: Any) -> Any:  # RESCALE rounds half up
            if not isinstance(arg, torch.Tensor):
                return arg
            return torch.floor(arg / scale + 0.5 + self._nudges(arg)) * scale

        return rounded

    def get_attr(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return _widen(super().get_attr(target, args, kwargs))


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
    module = copy_program(program).module()
    with torch.no_grad():
        flat = pytree.tree_leaves(module(*inputs))
    return tuple(item.detach() for item in flat if isinstance(item, torch.Tensor))


def largest_difference(one: ExportedProgram, other: ExportedProgram, inputs: Sequence[Any]) -> float:
    """The largest absolute difference between the eager outputs of two programs; 0.0 only if all of them are equal.

    Infinite where only one of two values is NaN, and for outputs of different shapes or dtypes. Raises what the
    programs raise.
    """
    worst = 0.0
    for left, right in zip(run_eager(one, inputs), run_eager(other, inputs), strict=True):
        if left.shape != right.shape or left.dtype != right.dtype:
            return math.inf
        differing = (left != right) & ~(left.isnan() & right.isnan())
        if bool(differing.any()):
            errors = (left[differing].to(torch.float64) - right[differing].to(torch.float64)).abs()
            worst = max(worst, float(errors.nan_to_num(nan=math.inf).max()))
    return worst
