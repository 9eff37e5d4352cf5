"""A third grammar: tensor bounds, side results of norms, broadcast index_put and sums of raw numbers.

Torch-free but for :func:`layers`. The kinds stand in the first grammar's table with a weight of 0, so that it draws
the same programs as before for each seed; this one gives ``WEIGHTS`` to ``grammar.draw_program``. Each kind takes one
value and yields one float value. Dynamic sizes are not drawn here: they concern the whole program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from .grammar import Program, draw_program
from .op_kinds import KINDS, OpKind, Params, Shape

if TYPE_CHECKING:
    from torch import nn

#: How often this grammar draws each kind, in the unit of the first one's weights.
WEIGHTS: dict[str, float] = {}


def _same(shape: Shape, count: int, params: Params) -> tuple[Shape, ...]:
    return (shape,)


def _reduced(shape: Shape, count: int, params: Params) -> tuple[Shape, ...]:
    return ((shape[0], 1, *shape[2:]),)


def _any(shape: Shape) -> bool:
    return True


def _define(
    name: str,
    weight: float,
    variants: int,
    *,
    fits: Callable[[Shape], bool] = _any,
    shapes: Callable[[Shape, int, Params], tuple[Shape, ...]] = _same,
) -> None:
    """A kind whose one parameter chooses among ``variants`` of it."""

    def draw(random: Random, shape: Shape) -> Params:
        return (float(random.randrange(variants)),)

    WEIGHTS[name] = weight
    KINDS[name] = OpKind(name, "shapes", "one", 0.0, fits, draw, shapes, layered=True)


_define("tensor_bounds", 4, 5)
_define("layer_norm_parts", 2, 3)
_define("group_norm_parts", 2, 2, fits=lambda shape: len(shape) == 4 and shape[1] % 2 == 0)
_define("put_values", 3, 4, fits=lambda shape: shape[1] >= 3)
_define("raw_cumsum", 2, 4)
_define("raw_sum", 3, 5, shapes=_reduced)
_define("raw_extreme", 1, 2, shapes=_reduced)


def program_of(seed: int, index: int) -> Program:
    """Program ``index`` of campaign ``seed``, in which these kinds are drawn beside the first grammar's."""
    return replace(draw_program(Random(f"shapes:{seed}:{index}"), WEIGHTS), edit=None)


def layers() -> dict[str, Callable[[Shape, Params], nn.Module]]:
    """What each kind holds and computes, from the shape that it takes and its parameters."""
    import torch
    from torch import Tensor, nn

    class Clamped(nn.Module):
        """Bounds by channel: both, one of them, both beyond the values, both of no rank."""

        lower: Tensor
        upper: Tensor

        def __init__(self, shape: Shape, params: Params) -> None:
            super().__init__()
            self.variant = int(params[0])
            sizes = (1, shape[1], *[1] * (len(shape) - 2)) if self.variant < 4 else ()
            reach = 50.0 if self.variant == 3 else 1.0
            self.register_buffer("lower", -reach * (torch.rand(sizes) + 0.1))
            self.register_buffer("upper", reach * (torch.rand(sizes) + 0.1))

        def forward(self, value: Tensor) -> Tensor:
            if self.variant == 1:
                return torch.clamp(value, min=self.lower)
            return torch.clamp(value, None if self.variant == 2 else self.lower, self.upper)

    class LayerNormParts(nn.Module):
        """The result with the mean, with the rstd, or with both."""

        def __init__(self, shape: Shape, params: Params) -> None:
            super().__init__()
            self.variant, self.width = int(params[0]), shape[-1]
            self.weight = nn.Parameter(torch.rand(self.width) + 0.5)

        def forward(self, value: Tensor) -> Tensor:
            result, mean, rstd = torch.native_layer_norm(value, [self.width], self.weight, None, 1e-3)
            return (result + mean, result * rstd, result * rstd + mean)[self.variant]

    class GroupNormParts(nn.Module):
        """The result with the mean or the rstd of each group."""

        def __init__(self, shape: Shape, params: Params) -> None:
            super().__init__()
            self.place = 1 + int(params[0])
            self.weight = nn.Parameter(torch.rand(shape[1]) + 0.5)

        def forward(self, value: Tensor) -> Tensor:
            batch, channels, height, width = value.shape
            found = torch.native_group_norm(value, self.weight, None, batch, channels, height * width, 2, 1e-3)
            return found[0] + found[self.place].mean(1)[:, None, None, None]

    class Put(nn.Module):
        """Two channels overwritten: by one number, a tensor of one element, one value for each, and all values."""

        index: Tensor
        values: Tensor

        def __init__(self, shape: Shape, params: Params) -> None:
            super().__init__()
            rest = [1] * (len(shape) - 2)
            sizes = ((), (1,), (1, 2, *rest), (shape[0], 2, *shape[2:]))[int(params[0])]
            self.register_buffer("index", torch.tensor([0, 2]))
            self.register_buffer("values", torch.randn(sizes))

        def forward(self, value: Tensor) -> Tensor:
            written = value * 1.5
            written[:, self.index] = self.values
            return written

    class RawCumsum(nn.Module):
        """Of bools in float, of their negation, of bools cast before, and of int32."""

        def __init__(self, shape: Shape, params: Params) -> None:
            super().__init__()
            self.variant = int(params[0])

        def forward(self, value: Tensor) -> Tensor:
            mask = value > 0
            data = (mask, ~mask, mask.float(), mask.int())[self.variant]
            return data.cumsum(1, dtype=torch.float32) * value

    class RawSum(nn.Module):
        """The sum of bools and int32, the product and the mean of bools, and a sum that is cast before."""

        def __init__(self, shape: Shape, params: Params) -> None:
            super().__init__()
            self.variant = int(params[0])

        def forward(self, value: Tensor) -> Tensor:
            mask = value > 0
            if self.variant == 0:
                return mask.sum(1, keepdim=True, dtype=torch.float32)
            if self.variant == 1:
                return mask.int().sum(1, keepdim=True, dtype=torch.float32)
            if self.variant == 2:
                return mask.prod(1, keepdim=True, dtype=torch.float32)
            if self.variant == 3:
                return mask.mean(1, keepdim=True, dtype=torch.float32)
            return mask.float().sum(1, keepdim=True)

    class RawExtreme(nn.Module):
        """Whether any, or all, of the values are positive."""

        def __init__(self, shape: Shape, params: Params) -> None:
            super().__init__()
            self.largest = bool(params[0])

        def forward(self, value: Tensor) -> Tensor:
            mask = value > 0
            return (mask.amax(1, keepdim=True) if self.largest else mask.amin(1, keepdim=True)).float()

    made: dict[str, Callable[[Shape, Params], nn.Module]] = {
        "tensor_bounds": Clamped,
        "layer_norm_parts": LayerNormParts,
        "group_norm_parts": GroupNormParts,
        "put_values": Put,
        "raw_cumsum": RawCumsum,
        "raw_sum": RawSum,
        "raw_extreme": RawExtreme,
    }
    return made
