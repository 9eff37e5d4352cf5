"""OP718 on forms that its recorded examples do not have, on the installed backend.

Protects: what crashes with a dynamic size is announced, and lowers with the guard (campaign program 108 was missed).
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

from collections.abc import Callable  # noqa: E402

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.export import Dim  # noqa: E402

import fuseguard  # noqa: E402
from fuseguard.backend.releases import TAKES_SYMBOLIC_SIZES  # noqa: E402
from fuseguard.executorch import prove  # noqa: E402
from fuseguard.target import Target  # noqa: E402
from fuseguard_testkit.quantizing import quantize  # noqa: E402

INT = "TOSA-1.0+INT"


def written(x: torch.Tensor) -> torch.Tensor:
    return torch.index_put(x * 1.5, [torch.tensor([0])], torch.zeros(1))


def masked(x: torch.Tensor) -> torch.Tensor:
    return (x * 1.5).masked_fill(x > 0, 0.1)


def split(x: torch.Tensor) -> torch.Tensor:
    first, second = torch.split(x * 1.5, 2, 1)
    return first + second


class Function(nn.Module):
    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


@pytest.mark.skipif(not TAKES_SYMBOLIC_SIZES.in_force(Target.parse(INT)), reason="takes no dynamic size")
@pytest.mark.parametrize(("function", "dim"), [(written, 0), (masked, 0), (split, 3)])
def test_what_crashes_with_a_dynamic_size_is_announced_and_guarded(
    function: Callable[[torch.Tensor], torch.Tensor], dim: int
) -> None:
    inputs = (torch.randn(2, 4, 6, 6),)
    sizes = ({dim: Dim("size", min=2, max=64)},)
    program = quantize(Function(function), inputs, INT, dynamic_shapes=sizes)
    assert ("OP718", "crash") in {(item.code, item.effect.value) for item in fuseguard.check(program, INT).findings}
    assert prove(program, inputs, INT).outcome == "crash"
    assert prove(program, inputs, INT, checks="guard").outcome == "not_judged", "it lowers, with its dynamic size"
