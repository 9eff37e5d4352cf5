"""Inputs at which a quantized program is most likely to differ from another one: where its codes end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from fuseguard.ir.view import View
from fuseguard.readers.fx import read_program

#: What a float input that is not quantized at once is taken to range over.
_UNKNOWN = (-3.0, 3.0)


def extreme_inputs(program: ExportedProgram, inputs: Sequence[Any]) -> tuple[Any, ...]:
    """Inputs of the shapes and dtypes of ``inputs`` that hit both ends of every code range, zero, and what lies beyond.

    Integers, flags and what is not a tensor stay as they are.
    """
    view = View(read_program(program))
    leaves, spec = pytree.tree_flatten(tuple(inputs))
    names = program.graph_signature.user_inputs
    made = [_extreme(view, name, leaf) for name, leaf in zip(names, leaves, strict=True)]
    return tuple(pytree.tree_unflatten(made, spec))


def _extreme(view: View, name: Any, value: Any) -> Any:
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        return value
    found = [view.qparams(q) for q in view.out_q(view.graph[str(name)])]
    low, high = next(((q.low, q.high) for q in found if q is not None and q.known and not q.per_channel), _UNKNOWN)
    ends = torch.tensor([low, high, 0.0, 3 * low, 3 * high, low / 2, high / 2, high - low])
    ends = torch.nan_to_num(ends, nan=0.0, posinf=1e30, neginf=-1e30)
    return ends.repeat(value.numel() // len(ends) + 1)[: value.numel()].reshape(value.shape).to(value.dtype)
