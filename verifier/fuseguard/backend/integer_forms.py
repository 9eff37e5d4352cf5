"""Quantized ops that the partitioner takes and that no pass makes integer arithmetic of.

FoldAndAnnotateQParamsPass takes the Q and DQ of every annotated op away. What has neither a lookup table nor a RESCALE
of its own is then computed with codes. Arm's quantizer decomposes such ops before it annotates. Its own programs have
none.

Source: ``TOSA_PRO_INT_SupportList``; ``DecomposeSignPass``, ``ReplaceScalarWithTensorByProfilePass``,
``DecomposeRemainderPass``, ``DecomposeDivTensorModePass``, ``DecomposeMeanDimPass``, ``DecomposeAddSubAlphaPass`` and
``DecomposeUnfoldToGatherPass``, all of which see codes; the TOSA operators GREATER, EQUAL, POW, INTDIV, LOGICAL_NOT and
REDUCE_ANY. Read and measured in ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1.

Rules that depend on it: DT514, and those of unlowered_forms.
"""

from __future__ import annotations

from collections.abc import Iterator

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


class CodesOnly(Value, frozen=True):
    """``node`` is such an op. ``case`` says what becomes of it, ``form`` which op it is."""

    node: Node
    case: str
    form: str


def computed_with_codes(view: View, target: Target) -> Iterator[CodesOnly]:
    """Every such op that reads dequantized values."""
    for node in view.ops:
        case, form = _form(node, target)
        if case and reads_codes(view, node) and not stays_outside(view, node, target):
            yield CodesOnly(node, case, form)


def reads_codes(view: View, node: Node) -> bool:
    """Whether the backend has an op compute with codes: it is annotated, and the DQ in front of it is folded."""
    return node.annotated and any(map(view.is_dq, view.graph.inputs(node)))


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
    if node.target == "aten.mean.dim" and DECOMPOSES_QUANTIZED_MEANS.in_force(target):
        return "mean", "a mean"
    if node.target in ("aten.add.Tensor", "aten.sub.Tensor") and node.arg(2, "alpha", 1) != 1:
        return ("sum", "an add with alpha") if node.kind == "add" else ("difference", "a sub with alpha")
    return _OPERATORS.get(node.operator, ("", ""))
