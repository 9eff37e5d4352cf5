"""Quantized ops that the partitioner takes and that no pass makes integer arithmetic of.

FoldAndAnnotateQParamsPass takes the Q and DQ of every annotated op away. What has neither a lookup table nor a RESCALE
of its own is then computed with codes. So is what the edge dialect makes several ops of, all of them annotated, with
neither Q nor DQ between them. Arm's quantizer decomposes such ops before it annotates. Its own programs have none.

Source: ``TOSA_PRO_INT_SupportList``; ``DecomposeSignPass``, ``ReplaceScalarWithTensorByProfilePass``,
``DecomposeRemainderPass``, ``DecomposeDivTensorModePass``, ``DecomposeMeanDimPass``, ``DecomposeAddSubAlphaPass`` and
``DecomposeUnfoldToGatherPass``, all of which see codes; the TOSA operators GREATER, EQUAL, POW, INTDIV, LOGICAL_NOT and
REDUCE_ANY; the core decompositions of torch. Read and measured in ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1.

Rules that depend on it: DT514, and those of unlowered_forms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from fuseguard.backend.decompose_mean import is_made_a_mean
from fuseguard.backend.int32_rescales import COMPARISONS
from fuseguard.backend.partition import stays_outside
from fuseguard.backend.releases import DECOMPOSES_QUANTIZED_MEANS
from fuseguard.ir import Node, View
from fuseguard.ir.value import Value
from fuseguard.target import Target

_SCALAR_COMPARISONS = frozenset(f"aten.{kind}.Scalar" for kind in COMPARISONS)

#: By operator, the case and what the op is in words; what depends on more than the operator is below.
_OPERATORS = {
    "sign": ("sign", "a sign"),
    "sgn": ("sign", "a sign"),
    "floor_divide": ("divided", "a floor division"),
    "prod": ("product", "a product of elements"),
    "unfold": ("windows", "an unfold"),
    "unfold_copy": ("windows", "an unfold"),
    **dict.fromkeys(
        ("logical_not", "logical_and", "logical_or", "logical_xor", "any", "all"), ("bools", "a logical op of numbers")
    ),
}

#: Operators of which the edge dialect makes several ops, by case. Without float support, most of the parts stay on the
#: CPU; the case says what becomes of those that do not, and of all of them with float support.
_PARTS = {
    **dict.fromkeys((
        "addcdiv", "addcmul", "addr", "baddbmm", "binary_cross_entropy", "binary_cross_entropy_with_logits",
        "cosine_similarity", "deg2rad", "frobenius_norm", "huber_loss", "lerp", "logsumexp",
        "mish", "outer", "pairwise_distance", "prelu", "rad2deg", "renorm", "rms_norm", "sinc", "smooth_l1_loss",
        "soft_margin_loss", "softplus", "softshrink", "threshold", "xlogy",
    ), "parts"),
    **dict.fromkeys((
        "_safe_softmax", "frac", "hardshrink", "l1_loss", "linalg_cross", "mse_loss", "nan_to_num", "special_entr",
        "tril", "triu",
    ), "mixed parts"),
    **dict.fromkeys(("diff", "einsum", "glu", "inner", "tensordot"), "cut parts"),
    **dict.fromkeys(("im2col", "col2im"), "moved parts"),
    **dict.fromkeys(("mv", "nansum"), "summed parts"),
    **dict.fromkeys(("index_add", "log_sigmoid"), "delegated parts"),
    **dict.fromkeys(("upsample_bicubic2d", "upsample_linear1d", "upsample_trilinear3d"), "raw parts"),
    **dict.fromkeys((
        "_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d", "upsample_nearest1d",
        "upsample_nearest3d",
    ), "placed parts"),
    **dict.fromkeys(("block_diag", "index_fill", "logaddexp"), "compared parts"),
    "kron": "viewed parts",
    "scaled_dot_product_attention": "yielded parts",
    "select_scatter": "raw parts",
}  # fmt: skip
#: Those whose parts hand codes on or average them, so that they are right as long as no qparams change.
_TRANSPARENT_PARTS = {
    **dict.fromkeys(
        ("column_stack", "dstack", "hstack", "row_stack", "vstack"), "joined parts"
    ),
    **dict.fromkeys(("_adaptive_avg_pool2d", "adaptive_avg_pool2d", "cartesian_prod"), "unscaled parts"),
    "slice_scatter": "scattered parts",
}
#: Norms, by the order: a power of the sum of powers, of the sum of absolute values, or the largest of these.
_NORMS = frozenset(("linalg_norm", "linalg_vector_norm", "norm"))
_OF_ORDER = {0: "", 1: "cut parts", math.inf: "raw parts", -math.inf: "raw parts"}


class CodesOnly(Value, frozen=True):
    """``node`` is such an op. ``case`` says what becomes of it, ``form`` which op it is."""

    node: Node
    case: str
    form: str


def computed_with_codes(view: View, target: Target) -> Iterator[CodesOnly]:
    """Every such op that reads dequantized values."""
    for node in view.ops:
        if not reads_codes(view, node):
            continue
        case = _case_of_parts(view, node)
        if case:
            yield CodesOnly(node, case, node.operator)
            continue
        case, form = _form(node, target)
        if case and not stays_outside(view, node, target):
            yield CodesOnly(node, case, form)


def reads_codes(view: View, node: Node) -> bool:
    """Whether the backend has an op compute with codes: it is annotated, and the DQ in front of it is folded."""
    return node.annotated and any(map(view.is_dq, view.graph.inputs(node)))


def _case_of_parts(view: View, node: Node) -> str:
    """The case of an op of which the edge dialect makes several; "" for others."""
    if node.operator in _NORMS:
        return _case_of_norm(node)
    if node.operator == "einsum" and _is_of_one(node):
        return ""
    if node.operator == "matmul" and node.meta is not None and node.meta.rank > 2:
        return "parts" if all(map(view.is_dq, view.graph.inputs(node))) else ""  # views around a bmm
    if node.operator in _TRANSPARENT_PARTS:
        return _TRANSPARENT_PARTS[node.operator] if _changes_qparams(view, node) else ""
    if node.operator == "adaptive_avg_pool1d" and node.meta is not None and node.meta.shape[-1] == 1:
        return "cut parts"  # a mean between two views
    if node.operator == "tensordot" and _is_plain_product(view, node):
        return "multiplied parts"
    case = _PARTS.get(node.operator, "")
    if case == "mixed parts" and node.meta is not None and node.meta.rank == 0:
        return "yielded parts"  # a loss
    return case


def _changes_qparams(view: View, node: Node) -> bool:
    """Whether an op's operands and its result have different qparams. A pool to one element is a mean."""
    found = {qparams for item in (*view.graph.inputs(node), *view.out_q(node)) if (qparams := view.qparams(item))}
    return len(found) > 1 and not is_made_a_mean(node)


