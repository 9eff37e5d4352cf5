"""Runs a program in float64, where every rounding is the program's own, and with its roundings broken otherwise."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from fuseguard.backend.control_flow import Carry, loop_roundings
from fuseguard.backend.int32_rescales import bypasses, smallest_scales
from fuseguard.executorch.explanations import name_of
from fuseguard.executorch.interpreter import BodyInterpreter
from fuseguard.executorch.outputs import off_by, quantizers_of_floats
from fuseguard.executorch.state import arguments, results
from fuseguard.ir.graph import Node
from fuseguard.ir.ops import Trait
from fuseguard.ir.view import View
from fuseguard.readers.fx import read_program
from fuseguard.target import Target

#: What torch's and the delegate's float32 may differ by, a few units in the last place, as a part of the value.
FLOAT32 = 4 * 2.0**-24

#: How near a tie, in steps, a value must be for its rounding to count as one. RESCALE's 31-bit multiplier moves
#: a value by less than 1e-7 steps of an int8 code.
TIE = 1e-6


def run_exactly(
    program: ExportedProgram,
    inputs: Sequence[Any],
    nudge: float = 0.0,
    *,
    snapped: bool = False,
    scattered: int | None = None,
    decomposed: Collection[str] = (),
    on_cpu: Collection[str] = (),
    used: set[str] | None = None,
    ties: list[str] | None = None,
) -> tuple[torch.Tensor, ...]:
    """The results of a functional program (state.results) in float64, what every Q rounds moved by ``nudge`` steps.

    Floats are quantized in float32, as DecomposeQuantNodesPass does it with torch's own formula: a half of that product
    is a tie, though it may be none of the exact one.

    Torch sums in float32, which ends up on the wrong side of a rounding tie now and then, and rounds ties to
    even, RESCALE half up. In float64 a sum of int8 products is exact, so what differs from it by more than a
    tie is an error. ``snapped`` computes between ops that work in int32 as the backend does: it rounds the operands of
    maximum, minimum and the comparisons to multiples of the smaller of their scales first (InsertRescaleInt32Pass),
    and leaves out the quantize ops that the backend leaves out (fuseguard.backend.int32_rescales.bypasses). What a loop
    carries from round to round it rounds once more (fuseguard.backend.control_flow.Carry). What an op left in float
    computes is moved by its float32 roundings as well. Ops ``on_cpu`` compute as the program says. ``scattered`` moves
    each value up or down by itself, at random from this seed: a pool and a RESCALE after it break their ties
    differently. ``decomposed`` are names of Qs that round as DecomposeQuantNodesPass has them: in float32, ties away
    from zero. ``used`` is given the names of the models of fuseguard.backend that changed a value, ``ties`` those of
    the nodes at which a value is within ``nudge`` of a tie.
    """
    interpreter = Float64Interpreter(program.graph_module, nudge)
    interpreter.decomposed = frozenset(decomposed)
    interpreter.scattered = scattered is not None
    interpreter.generator.manual_seed(scattered or 0)
    interpreter.used = set() if used is None else used
    interpreter.ties = ties
    if snapped:
        interpreter.snap(on_cpu)
    return _run(interpreter, program, inputs)


def shaken_outputs(
    program: ExportedProgram,
    inputs: Sequence[Any],
    target: Target,
    times: int = 6,
    *,
    snapped: bool = False,
    on_cpu: Collection[str] = (),
    used: set[str] | None = None,
) -> list[tuple[torch.Tensor, ...]]:
    """The outputs of the program, first as it is and then with its int16 results moved: all up, all down, and ``times``
    times at random.

    ``snapped``, ``on_cpu``, ``used``: as for :func:`run_exactly`.

    Each code of an int16 anchor, elementwise op or table is moved by no more than the backend may have it off
    (OutputGrid says by how much). How far the outputs move, amplified by whatever comes after, is how far
    a right lowering may be from the program.
    """
    view = View(read_program(program))
    shaken: dict[str, int] = {}
    for node in view.calls():
        steps = off_by(view, node, target)
        for q in view.out_q(_through_activation(view, node)) if steps else ():
            qparams = view.qparams(q)
            if qparams is not None and qparams.dtype == "int16":
                shaken[q.name] = steps
    # A table of a curved function and a truncating shift err to one side, which adds up in a sum.
    sides = [1, -1, *[0] * times] if shaken else []
    runs = []
    for seed, side in enumerate([0, *sides]):
        interpreter = Float64Interpreter(program.graph_module, 0.0, shaken if seed else None, side)
        interpreter.used = set() if used is None else used
        if snapped:
            interpreter.snap(on_cpu)
        interpreter.generator.manual_seed(seed)
        runs.append(_run(interpreter, program, inputs))
    return runs


def _through_activation(view: View, node: Node) -> Node:
    """The activation that alone reads ``node``, whatever kind of op ``node`` is; else ``node`` itself."""
    users = view.users(node)
    return users[0] if len(users) == 1 and users[0].info.has(Trait.ACTIVATION) else node


def _run(interpreter: Float64Interpreter, program: ExportedProgram, inputs: Sequence[Any]) -> tuple[torch.Tensor, ...]:
    interpreter.of_floats = quantizers_of_floats(View(read_program(program)))
    with torch.no_grad():
        outputs = interpreter.run(*map(widen, arguments(program, inputs)))
    return results(program, outputs)


def at_ties(steps: torch.Tensor, reach: torch.Tensor | float) -> torch.Tensor:
    """Where a value of so many ``steps`` is no further than ``reach`` from a rounding tie."""
    return (steps - torch.floor(steps) - 0.5).abs() <= reach


def widen(value: Any) -> Any:
    return value.to(torch.float64) if isinstance(value, torch.Tensor) and value.dtype == torch.float32 else value


def _narrowed(value: Any) -> Any:
    return value.to(torch.float32) if isinstance(value, torch.Tensor) and value.dtype == torch.float64 else value


class Float64Interpreter(BodyInterpreter):
    """Q and DQ by their formula in float64 (torch's own insist on float32); everything else as it is."""

    def __init__(
        self, module: torch.fx.GraphModule, nudge: float, shaken: Mapping[str, int] | None = None, side: int = 0
    ) -> None:
        """``shaken``: by the name of a Q, how many steps its codes move: up (``side`` 1), down (-1) or at random."""
        super().__init__(module)
        self.nudge = nudge
        self.side = side
        #: Each value that is rounded is moved by ``nudge`` up or down, at random.
        self.scattered = False
        #: The Qs that a delegate computes in float32.
        self.decomposed: frozenset[str] = frozenset()
        self.shaken = shaken or {}
        self.snapped = False
        #: The Q ops of floats, and whether an op has computed them.
        self.of_floats: Mapping[str, bool] = {}
        #: By the name of a node: the scale to which its operands are rounded.
        self.grids: Mapping[str, float] = {}
        #: By reader and operand: the scale in int32 of what the reader reads in place of the operand.
        self.bypassed: dict[tuple[str, str], float] = {}
        #: The nodes that are left out for readers in int32, and what they hand on then.
        self.left_out: set[str] = set()
        self.unquantized: dict[str, Any] = {}
        #: By loop: how what it carries is rounded between two rounds.
        self.carries: dict[str, list[Carry | None]] = {}
        self.running = ""
        self.generator = torch.Generator()
        #: Names of the backend's models that have changed a value.
        self.used: set[str] = set()
        #: Is given the names of the nodes that round a value at a tie, unless nobody asks.
        self.ties: list[str] | None = None

    def snap(self, on_cpu: Collection[str] = ()) -> None:
        """Computes between ops that work in int32 as ``run_exactly(snapped=True)`` says, from now on."""
        assert isinstance(self.module, torch.fx.GraphModule)
        view = View(read_program(self.module))
        self.snapped = True
        outside = frozenset(on_cpu)
        self.grids = {name: scale for name, scale in smallest_scales(view).items() if name not in outside}
        for bypass in bypasses(view, Target.parse("TOSA-1.0+INT")):  # the same in every profile
            if not outside.isdisjoint((bypass.reader.name, *bypass.path)):
                continue
            self.bypassed[bypass.reader.name, bypass.path[-1]] = bypass.scale
            self.left_out |= set(bypass.path)
        self.carries = loop_roundings(view)

    def between_rounds(self, carried: Any) -> Any:
        carries = self.carries.get(self.running, [])[: len(carried)]
        return tuple(itertools.starmap(self._rounded_once_more, itertools.zip_longest(carried, carries)))

    def _rounded_once_more(self, value: Any, carry: Carry | None) -> Any:
        if carry is None:
            return value
        after = carry.after
        codes = torch.floor(value / after.scale + 0.5 + self._nudges(value / after.scale)) + after.zero_point
        rounded = (codes.clamp(after.qmin, after.qmax) - carry.entered.zero_point) * carry.entered.scale
        return self._by(loop_roundings, value, rounded)

    def _by(self, model: Callable[..., Any], before: Any, after: Any) -> Any:
        """``after``, the value that ``model`` makes of another; noted if it is not the same."""
        if isinstance(after, torch.Tensor) and bool((before != after).any()):
            self.used.add(name_of(model))
        return after

    def of_body(self, module: torch.fx.GraphModule) -> Float64Interpreter:
        interpreter = Float64Interpreter(module, self.nudge)
        interpreter.scattered, interpreter.generator, interpreter.used = self.scattered, self.generator, self.used
        interpreter.ties = self.ties
        if self.snapped:
            interpreter.snap()
        return interpreter

    def _nudges(self, steps: torch.Tensor) -> torch.Tensor | float:
        """How much further a value of so many ``steps`` may be before it is rounded."""
        size: torch.Tensor | float = self.nudge
        if self.nudge and self.of_floats.get(self.running, False):
            size = math.copysign(1.0, self.nudge) * (abs(self.nudge) + FLOAT32 * steps.abs())
        if self.ties is not None and bool(at_ties(steps, torch.as_tensor(size).abs()).any()):
            self.ties.append(self.running)
        if not self.scattered:
            return size
        signs = torch.randint(0, 2, steps.shape, generator=self.generator, dtype=torch.float64)
        return (2 * signs - 1) * size

    def run_node(self, n: torch.fx.Node) -> Any:
        self.running = n.name
        if n.name in self.left_out:
            self.unquantized[n.name] = self._without_quantizing(n)
        bypassed = any((n.name, item.name) in self.bypassed for item in n.all_input_nodes)
        if n.name in self.grids or bypassed:
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            if bypassed:
                args = tuple(self._in_int32(n, arg, value) for arg, value in zip(n.args, args, strict=True))
            if n.name in self.grids:
                on_grid = self._on_grid(self.grids[n.name])
                args = tuple(self._by(smallest_scales, arg, on_grid(arg)) for arg in args)
            result = self.call_function(n.target, args, kwargs)
        else:
            result = super().run_node(n)
        steps = self.shaken.get(n.name, 0)
        if not steps:
            return result
        limits = torch.iinfo(result.dtype)
        moves: Any = self.side * steps
        if not self.side:
            moves = torch.randint(-steps, steps + 1, result.shape, generator=self.generator)
        return (result.to(torch.int64) + moves).clamp(limits.min, limits.max).to(result.dtype)

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = str(target)
        if "quantized_decomposed.quantize_per_tensor.default" in name:
            value, scale, zero_point, qmin, qmax, dtype = args
            decomposed = self.running in self.decomposed
            in_float32 = decomposed or self.running in self.of_floats
            steps = value.to(torch.float32) * (1.0 / scale) if in_float32 else value / scale
            if decomposed:  # floor and ceil, in float32 too, as TOSA has no other rounding
                codes = torch.where(steps >= 0, torch.floor(steps + 0.5), torch.ceil(steps - 0.5))
            else:
                steps = steps.to(torch.float64)
                codes = torch.round(steps + self._nudges(steps))
            return (codes + zero_point).clamp(qmin, qmax).to(dtype)
        if "quantized_decomposed.dequantize_per_tensor.default" in name:
            return (args[0].to(torch.float64) - args[2]) * args[1]
        if "quantized_decomposed.dequantize_per_channel.default" in name:
            shape = [1] * args[0].dim()
            shape[args[3]] = -1
            scales, zero_points = (item.to(torch.float64).reshape(shape) for item in args[1:3])
            return (args[0].to(torch.float64) - zero_points) * scales
        if name.startswith("quantized_decomposed."):
            # Dynamic quantization: what chooses a scale from a value, and what takes it as a tensor. Torch refuses
            # such a value in float64.
            return pytree.tree_map(widen, super().call_function(target, (_narrowed(args[0]), *args[1:]), kwargs))
        if kwargs.get("dtype") == torch.float32:
            kwargs = {**kwargs, "dtype": torch.float64}
        if name == "aten.to.dtype":
            args = tuple(torch.float64 if arg is torch.float32 else arg for arg in args)
        return widen(super().call_function(target, args, kwargs))

    def _without_quantizing(self, n: torch.fx.Node) -> Any:
        """What a node that is left out would be given and hand on: a Q, a DQ or the permute between two pairs."""
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        first = n.args[0]
        value = self.unquantized.get(first.name, args[0]) if isinstance(first, torch.fx.Node) else args[0]
        if "quantize_per_tensor" in str(n.target):
            steps = self.shaken.get(n.name, 0)
            if not steps:
                return value
            # What a 16-bit multiplier may be off by is relative: beyond the range of the codes it is more.
            scale, limit = float(args[1]), float(torch.iinfo(torch.int16).max)
            moves = 2 * torch.rand(value.shape, generator=self.generator, dtype=torch.float64) - 1
            return value + steps * scale * moves * (value.abs() / (scale * limit)).clamp_min(1.0)
        return super().call_function(n.target, (value, *args[1:]), kwargs)

    def _in_int32(self, reader: torch.fx.Node, arg: Any, value: Any) -> Any:
        """An operand as ``reader`` sees it: in int32, if it reads past the quantize op."""
        if not isinstance(arg, torch.fx.Node) or (reader.name, arg.name) not in self.bypassed:
            return value
        in_int32 = self._on_grid(self.bypassed[reader.name, arg.name])(self.unquantized[arg.name])
        return self._by(bypasses, value, in_int32)

    def _on_grid(self, scale: float) -> Callable[[Any], Any]:
        def rounded(arg: Any) -> Any:  # RESCALE rounds half up
            if not isinstance(arg, torch.Tensor):
                return arg
            return torch.floor(arg / scale + 0.5 + self._nudges(arg / scale)) * scale

        return rounded

    def get_attr(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return widen(super().get_attr(target, args, kwargs))
