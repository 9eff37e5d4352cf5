"""How far the results of a lowered program are from the eager ones: which elements differ, and by how much."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from fuseguard.executorch.outputs import OutputGrid

#: Outputs that carry no scale of their own are compared in float. Torch and the reference model round
#: float32 differently; the largest difference seen on right lowerings is below 1e-6 of the output's largest value.
FLOAT_TOLERANCE = 1e-5


def differing_elements(
    outputs: Sequence[torch.Tensor], reference: Sequence[torch.Tensor], grids: Sequence[OutputGrid]
) -> list[torch.Tensor]:
    """Per output, where it is another code (or, without a scale of its own, another value) than the reference."""
    masks = []
    for output, want, grid in zip(outputs, reference, grids, strict=True):
        tolerance = 0.0
        if want.dtype.is_floating_point:
            # A float that differs by less than a hundredth of a step is the same code, dequantized elsewhere.
            tolerance = 0.01 * grid.step if grid.step is not None else FLOAT_TOLERANCE * magnitude(want)
        masks.append(absolute_errors(output, want) > tolerance)
    return masks


def absolute_errors(output: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    want, got = reference.to(torch.float64), output.to(torch.float64)
    # Equal infinities, and NaNs at the same place, are no error.
    same = (want == got) | (torch.isnan(want) & torch.isnan(got))
    return torch.where(same, torch.zeros_like(want), (want - got).abs()).nan_to_num(nan=math.inf)


def magnitude(values: torch.Tensor) -> float:
    finite = values[torch.isfinite(values)]
    return float(finite.abs().max()) if finite.numel() else 0.0


def sqnr(reference: Sequence[torch.Tensor], outputs: Sequence[torch.Tensor]) -> float:
    signal = sum(float((r.to(torch.float64) ** 2).sum()) for r in reference)
    noise = sum(
        float(((r.to(torch.float64) - o.to(torch.float64)) ** 2).sum()) for r, o in zip(reference, outputs, strict=True)
    )
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 and math.isfinite(noise) else -math.inf
