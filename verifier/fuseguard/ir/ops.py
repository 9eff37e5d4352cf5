"""The one op table: what an ATen or edge operator is called here, and what it does to values and codes.

A trait is a property of the operator itself. Which ops the backend lowers to a lookup table, or puts rescales around,
is the backend's own list: see :mod:`fuseguard.backend.op_sets`, where a test compares the two.
"""

from __future__ import annotations

import enum
from functools import lru_cache


class Trait(enum.Flag):
    """What rules may ask of an op."""

    NONE = 0
    QUANTIZE = enum.auto()
    DEQUANTIZE = enum.auto()
    MAC = enum.auto()  # multiply-accumulate: an island's anchor
    ACTIVATION = enum.auto()  # a clamp in disguise; may be folded into the anchor's output rescale
    TRANSPARENT = enum.auto()  # codes pass through unchanged: input and output share one domain
    MOVES = enum.auto()  # each value that it yields is a value that it was given
    ARITHMETIC = enum.auto()  # computes or compares the real values of its operands, not their codes
    UNARY = enum.auto()  # applies one scalar function to each element: a lookup table can hold it
    LIST_INPUT = enum.auto()  # takes a list of tensors that share one domain
    MULTI_OUTPUT = enum.auto()  # yields several tensors, read through getitem
    GETITEM = enum.auto()
    CONTROL_FLOW = enum.auto()
    CONSTANT = enum.auto()  # makes a tensor from nothing
    DELEGATE = enum.auto()  # a call into an already lowered sub-graph


class OpInfo:
    """Canonical kind and traits of one operator. Unknown operators have their own name and no traits."""

    __slots__ = ("_bits", "kind", "traits")

    def __init__(self, kind: str, traits: Trait = Trait.NONE) -> None:
        self.kind = kind
        self.traits = traits
        self._bits: int = traits.value

    def has(self, trait: Trait) -> bool:
        # Asked several times of every node: plain integers are ten times as fast as combining enum members.
        return self._bits & trait._value_ != 0

    def __repr__(self) -> str:
        return f"OpInfo({self.kind!r}, {self.traits!r})"


