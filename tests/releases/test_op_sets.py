"""Every list of operators in fuseguard.backend.op_sets is the installed backend's own.

Protects: what the rules say of an op follows these lists, and a release changes them without notice.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata

import pytest

pytestmark = pytest.mark.torch

pytest.importorskip("executorch")

import torch  # noqa: E402
from executorch.exir.tracer import _default_decomposition_table  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from fuseguard.backend import early_dtypes, partition  # noqa: E402
from fuseguard.backend.op_sets import LISTS, ON_FP, REGISTERED_CHECKS_WITH_FP, TABLE_OPS  # noqa: E402
from fuseguard.ir import View, lookup  # noqa: E402
from fuseguard.readers.fx import read_program  # noqa: E402
from fuseguard_testkit.live_lists import live  # noqa: E402

RELEASE = metadata.version("executorch")


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_the_backends_own(name: str) -> None:
    op_set = LISTS[name]
    if op_set.exists_on(RELEASE):
        assert live(op_set) == op_set.on(RELEASE)
    else:
        with pytest.raises((AttributeError, ImportError)):
            live(op_set)


def test_torch_makes_floats_of_the_codes_of_some_table_ops() -> None:
    """early_dtypes._FLOATING: torch's promotion of integers, which no list of the backend has."""
    codes = torch.ones(4, dtype=torch.int8)
    arguments = {"aten.pow.Tensor_Scalar": (2,), "aten.remainder.Scalar": (2,)}
    made_floats = set()
    for op in TABLE_OPS.on(RELEASE):
        _, name, overload = op.split(".")
        try:
            result = getattr(getattr(torch.ops.aten, name), overload)(codes, *arguments.get(op, ()))
        except (NotImplementedError, RuntimeError):
            continue  # silu and the like are not implemented for integers: their dtype is never wrong
        if result.is_floating_point():
            made_floats.add(lookup(op).kind)
    assert made_floats == early_dtypes._FLOATING & TABLE_OPS.kinds(RELEASE)


#: What calls each op of partition.DECOMPOSED, on two tensors of shape (1, 4, 6, 6).
_CALLS: dict[str, Callable[[torch.Tensor, torch.Tensor], object]] = {
    "addcdiv": lambda x, y: torch.addcdiv(x, x, y),
    "addcmul": lambda x, y: torch.addcmul(x, x, y),
    "baddbmm": lambda x, y: torch.baddbmm(x[0], x[0], y[0]),
    "binary_cross_entropy": F.binary_cross_entropy,
    "binary_cross_entropy_with_logits": F.binary_cross_entropy_with_logits,
    "broadcast_tensors": lambda x, y: torch.broadcast_tensors(x, y[:, :1])[1] + x,
    "channel_shuffle": lambda x, y: F.channel_shuffle(x, 2),
    "dot": lambda x, y: torch.dot(x.flatten(), y.flatten()),
    "hann_window": lambda x, y: x * torch.hann_window(6),
    "hardshrink": lambda x, y: F.hardshrink(x),
    "huber_loss": F.huber_loss,
    "l1_loss": F.l1_loss,
    "lerp": lambda x, y: torch.lerp(x, y, 0.3),
    "log_sigmoid": lambda x, y: F.logsigmoid(x),
    "logsumexp": lambda x, y: torch.logsumexp(x, 1),
    "mish": lambda x, y: F.mish(x),
    "mse_loss": F.mse_loss,
    "mv": lambda x, y: torch.mv(x[0, 0], y[0, 0, 0]),
    "new_full": lambda x, y: x * x.new_full((6,), 0.3),
    "new_ones": lambda x, y: x * x.new_ones((6,)),
    "new_zeros": lambda x, y: x * x.new_zeros((6,)),
    "outer": lambda x, y: torch.outer(x[0, 0, 0], y[0, 0, 0]),
    "rms_norm": lambda x, y: F.rms_norm(x, (6,)),
    "smooth_l1_loss": F.smooth_l1_loss,
    "soft_margin_loss": F.soft_margin_loss,
    "softplus": lambda x, y: F.softplus(x),
    "softshrink": lambda x, y: F.softshrink(x),
    "std": lambda x, y: x.std(1),
    "threshold": lambda x, y: F.threshold(x, 0.1, 0.0),
}


class _Calling(torch.nn.Module):
    def __init__(self, function: Callable[[torch.Tensor, torch.Tensor], object]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> object:
        return self.function(x, y)


def test_every_decomposed_op_is_called() -> None:
    assert _CALLS.keys() == partition.DECOMPOSED


@pytest.mark.parametrize("name", _CALLS)
def test_the_edge_dialect_makes_ops_of_the_support_lists_of_what_is_decomposed(name: str) -> None:
    inputs = (torch.rand(1, 4, 6, 6), torch.rand(1, 4, 6, 6))
    program = torch.export.export(_Calling(_CALLS[name]), inputs)
    kinds = {node.kind for node in View(read_program(program)).ops}
    assert name in kinds
    made = {node.kind for node in View(read_program(program.run_decompositions(_default_decomposition_table()))).ops}
    assert name not in made
    listed = ON_FP.kinds(RELEASE) | REGISTERED_CHECKS_WITH_FP.kinds(RELEASE)
    assert made <= listed
