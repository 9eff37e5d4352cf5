"""Which operator calls an INT-only backend takes, as far as their quantization decides, and why not the others.

Source: ``CheckArmQuantized``, ``is_quantized`` and ``CheckProperQuantization`` (backends/arm/operator_support/
tosa_supported_operators.py), the two predicates of ``FuseQuantizedActivationPass`` that the last one asks, and the ops
that ``TOSA_PRO_FP_SupportList`` has and ``TOSA_PRO_INT_SupportList`` does not. Read and measured in ExecuTorch 1.2.0,
1.3.1, 1.4.1 and 1.5.1. Between these, four things change: the INT list and ``TableOps`` grow (``_LISTED_SINCE``); a
``sym_size`` is a permitted reader from 1.4 on; 1.5 refuses a size as an operand, at which the check raises TypeError
before; and 1.5 fuses more activations.

The backend asks these questions of the edge graph, and with float support only whether the INT list has an annotated
op. In an ATen graph an op is judged in the form that it has in the edge dialect.

Rules that depend on it: OP718, PL402, and those of convert_full_like and fold_qparams and lookup_table and partition
and passed_on_inputs and quantized_operands and quantized_values and raw_reductions and unlowered_forms and
unread_inputs.
"""

from __future__ import annotations

import enum

from fuseguard.backend.fused_activation import is_fuseable_activation, is_fuseable_anchor
from fuseguard.backend.releases import PERMITS_SIZES
from fuseguard.ir import Node, Trait, View
from fuseguard.target import Target


class Refusal(enum.Enum):
    """Why an INT-only backend leaves an operator call on the CPU."""

    UNLISTED = "unlisted"  # only the float profile's support list has it
    NOT_ANNOTATED = "not-annotated"  # CheckArmQuantized: nothing says that it is quantized
    FLOAT_INPUT = "float-input"  # CheckProperQuantization: a float operand comes from no DQ
    SYMBOLIC_INPUT = "symbolic-input"  # CheckProperQuantization: a size is an operand
    FLOAT_OUTPUT = "float-output"  # CheckProperQuantization: something other than a Q reads the float result


#: TableOps.included_ops(), by kind.
TABLE_OPS = frozenset((
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "elu", "erf", "erfinv", "exp", "expm1",
    "floor", "gelu", "hardsigmoid", "hardswish", "leaky_relu", "log", "log10", "log1p", "pow", "reciprocal",
    "remainder", "round", "rsqrt", "sigmoid", "silu", "sin", "sinh", "tan", "tanh",
))  # fmt: skip

#: CheckProperQuantization.targeted_ops, by kind.
TARGETED = TABLE_OPS | frozenset((
    "add", "avg_pool2d", "conv", "full", "hardtanh", "linear", "matmul", "max_pool2d", "max_pool2d_with_indices",
    "mean", "mul", "neg", "relu", "sub", "upsample_bilinear2d", "upsample_nearest2d",
))  # fmt: skip

#: Kinds of which ``targeted_ops`` has this overload alone.
_TARGETED_OVERLOADS = {
    "add": "Tensor", "mean": "dim", "mul": "Tensor", "pow": "Tensor_Scalar", "remainder": "Scalar", "sub": "Tensor",
}  # fmt: skip

#: What the edge dialect makes a targeted op of, although its own kind is none. All of them are unary.
_BECOME_TARGETED = frozenset(("selu", "square"))

#: What the edge dialect makes several ops of, with data movement between the targeted one and the DQ.
_WRAPPED = frozenset(("avg_pool1d.default", "celu.default", "max_pool1d.default"))

#: What only the float profile's list has: whole kinds, and single overloads.
_FLOAT_ONLY_KINDS = frozenset((
    "addmm", "batch_norm", "group_norm", "layer_norm", "log_softmax", "logit", "native_group_norm", "ne", "softmax",
    "sqrt", "var",
))  # fmt: skip
_FLOAT_ONLY = frozenset((
    "add.Scalar", "div.Scalar", "div.Tensor", "mean.default", "mul.Scalar", "rsub.Scalar", "sub.Scalar",
))  # fmt: skip

#: By operator call, which arguments may be numbers of which the edge dialect makes float tensors.
_NUMBERS = {
    "add.Tensor": (0, 1), "masked_fill.Scalar": (2,), "mul.Tensor": (0, 1), "rsub.Scalar": (1,), "sub.Tensor": (0, 1),
    "where.Scalar": (1, 2), "where.ScalarOther": (2,), "where.ScalarSelf": (1,),
}  # fmt: skip

#: The release from which on the INT list, and TableOps if it is one, has an op.
_LISTED_SINCE = {
    "div.Tensor_mode": "1.4", "floor_divide.default": "1.4", "leaky_relu.default": "1.4", "log10.default": "1.3",
    "remainder.Scalar": "1.3", "round.default": "1.4",
}  # fmt: skip


