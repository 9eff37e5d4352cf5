"""What makes thousands of lowerings bearable. Nothing here changes what torch or the backend computes.

For processes of ours alone: it replaces functions of torch and torchao in the process that calls it. The workers of the
selftest, ``fuseguard reduce`` and the tests do; no function of the API does so in the process that runs it.
"""

from __future__ import annotations

import functools
import gc
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy
import torch
import torch._export.utils
import torch._subclasses.fake_impls
import torch.export.decomp_utils
import torch.export.exported_program
from torch._C import DispatchKey
from torch._ops import OpOverload
from torch.fx import GraphModule
from torch.fx.graph import _PyTreeCodeGen
from torch.fx.graph_module import _WrappedCall
from torch.fx.traceback import NodeSource
from torchao.quantization.pt2e.observer import HistogramObserver

#: What :func:`hurry` replaces with :func:`search_range`.
patient_search = HistogramObserver._non_linear_param_search


@functools.cache
def hurry() -> None:
    """For a process that lowers many programs, whatever else it does."""
    # Every node that a pass makes gets a deep copy of its ancestry, which grows with each pass. It is never written to.
    node_source: Any = NodeSource
    node_source.__deepcopy__ = _itself
    # Some 40 operator namespaces are walked in each run_decompositions; after the imports they stay as they are.
    collected = functools.cache(torch._export.utils._collect_all_valid_cia_ops)
    own_decomposition = _own_decompositions(torch._export.utils._get_decomp_for_cia)
    for module in (torch._export.utils, torch.export.decomp_utils, torch.export.exported_program):
        holder: Any = module
        holder._collect_all_valid_cia_ops = collected
        holder._get_decomp_for_cia = own_decomposition
    HistogramObserver._non_linear_param_search = search_range
    _register_once()
    # The imports leave half a million objects that live for ever: searching them for cycles is of no use.
    gc.collect()
    gc.freeze()


@functools.cache
def hurry_alone() -> None:
    """For a process that does nothing but judge programs; the caller collects garbage now and then."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    hurry()
    compile_when_called()
    gc.disable()


def _itself(source: Any, memo: Any) -> Any:
    del memo
    return source


def _own_decompositions(look_up: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """One function for each operator that has none in Python: ``look_up`` makes it anew each time it is asked."""
    made = functools.cache(look_up)

    def own_decomposition(op: Any) -> Any:
        kernel = op.py_kernels.get(DispatchKey.CompositeImplicitAutograd)
        return made(op) if kernel is None or isinstance(kernel, DispatchKey) else kernel

    return own_decomposition


def _register_once() -> None:
    """Each export registers some six thousand kernels for its time, the same ones: later ones put back the first's."""
    module: Any = torch.export.exported_program
    register = module._override_composite_implicit_decomp
    rules = torch._subclasses.fake_impls.op_implementations_dict
    made: dict[tuple[OpOverload, Any], _Registered] = {}

    @contextmanager
    def override(decompositions: Mapping[OpOverload, Any]) -> Iterator[None]:
        own = {op: dict(op.py_kernels) for op in decompositions}
        ruled = {op: op in rules for op in decompositions}
        known = {
            op: kept
            for op, decompose in decompositions.items()
            if (kept := made.get((op, decompose))) is not None and kept.own == own[op] and kept.ruled == ruled[op]
        }
        with register({op: decompose for op, decompose in decompositions.items() if op not in known}):
            for op, decompose in decompositions.items():
                if op in known:
                    _put(op, known[op].kernels)
                    rules[op] = known[op].rule
                else:
                    made[op, decompose] = _Registered(own[op], dict(op.py_kernels), ruled[op], rules.get(op))
            try:
                yield
            finally:
                for op in known:
                    _put(op, own[op])
                    module._deregister_op_impl(op)

    module._override_composite_implicit_decomp = override


@dataclass(frozen=True, slots=True)
class _Registered:
    """``own`` and ``ruled``: an operator's kernels before, and whether fake tensors had a rule for it; and after."""

    own: dict[Any, Any]
    kernels: dict[Any, Any]
    ruled: bool
    rule: Any


def _put(op: OpOverload, kernels: Mapping[Any, Any]) -> None:
    op.py_kernels.clear()
    op.py_kernels.update(kernels)
    op._dispatch_cache.clear()


@functools.cache
def compile_when_called() -> None:
    """Makes a GraphModule's Python code when it is called or read: passes make hundreds, and interpret their graphs."""
    compile_now = GraphModule.recompile
    made = ("_code", "_lineno_map", "_prologue_start")

    class Forward:
        """Compiles when it is first asked for, so that an export sees the signature of what was compiled."""

        def __get__(self, module: Any, owner: Any = None) -> Any:
            if module is None:
                return self
            compile_now(module)  # puts the function in the place of this
            return module.forward

    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self._wrapped_call(self, *args, **kwargs)

    def recompile(self: Any) -> None:
        cls = type(self)
        if isinstance(self._graph._codegen, _PyTreeCodeGen):
            self._in_spec = self._graph._codegen.pytree_info.in_spec
            self._out_spec = self._graph._codegen.pytree_info.out_spec
        for name in made:
            self.__dict__.pop(f"{name}_made", None)
        cls.forward = Forward()
        if "_wrapped_call" not in vars(cls):
            own_call = cls.__call__ if "__call__" in vars(cls) else None
            cls._wrapped_call = _WrappedCall(cls, own_call)
        cls.__call__ = called

    def lazily(name: str) -> property:
        def get(self: GraphModule) -> Any:
            if f"{name}_made" not in self.__dict__:
                compile_now(self)
            return self.__dict__[f"{name}_made"]

        def put(self: GraphModule, value: Any) -> None:
            self.__dict__[f"{name}_made"] = value

        return property(get, put)

    for name in made:
        setattr(GraphModule, name, lazily(name))
    graph_module: Any = GraphModule
    graph_module.recompile = recompile


def tidy() -> None:
    """Free what programs left behind."""
    gc.collect()
    torch._dynamo.reset()


def search_range(self: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """``HistogramObserver._non_linear_param_search`` to the bit, without indexing a tensor in each of 10^5 steps."""
    bin_width = (self.max_val - self.min_val) / self.bins
    total = torch.sum(self.histogram).item()
    cumulated = torch.cumsum(self.histogram, dim=0).tolist()
    step = 1e-5
    alpha, beta = 0.0, 1.0
    start, end = 0, self.bins - 1
    best = float("inf")
    while alpha < beta:
        next_alpha, next_beta = alpha + step, beta - step
        # Torch compares a float32 element with a number rounded to float32.
        low, high = float(numpy.float32(next_alpha * total)), float(numpy.float32(next_beta * total))
        left, right = start, end
        while left < end and cumulated[left] < low:
            left += 1
        while right > start and cumulated[right] > high:
            right -= 1
        next_start, next_end = start, end
        if left - start > end - right:
            next_start, alpha = left, next_alpha
        else:
            next_end, beta = right, next_beta
        if (next_start, next_end) == (start, end):
            continue
        norm = self._compute_quantization_error(next_start, next_end)
        if norm > best:
            break
        best, start, end = norm, next_start, next_end
    return self.min_val + bin_width * start, self.min_val + bin_width * (end + 1)
