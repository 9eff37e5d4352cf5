"""Which constants in the shape of a value get that value's dtype in a delegate, and what the wrong dtype breaks.

Source: ``ConvertFullLikeToFullPass`` of ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1. It makes a ``full`` of a
``full_like`` with the dtype of the tensor that gives the shape, and ignores the dtype that the op asks for. The pass
runs after the DQs are folded, so a dequantized tensor has the dtype of its codes. ``ComputeConstantOpsAOTPass`` cannot
make a ``full`` whose number its dtype does not hold, and logs that. Nothing lowers the ``full`` that is left.

Rules that depend on it: OP713, OP719.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

from fuseguard.backend.partition import stays_outside
from fuseguard.backend.proper_quantization import refusal
from fuseguard.backend.rewrites import moves_values
from fuseguard.engine import MakeConstant, Rewrite
from fuseguard.ir import Node, View
from fuseguard.ir.ops import CASTS
from fuseguard.ir.qparams import INTEGER_RANGES
from fuseguard.ir.value import Value
from fuseguard.target import Target

#: What becomes a ``full_like`` in the edge dialect, with the value that it is filled with.
_FILLED: dict[str, float | None] = {"full_like": None, "ones_like": 1.0, "zeros_like": 0.0}

#: What goes wrong: a value of the wrong dtype leaves the delegate; an op cannot take it; it does not hold the number.
Fault: TypeAlias = Literal["leaves", "refused", "bool", "codes"]

#: What the partitioner leaves on the CPU whatever the op is.
_NOT_TAKEN = ("int64", "float64")
_LIMITS = {"bool": (0, 1)} | {dtype: INTEGER_RANGES[dtype] for dtype in ("int8", "uint8", "int16")}
_FLOATS = ("float16", "bfloat16", "float32")
#: Their result is a bool, whatever they compare.
_COMPARISONS = frozenset(("eq", "ge", "gt", "le", "lt", "ne"))
#: Two operands of these may have different dtypes: the result is the wider one.
_LOGICAL = frozenset((
    "bitwise_and", "bitwise_or", "bitwise_xor", "logical_and", "logical_or", "logical_xor", "__and__", "__or__",
    "__xor__",
))  # fmt: skip
_NEGATIONS = frozenset(("bitwise_not", "logical_not"))


class WrongDtype(Value, frozen=True):
    """``node`` should yield ``wanted`` and yields ``given`` in a delegate, which ``reader`` shows.

    ``taken`` is whether an INT-only backend takes the op into a delegate.
    """

    node: Node
    wanted: str
    given: str
    fault: Fault
    reader: Node
    taken: bool


def wrong_dtypes(view: View, target: Target) -> Iterator[WrongDtype]:
    """Each constant that has another dtype in a delegate, where that changes a result."""
    for node in view.of_kind("full"):
        if node.operator not in _FILLED or node.meta is None or view.out_q(node):
            continue
        given, wanted = _given(view, node), node.meta.dtype
        if given is None or given == wanted or wanted in _NOT_TAKEN or given in _NOT_TAKEN:
            continue
        fault = _fault(view, target, node, given)
        if fault is not None:
            yield WrongDtype(node, wanted, given, *fault, refusal(view, node, target) is None)


def as_full(node: Node) -> Rewrite | None:
    """A ``full`` of the same shape, value and dtype instead, which reads nothing; None if one is not known."""
    value = _value(node)
    if node.meta is None or value is None or any(size is None for size in node.meta.shape):
        return None
    constant = MakeConstant(node.name, "aten.full.default", (tuple(node.meta.shape), value), node.meta.dtype)
    return Rewrite((constant,))


def _value(node: Node) -> int | float | None:
    """The number that a constant is filled with; None if it is not known."""
    known = _FILLED.get(node.operator)
    value = node.arg(1, "fill_value" if node.operator == "full_like" else "value") if known is None else known
    return value if isinstance(value, int | float) else None


def _given(view: View, node: Node) -> str | None:
    """The dtype, in the delegate, of what gives the shape."""
    operand = view.graph.node_of(node.args[0]) if node.args else None
    if operand is None or operand.meta is None:
        return None
    if view.is_dq(operand):
        qparams = view.qparams(operand)
        if qparams is None:
            return None
        return "int8" if qparams.dtype == "uint8" else qparams.dtype or None
    return operand.meta.dtype


def _fault(view: View, target: Target, node: Node, given: str) -> tuple[Fault, Node] | None:
    """What the wrong dtype breaks first, and the reader at which it does."""
    held = _holds(given, _value(node))
    readers = view.users(node)
    if readers and not held and given != "bool":
        return "codes", readers[0]
    pending, seen = [node], {node.name}
    while pending:
        item = pending.pop(0)
        for user in view.users(item):
            if user.op == "output" or _is_cast_on_cpu(user, target) or stays_outside(view, user, target) or _sums(user):
                return "leaves", user
            if user.operator in ("where", "masked_fill") and item in view.graph.inputs(user)[_mask_at(user)]:
                return "refused", user
            if user.operator in _NEGATIONS and given in _FLOATS:
                return "refused", user
            if _takes_any_dtype(user) or (user.operator in _LOGICAL and given in _FLOATS):
                if not held:
                    return "bool", user
                continue
            if user.name not in seen and _keeps_dtype(view, user):
                seen.add(user.name)
                pending.append(user)
    return None


def _holds(dtype: str, value: float | None) -> bool:
    """Whether a constant of ``dtype`` may have the value."""
    if value is None or dtype not in _LIMITS:
        return True
    low, high = _LIMITS[dtype]
    return low <= value <= high


def _takes_any_dtype(user: Node) -> bool:
    """Whether the result has its dtype whatever the operands have: a comparison, a cast, arithmetic with floats."""
    return user.operator in _COMPARISONS | CASTS or (user.meta is not None and user.meta.is_float)


def _mask_at(user: Node) -> slice:
    return slice(0, 1) if user.operator == "where" else slice(1, 2)


def _sums(user: Node) -> bool:
    """A sum of integers that are left as they are stays on the CPU."""
    return user.kind == "sum" and user.meta is not None and not user.meta.is_float


def _is_cast_on_cpu(user: Node, target: Target) -> bool:
    """A cast to float without a quantize op after it is a float op, which an INT-only backend leaves on the CPU."""
    to_float = user.meta is not None and user.meta.is_float
    return user.operator in CASTS and to_float and not user.annotated and not target.has_float


def _keeps_dtype(view: View, user: Node) -> bool:
    """Whether the dtype of the result follows that of the operands: moves, arithmetic of integers, logic."""
    if user.meta is None or user.meta.is_float or view.is_q(user):
        return False
    return moves_values(user) or user.operator in _NEGATIONS | _LOGICAL or user.kind in ("add", "sub", "mul", "neg")
