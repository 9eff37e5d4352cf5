"""Which convolutions get a factor folded into their weight: one after them, or 1/scale of the Q after them.

``FoldScalarMulIntoConvPass`` stores the weight and bias, multiplied, as what they were stored as before, and gives no
lifetime for them. A buffer needs one, and lowering crashes. A weight that ops make of constants, such as a DQ of stored
codes, is stored like the first of these constants (``ComputeConstantOpsAOTPass``).

Source: ``_passes/fold_scalar_mul_into_conv_pass.py``, ``fuse_constant_ops_pass.py`` and ``create_constant_placeholder``
(backends/transforms/utils.py) of ExecuTorch 1.4.1 and 1.5.1. 1.3.1 has no such pass.

Rules that depend on it: OP723, PL404.
"""

from __future__ import annotations

from math import prod
from typing import Literal

from fuseguard.backend.anchor_forms import anchor_form
from fuseguard.backend.fused_activation import is_fuseable_activation
from fuseguard.backend.rewrites import made_of_constants
from fuseguard.ir import Node, View
from fuseguard.target import Target


def scaled_as(view: View, convolution: Node, target: Target) -> Literal["", "conv", "conv1d"]:
    """Whether a factor is folded into a convolution that is in float; before 1.5, not into a conv1d.

    The pass skips convolutions that are transposed or grouped, and those with several readers. A conv1d is a conv2d
    between two views before 1.5.
    """
    if convolution.kind != "conv" or view.transposed(convolution):
        return ""
    form = anchor_form(view, convolution)
    users = view.users(convolution)
    if form == "grouped" or not users:
        return ""
    if len(users) == 1 and is_fuseable_activation(view, users[0], target):
        users = view.users(users[0])
    quantized = all(map(view.is_q, users)) and len({view.qparams(user) for user in users}) == 1
    if not quantized and not (len(users) == 1 and _is_factor(view, convolution, users[0])):
        return ""
    return "conv1d" if form == "conv1d" else "conv"


def _is_factor(view: View, convolution: Node, user: Node) -> bool:
    """Whether ``user`` multiplies by a constant or divides by one: a number, or one value or one for each channel."""
    if user.kind not in ("mul", "div") or user.annotated or user.kwargs.get("rounding_mode"):
        return False
    first, second = (view.graph.node_of(arg) for arg in user.args[:2])
    if first is not convolution and user.kind == "div":
        return False
    factor, literal = (second, user.args[1]) if first is convolution else (first, user.args[0])
    if factor is None:
        return isinstance(literal, (int, float))
    if factor is convolution or made_of_constants(view, factor) is None:
        return False
    return _by_channel(convolution, factor)


def _by_channel(convolution: Node, factor: Node) -> bool:
    """``FoldScalarMulIntoConvPass._get_channel_scale``."""
    if factor.meta is None or convolution.meta is None or None in factor.meta.shape:
        return False
    shape = (*[1] * (convolution.meta.rank - factor.meta.rank), *[size or 0 for size in factor.meta.shape])
    values = prod(shape)
    channels = convolution.meta.shape[1]
    return values == 1 or (len(shape) == convolution.meta.rank and values == shape[1] == channels)


def buffers_scaled(view: View, convolution: Node) -> tuple[Node, ...]:
    """The buffers that the weight and the bias of a convolution are stored as."""
    return tuple(item for item in _stored(view, convolution) if item is not None and item.stored_as == "buffer")


def has_parameters_alone(view: View, convolution: Node) -> bool:
    """Whether the weight and the bias of a convolution are known to be stored as parameters."""
    return all(item is not None and item.stored_as == "parameter" for item in _stored(view, convolution))


def _stored(view: View, convolution: Node) -> list[Node | None]:
    """The constants that decide what the product of the weight, and of the bias, is stored as; None if not known."""
    made = [view.graph.node_of(convolution.arg(place, name)) for place, name in ((1, "weight"), (2, "bias"))]
    sources = [made_of_constants(view, value) for value in made if value is not None]
    return [found.constants[0] if found and found.constants else None for found in sources]