def _is_plain_product(view: View, node: Node) -> bool:
    """Whether a tensordot is that of two matrices as they are: it moves nothing before it multiplies them."""
    ranks = [item.meta.rank for item in view.graph.inputs(node) if item.meta is not None]
    return ranks == [2, 2] and node.args[2:4] == ((1,), (0,))


def _is_of_one(node: Node) -> bool:
    """Whether an einsum has one operand, whose values it moves or adds up."""
    operands = node.arg(1, "tensors")
    return isinstance(operands, tuple) and len(operands) < 2


def _case_of_norm(node: Node) -> str:
    order = node.arg(1, "p" if node.operator == "norm" else "ord", 2)
    if order is None:
        order = 2
    return _OF_ORDER.get(order, "parts") if isinstance(order, int | float) else ""


def _form(node: Node, target: Target) -> tuple[str, str]:
    """The case and the op in words; two empty texts for an op that has an integer form."""
    if node.target in _SCALAR_COMPARISONS:
        return "compared", "a comparison with a number"
    if node.target == "aten.remainder.Tensor":
        return "divided", "a remainder of two tensors"
    if node.target == "aten.div.Tensor_mode":
        floors = node.arg(2, "rounding_mode") == "floor"
        return ("divided", "a floor division") if floors else ("truncated", "a division that truncates")
    if node.target == "aten.pow.Tensor_Tensor":
        return "power", "a power of two tensors"
    if (node.target == "aten.mean.dim" or is_made_a_mean(node)) and DECOMPOSES_QUANTIZED_MEANS.in_force(target):
        return "mean", "a mean"
    if node.target in ("aten.add.Tensor", "aten.sub.Tensor") and node.arg(2, "alpha", 1) != 1:
        return ("sum", "an add with alpha") if node.kind == "add" else ("difference", "a sub with alpha")
    return _OPERATORS.get(node.operator, ("", ""))
