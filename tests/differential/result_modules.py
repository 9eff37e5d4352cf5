"""The torch side of the second grammar: what its endings compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .result_grammar import ENDINGS, ResultProgram

#: From a result of the base program, an input (of rank 0 in the family "number") and a Python number.
_End: TypeAlias = Callable[[Tensor, Tensor, float], Tensor]


def _dims(value: Tensor) -> tuple[int, ...]:
    return tuple(range(value.dim()))


def _one_hot(value: Tensor, other: Tensor, number: float) -> Tensor:
    del other, number
    return F.one_hot((value.flatten()[:4] > 0).to(torch.int64), 3)


def _copy_onto(value: Tensor, other: Tensor, number: float) -> Tensor:
    del number
    return torch.ops.aten.copy.default(other if other.shape == value.shape else value, value)


ENDS: dict[str, _End] = {
    "sum_all": lambda v, x, n: v.sum(),
    "mean_all": lambda v, x, n: v.mean(),
    "amax_all": lambda v, x, n: v.amax(),
    "amin_all": lambda v, x, n: v.amin(),
    "any_all": lambda v, x, n: (v > n).any(),
    "all_all": lambda v, x, n: (v > -n).all(),
    "first_element": lambda v, x, n: v.flatten()[0],
    "reshaped_to_scalar": lambda v, x, n: v.amax(_dims(v), keepdim=True).reshape(()),
    "relu_of_mean": lambda v, x, n: torch.relu(v.mean()),
    "minus_mean": lambda v, x, n: v - v.mean(),
    "times_amax": lambda v, x, n: v * v.amax(),
    "expanded_amax": lambda v, x, n: v.amax().expand(3),
    "stacked_scalars": lambda v, x, n: torch.stack([v.amax(), v.amin()]),
    "sum_with_dim": lambda v, x, n: v.sum().reshape(1),
    "stacked_with_sum": lambda v, x, n: torch.stack([v.sum(), v.mean()]),
    "joined_with_sum": lambda v, x, n: torch.cat([v.sum().unsqueeze(0), v.flatten()]),
    "number_added": lambda v, x, n: v + x,
    "number_stacked": lambda v, x, n: torch.stack([x, v.mean()]),
    "number_joined": lambda v, x, n: torch.cat([x.unsqueeze(0), v.flatten()]),
    "number_product_joined": lambda v, x, n: torch.cat([v.flatten() * x.unsqueeze(0), v.flatten()]),
    "zeros_like": lambda v, x, n: torch.zeros_like(x),
    "ones_like": lambda v, x, n: torch.ones_like(v),
    "full_like": lambda v, x, n: torch.full_like(x, n),
    "fill": lambda v, x, n: torch.fill(x, n),
    "plus_ones_like": lambda v, x, n: v + torch.ones_like(x if x.shape == v.shape else v),
    "copy_onto": _copy_onto,
    "bool_ones_like": lambda v, x, n: torch.ones_like(v, dtype=torch.bool),
    "int32_full_like": lambda v, x, n: torch.full_like(x, 100 * n, dtype=torch.int32),
    "int8_zeros_like": lambda v, x, n: torch.zeros_like(v, dtype=torch.int8),
    "chosen_by_ones": lambda v, x, n: torch.where(torch.ones_like(v, dtype=torch.bool), v, -v),
    "filled_by_zeros": lambda v, x, n: v.masked_fill(torch.zeros_like(v, dtype=torch.bool), n),
    "int32_compared": lambda v, x, n: torch.where(torch.full_like(v, 100 * n, dtype=torch.int32) > 60, v, -v),
    "int32_in_shape_of_mask": lambda v, x, n: torch.where(torch.full_like(v > 0, 2 * n, dtype=torch.int32) > 2, v, -v),
    "int32_cast": lambda v, x, n: v + torch.full_like(v, 100 * n, dtype=torch.int32).to(torch.float32),
    "int32_in_shape_of_argmax": lambda v, x, n: torch.full_like(v.argmax(1), 10 * n, dtype=torch.int32),
    "not_ones": lambda v, x, n: ~torch.ones_like(x, dtype=torch.bool),
    "cropped": lambda v, x, n: F.pad(v, (-1, 1)),
    "not_of_numbers": lambda v, x, n: torch.logical_not(v),
    "any_of_numbers": lambda v, x, n: torch.any(v, -1),
    "equal_masks": lambda v, x, n: (v > 0) == (v > n),
    "masks_added": lambda v, x, n: (v > 0) + (v < n),
    "columns_added": lambda v, x, n: v.index_add(-1, torch.tensor([0]), v[..., :1]),
    "cast_to_int8": lambda v, x, n: v.to(torch.int8),
    "cast_to_int16_and_back": lambda v, x, n: v.to(torch.int16).float(),
    "half_to_int32": lambda v, x, n: v.half().to(torch.int32),
    "gathered_by_zeros": lambda v, x, n: torch.gather(v, -1, torch.zeros(v.shape, dtype=torch.int64)),
    "on_diagonals": lambda v, x, n: torch.diag_embed(v),
    "resized_bicubic": lambda v, x, n: F.interpolate(v.reshape(1, 1, 1, -1), scale_factor=2, mode="bicubic"),
    "squared_error": lambda v, x, n: F.mse_loss(v, v * n),
    "dot": lambda v, x, n: torch.dot(v.flatten(), v.flatten()),
    "log_sigmoid": lambda v, x, n: F.logsigmoid(v),
    "int64_ones": lambda v, x, n: torch.ones(2, dtype=torch.int64),
    "int64_zeros": lambda v, x, n: torch.zeros(2, dtype=torch.int64),
    "int64_arange": lambda v, x, n: torch.arange(5),
    "int64_full": lambda v, x, n: torch.full((2,), 7),
    "argmax": lambda v, x, n: v.argmax(1),
    "one_hot": _one_hot,
    "exp2": lambda v, x, n: torch.exp2(v),
    "signbit": lambda v, x, n: torch.signbit(v),
    "cumprod_of_last": lambda v, x, n: v.cumprod(-1),
}


class ResultModule(nn.Module):
    """The base program's module with the endings of a :class:`ResultProgram`."""

    def __init__(self, program: ResultProgram, base: nn.Module) -> None:
        super().__init__()
        self.base = base
        self.program = program

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        tensors = inputs[:-1] if self.program.has_number else inputs
        results = self.base(*tensors)
        ends = tuple(
            ENDS[ending.kind](
                results[ending.value % len(results)],
                inputs[-1] if ending.kind in ENDINGS["number"] else tensors[ending.other % len(tensors)],
                ending.number,
            )
            for ending in self.program.endings
        )
        if self.program.alone:
            return ends
        return (*ends, *results) if self.program.first else (*results, *ends)
