"""Every list of operators in fuseguard.backend.op_sets is the installed backend's own.

Protects: what the rules say of an op follows these lists, and a release changes them without notice.
"""

from __future__ import annotations

from importlib import metadata

import pytest

pytestmark = pytest.mark.torch

pytest.importorskip("executorch")

import torch  # noqa: E402

from fuseguard.backend import early_dtypes  # noqa: E402
from fuseguard.backend.op_sets import LISTS, TABLE_OPS  # noqa: E402
from fuseguard.ir import lookup  # noqa: E402
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