_T = Trait
_UNARY_OPS = (
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "elu", "erf", "erfinv", "exp",
    "expm1", "floor", "gelu", "hardsigmoid", "hardswish", "leaky_relu", "log", "log10", "log1p", "logit", "pow",
    "reciprocal", "remainder", "round", "rsqrt", "sigmoid", "sign", "silu", "sin", "sinh", "sqrt", "tan", "tanh",
)  # fmt: skip
# kind -> (traits, further spellings of the op's name without namespace, overload, `_copy` and in-place `_`)
_TABLE: dict[str, tuple[Trait, tuple[str, ...]]] = {
    "quantize": (_T.QUANTIZE, ("quantize_per_tensor", "quantize_per_channel")),
    "dequantize": (_T.DEQUANTIZE, ("dequantize_per_tensor", "dequantize_per_channel")),
    "conv": (
        _T.MAC,
        ("convolution", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    ),
    "linear": (_T.MAC, ()),
    "matmul": (_T.MAC, ("mm", "bmm")),
    "addmm": (_T.MAC, ()),
    "relu": (_T.ACTIVATION | _T.TRANSPARENT, ()),
    "hardtanh": (_T.ACTIVATION | _T.TRANSPARENT, ("relu6",)),
    "clamp": (_T.ACTIVATION | _T.TRANSPARENT, ("clip", "clamp_min", "clamp_max")),
    # Bounds that are tensors, each with qparams of its own: see _OVERLOADS.
    "clamp_tensor": (_T.ARITHMETIC, ()),
    "view": (_T.TRANSPARENT, ("reshape", "_unsafe_view", "flatten", "unflatten", "view_as", "_reshape_alias")),
    "permute": (_T.TRANSPARENT, ("transpose", "t", "movedim", "moveaxis", "swapaxes", "swapdims", "numpy_T")),
    "squeeze": (_T.TRANSPARENT, ()),
    "unsqueeze": (_T.TRANSPARENT, ()),
    "expand": (_T.TRANSPARENT, ("expand_as", "broadcast_to")),
    "repeat": (_T.TRANSPARENT, ("tile", "repeat_interleave")),
    "slice": (_T.TRANSPARENT, ("narrow",)),
    "select": (_T.TRANSPARENT, ()),
    "split": (
        _T.TRANSPARENT | _T.MULTI_OUTPUT,
        ("split_with_sizes", "chunk", "tensor_split"),
    ),
    "unbind": (_T.TRANSPARENT | _T.MULTI_OUTPUT, ()),
    "getitem": (_T.TRANSPARENT | _T.GETITEM, ()),
    "cat": (_T.TRANSPARENT | _T.LIST_INPUT, ("concat", "concatenate")),
    "stack": (_T.TRANSPARENT | _T.LIST_INPUT, ()),
    "flip": (_T.TRANSPARENT, ()),
    "roll": (_T.TRANSPARENT, ()),
    "pad": (_T.TRANSPARENT, ("constant_pad_nd",)),
    "gather": (_T.TRANSPARENT, ()),
    "index": (_T.TRANSPARENT, ("index_select", "unfold")),
    "index_put": (_T.TRANSPARENT, ()),
    "where": (_T.TRANSPARENT, ()),
    "masked_fill": (_T.TRANSPARENT, ()),
    "max_pool2d": (_T.TRANSPARENT, ("max_pool1d",)),
    "max_pool2d_with_indices": (_T.TRANSPARENT | _T.MULTI_OUTPUT, ()),
    "avg_pool2d": (_T.TRANSPARENT, ("avg_pool1d",)),
    "adaptive_avg_pool2d": (_T.TRANSPARENT, ("_adaptive_avg_pool2d", "adaptive_avg_pool1d")),
    "amax": (_T.TRANSPARENT, ()),
    "amin": (_T.TRANSPARENT, ()),
    "neg": (_T.TRANSPARENT, ()),
    "upsample_nearest2d": (_T.TRANSPARENT, ()),
    "upsample_bilinear2d": (_T.TRANSPARENT, ()),
    "pixel_shuffle": (_T.TRANSPARENT, ()),
    "pixel_unshuffle": (_T.TRANSPARENT, ()),
    "clone": (
        _T.TRANSPARENT,
        ("alias", "detach", "contiguous", "lift_fresh", "dropout", "_clone_dim_order", "_to_dim_order"),
    ),
    "add": (_T.ARITHMETIC, ()),
    "sub": (_T.ARITHMETIC, ("rsub",)),
    "mul": (_T.ARITHMETIC, ()),
    "abs": (_T.ARITHMETIC, ()),
    "sum": (_T.ARITHMETIC, ()),
    "maximum": (_T.ARITHMETIC, ()),
    "minimum": (_T.ARITHMETIC, ()),
    "eq": (_T.ARITHMETIC, ()),
    "ne": (_T.ARITHMETIC, ()),
    "ge": (_T.ARITHMETIC, ()),
    "gt": (_T.ARITHMETIC, ()),
    "le": (_T.ARITHMETIC, ()),
    "lt": (_T.ARITHMETIC, ()),
    "any": (_T.NONE, ("all",)),
    "div": (_T.NONE, ()),
    "mean": (_T.NONE, ()),
    "softmax": (_T.NONE, ("_softmax", "_safe_softmax")),
    "log_softmax": (_T.NONE, ("_log_softmax",)),
    "layer_norm": (_T.NONE, ("native_layer_norm",)),
    "batch_norm": (_T.NONE, ("_native_batch_norm_legit_no_training", "native_batch_norm")),
    **dict.fromkeys(_UNARY_OPS, (_T.UNARY, ())),
    "sign": (_T.UNARY, ("sgn",)),
    "full": (_T.CONSTANT, ("full_like", "ones", "ones_like", "zeros", "zeros_like", "fill", "scalar_tensor", "arange")),
    "cond": (_T.CONTROL_FLOW, ()),
    "while_loop": (_T.CONTROL_FLOW, ()),
    "executorch_call_delegate": (_T.DELEGATE | _T.MULTI_OUTPUT, ()),
}  # fmt: skip

#: Data movement: no arithmetic, and no value but those of the operands (a pad may add one of its own).
_MOVEMENT = frozenset((
    "view", "permute", "squeeze", "unsqueeze", "expand", "repeat", "slice", "select", "split", "unbind", "getitem",
    "cat", "stack", "flip", "roll", "gather", "index", "where", "clone", "pixel_shuffle", "pixel_unshuffle",
    "upsample_nearest2d", "max_pool2d", "max_pool2d_with_indices", "amax", "amin",
))  # fmt: skip

_BY_NAME: dict[str, OpInfo] = {}
for _kind, (_traits, _names) in _TABLE.items():
    _traits |= _T.MOVES if _kind in _MOVEMENT else _T.NONE
    for _name in (_kind, *_names):
        _BY_NAME[_name] = OpInfo(_kind, _traits)

#: Overloads that are another kind than the op's others.
_OVERLOADS: dict[str, OpInfo] = dict.fromkeys(
    ("clamp.Tensor", "clip.Tensor", "clamp_min.Tensor", "clamp_max.Tensor"), _BY_NAME["clamp_tensor"]
)

KINDS: frozenset[str] = frozenset(_TABLE)

#: The kinds of what changes between values and codes.
QUANTIZERS = frozenset(("quantize", "dequantize"))

#: Operators whose result has the dtype that they are given, by name.
CASTS = frozenset(("_to_copy", "_to_dim_order_copy", "to"))


def canonical_target(target: str) -> str:
    """Spell an operator as ``namespace.op.overload`` whatever dialect or serializer it came from.

    ``torch.ops.aten.conv2d.default``, ``executorch.exir.dialects.edge._ops.aten.conv2d.default`` and
    ``aten::conv2d.default`` are all ``aten.conv2d.default``.
    """
    text = target.replace("::", ".")
    module, _, function = text.partition(".")
    if module == "_operator" or text == "builtins.getitem":  # what Python and serializers call the module of operators
        return f"operator.{function}"
    for prefix in ("edge._ops.", "edge.ops.", "torch.ops."):
        _, found, rest = text.rpartition(prefix)
        if found:
            text = rest
            break
    parts = text.lstrip(".").split(".")
    return ".".join(parts[-3:]) if len(parts) > 3 else ".".join(parts)


@lru_cache(maxsize=4096)
def lookup(target: str) -> OpInfo:
    """Kind and traits of a canonical target; unknown ops get their own name (``copy`` for ``copy_``) and no traits."""
    parts = target.split(".")
    name = parts[1] if len(parts) > 1 else parts[0]
    overload = parts[2] if len(parts) > 2 else ""
    for candidate in (name, name.removesuffix("_copy"), name.removesuffix("_")):
        if f"{candidate}.{overload}" in _OVERLOADS:
            return _OVERLOADS[f"{candidate}.{overload}"]
        if candidate in _BY_NAME:
            return _BY_NAME[candidate]
    return OpInfo(name if name.startswith("__") else name.removesuffix("_"))
