"""One kind per operator, whatever dialect or serializer spelled it."""

from __future__ import annotations

import pytest

from fuseguard.ir import Trait, canonical_target, lookup


@pytest.mark.parametrize(
    "spelling",
    [
        "torch.ops.aten.conv2d.default",
        "aten.conv2d.default",
        "aten::conv2d.default",
        "torch.ops.executorch.exir.dialects.edge._ops.aten.conv2d.default",
        "executorch.exir.dialects.edge._ops.aten.conv2d.default",
    ],
)
def test_spellings_of_one_operator_meet(spelling: str) -> None:
    assert canonical_target(spelling) == "aten.conv2d.default"


def test_getitem_is_an_operator_too() -> None:
    assert canonical_target("_operator.getitem") == "operator.getitem"
    assert canonical_target("_operator.add") == "operator.add"
    assert lookup("operator.getitem").has(Trait.GETITEM)


@pytest.mark.parametrize(
    ("aten", "edge", "kind"),
    [
        ("aten.conv2d.default", "aten.convolution.default", "conv"),
        ("aten.conv_transpose2d.input", "aten.convolution.default", "conv"),
        ("aten.reshape.default", "aten.view_copy.default", "view"),
        ("aten.permute.default", "aten.permute_copy.default", "permute"),
        ("aten.relu_.default", "aten.relu.default", "relu"),
        ("aten.relu6.default", "aten.hardtanh.default", "hardtanh"),
        ("aten.split.Tensor", "aten.split_with_sizes_copy.default", "split"),
        ("aten.concat.default", "aten.cat.default", "cat"),
        ("aten.matmul.default", "aten.bmm.default", "matmul"),
    ],
)
def test_aten_and_edge_have_one_kind(aten: str, edge: str, kind: str) -> None:
    assert lookup(aten).kind == lookup(edge).kind == kind


def test_an_unknown_operator_keeps_its_name_and_has_no_traits() -> None:
    info = lookup("mylib.frobnicate.default")
    assert (info.kind, info.traits) == ("frobnicate", Trait.NONE)


def test_an_unknown_operator_in_place_is_that_operator() -> None:
    assert lookup("aten.copy_.default").kind == lookup("aten.copy.default").kind == "copy"
    assert lookup("aten.__rshift__.Scalar").kind == "__rshift__"


def test_per_tensor_and_per_channel_are_both_q_and_dq() -> None:
    for name in ("per_tensor", "per_channel"):
        assert lookup(f"quantized_decomposed.quantize_{name}.default").has(Trait.QUANTIZE)
        assert lookup(f"quantized_decomposed.dequantize_{name}.default").has(Trait.DEQUANTIZE)