def refusal(view: View, node: Node, target: Target) -> Refusal | None:
    """Why an INT-only backend leaves an operator call on the CPU; None if its quantization is not a reason to.

    Ops that no support list has are not known here, nor what de-tagging takes out of a partition later on. Q and DQ
    are never refused.
    """
    if node.op != "call" or view.is_q(node) or view.is_dq(node):
        return None
    if is_unlisted(node, target):
        return Refusal.UNLISTED
    return improper(view, node, target) if is_annotated(view, node) else Refusal.NOT_ANNOTATED


def is_unlisted(node: Node, target: Target | None = None) -> bool:
    """Whether the float profile has the op and the INT list has not, so that it stays on the CPU if it is annotated.

    Without ``target``, what no release has on its INT list.
    """
    name = _name(node)
    if node.kind in _FLOAT_ONLY_KINDS or name in _FLOAT_ONLY:
        return True
    return target is not None and name in _LISTED_SINCE and target.release_in(f"<{_LISTED_SINCE[name]}")


def is_annotated(view: View, node: Node) -> bool:
    """``is_quantized``: Arm's quantizer has marked it, it works on integers alone, or it is a constant for Qs."""
    if node.annotated:
        return True
    users = view.users(node)
    if node.info.has(Trait.CONSTANT) and users and all(map(view.is_q, users)):
        return True
    return not any(item.meta is None or item.meta.is_float for item in (node, *view.graph.inputs(node)))


def is_targeted(node: Node, target: Target | None = None) -> bool:
    """Whether CheckProperQuantization looks at the Q and DQ around the op, on the target's release or on any."""
    if node.kind == "adaptive_avg_pool2d":
        # The edge dialect makes a mean of a pool to one element. Others it keeps, and nobody checks them.
        return node.meta is not None and node.meta.shape[-2:] == (1, 1) and not _name(node).startswith("_")
    if node.kind in _BECOME_TARGETED or _name(node) in _WRAPPED:
        return True
    if node.kind not in TARGETED or _name(node).startswith("arange") or is_unlisted(node, target):
        return False
    return node.kind not in _TARGETED_OVERLOADS or node.target.endswith(f".{_TARGETED_OVERLOADS[node.kind]}")


def improper(view: View, node: Node, target: Target) -> Refusal | None:
    """What CheckProperQuantization alone has against an operator call, annotated or not."""
    if not is_targeted(node, target):
        return None
    fed = [producer for producer in view.graph.inputs(node) if not view.is_dq(producer)]
    if any(_is_size(producer) for producer in fed):
        return Refusal.SYMBOLIC_INPUT
    reads_floats = bool(numbers_beside(node)) or any(map(_is_float, fed))
    if _is_wrapped(node) or (reads_floats and not _reads_fused_anchor(view, node, target)):
        return Refusal.FLOAT_INPUT
    return None if _ends_in_codes(view, node, target) else Refusal.FLOAT_OUTPUT


def numbers_beside(node: Node) -> tuple[float, ...]:
    """The numbers that an op computes with beside its tensors, as ``x + 1`` does. The backend reads float tensors."""
    places = _NUMBERS.get(_name(node), ())
    operands = [node.args[place] for place in places if place < len(node.args)]
    return tuple(float(item) for item in operands if isinstance(item, int | float))


def _reads_fused_anchor(view: View, node: Node, target: Target) -> bool:
    """Whether the node is an activation that becomes part of the rescale of what it reads."""
    inputs = view.graph.inputs(node)
    return bool(inputs) and is_fuseable_anchor(view, inputs[0]) and is_fuseable_activation(view, node, target)


def _ends_in_codes(view: View, node: Node, target: Target) -> bool:
    users = view.users(node)
    if node.meta is None or not node.meta.is_float:
        return True
    if node.kind == "max_pool2d_with_indices":
        return all(user.info.has(Trait.GETITEM) and all(map(view.is_q, view.users(user))) for user in users)
    if is_fuseable_anchor(view, node) and is_fuseable_activation(view, users[0], target):
        return True
    sizes = PERMITS_SIZES.in_force(target)
    return all(view.is_q(user) or (sizes and user.target == "aten.sym_size.int") for user in users)


def _is_wrapped(node: Node) -> bool:
    """Whether no DQ is next to the targeted op in the edge dialect: 1-D pools, celu, matmul of 3-D tensors."""
    if node.target.startswith("aten.matmul"):
        return node.meta is not None and node.meta.rank > 2
    return _name(node) in _WRAPPED


def _name(node: Node) -> str:
    return node.target.removeprefix("aten.")


def _is_size(node: Node) -> bool:
    """Whether the node yields a number and no tensor."""
    return node.op == "call" and not node.outputs


def _is_float(node: Node) -> bool:
    return node.meta is not None and node.meta.is_float
