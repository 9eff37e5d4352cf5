"""What torch takes int8 and int16 codes for until the backend has rescaled them or made their lookup table.

Source: ``FoldAndAnnotateQParamsPass``, ``MatchArgDtypePass``, ``DecomposeCumsumPass``, ``RewriteAvgPool2dPass``,
``ComputeConstantOpsAOTPass`` and ``InsertTableOpsPass``, and their order in ``ArmPassManager``, of ExecuTorch 1.2.0,
1.3.1, 1.4.1 and 1.5.1.

Rules that depend on it: DT508, DT509.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fuseguard.backend.partition import stays_on_cpu_with_float
from fuseguard.backend.per_view import once_per_view
from fuseguard.backend.releases import (
    AVERAGES_NEED_INTEGERS,
    PRODUCTS_ACCEPT_CODES,
    PRODUCTS_AFTER_RESCALES,
    SUMS_READ_UNCOMPUTED_CONSTANTS,
)
from fuseguard.engine import VALUE, Call, Insert, Pair, Rewrite
from fuseguard.ir import Node, Trait, View
from fuseguard.target import Target

FLOAT, INT64 = "float32", "int64"
CODES = "codes"  # of whatever integers the quantizer chose

#: Table ops that torch gives a float result for integers. The others (floor, gelu, silu, hardswish ...) keep the dtype.
_FLOATING = frozenset({
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "erf", "erfinv", "exp", "expm1", "log", "log10",
    "log1p", "logit", "reciprocal", "rsqrt", "sigmoid", "sin", "sinh", "sqrt", "tan", "tanh",
})  # fmt: skip
#: Ops that make a tensor from numbers, or of which ``to_edge`` makes such an op.
_MADE = frozenset((
    "arange", "eye", "full", "linspace", "new_full", "new_ones", "new_zeros", "ones", "scalar_tensor", "zeros",
))  # fmt: skip
_AVERAGES = ("avg_pool2d", "adaptive_avg_pool2d")
_BOUNDED = ("relu", "hardtanh", "clamp")
_ENDING = ("matmul", "leaky_relu")  # rescaled, or made of ops that are
_NAMED = 4  # ops on the way that a message names


class EarlyDtype(NamedTuple):
    """FLOAT or INT64, the op that it begins with, and the name of the op from whose result a node has it."""

    dtype: str
    source: Node
    via: str


class EarlyDtypes(NamedTuple):
    """By the op's name, before MatchArgDtypePass and after it. Ops whose codes torch knows to be codes are left out."""

    before: Mapping[str, EarlyDtype]
    after: Mapping[str, EarlyDtype]


@once_per_view
def early_dtypes(
    view: View, target: Target, *, bounded: bool = False, after_arithmetic: bool = False, computed: bool = False
) -> EarlyDtypes:
    """What torch says of each op's result as long as nothing is rescaled: float32 after a lookup table and of a
    constant that the program makes, int64 after a cumulative sum. What the release does not delegate is left out, and
    what breaks on it: the CPU hands back codes.

    ``after_arithmetic``: before arithmetic is rescaled, too. ``bounded``: as long as a clamp's bounds are floats.
    ``computed``: once constants have been computed, which are codes from then on.
    """
    passes_on = Trait.TRANSPARENT | Trait.MAC | Trait.UNARY | (Trait.ARITHMETIC if after_arithmetic else Trait.NONE)
    averages_break = AVERAGES_NEED_INTEGERS.in_force(target)
    before: dict[str, EarlyDtype] = {}
    after: dict[str, EarlyDtype] = {}
    for node in view.ops:
        if is_made(node) and view.out_qp(node) is not None:  # folded without an annotation
            if not computed:
                before[node.name] = after[node.name] = EarlyDtype(FLOAT, node, node.name)
            continue
        if not (node.annotated or node.info.has(Trait.GETITEM)):
            continue
        begins = _begins(node) or (FLOAT if bounded and _is_bounded(view, node) else "")
        if not (begins or before or after) or stays_on_cpu_with_float(view, node, target):
            continue  # what does not begin anything has nothing to pass on either, as long as nothing has begun
        if begins:
            qparams = view.in_qp(node, 0)
            if qparams is not None and not (node.kind == "cumsum" and qparams.dtype == "int16"):  # which never lowers
                before[node.name] = after[node.name] = EarlyDtype(begins, node, node.name)
        elif node.info.has(passes_on) and node.kind not in _ENDING:
            operands = deciding_operands(view, node)
            if is_torn_choice(view, node, before) or (averages_break and is_average_of_floats(view, node, after)):
                continue
            # A choice's second branch is cast to what its first one was taken for.
            cast = node.kind == "where" and len({early_dtype(view, data, before) for data in operands}) > 1
            _pass_on(view, node, operands, before)
            _pass_on(view, node, operands[:1] if cast else operands, after)
    return EarlyDtypes(before, after)


def seen_by_sums(view: View, target: Target) -> Mapping[str, EarlyDtype]:
    """What torch says when cumulative sums get their kernels."""
    return early_dtypes(view, target, computed=not SUMS_READ_UNCOMPUTED_CONSTANTS.in_force(target)).after


def seen_by_products(view: View, target: Target) -> tuple[Mapping[str, EarlyDtype], ...]:
    """What torch says at each time that a release has it multiply matrices of codes: from 1.4 on at none."""
    if PRODUCTS_ACCEPT_CODES.in_force(target):
        return ()
    early = early_dtypes(view, target)
    if PRODUCTS_AFTER_RESCALES.in_force(target):
        return (early.before,)
    # When 1.2 folds; when it has rescaled arithmetic, but quantized no bound yet; and when choices are cast.
    folded = (early_dtypes(view, target, bounded=True, after_arithmetic=folding).before for folding in (True, False))
    return (*folded, early.after)


def is_made(node: Node) -> bool:
    """Whether a node makes a float tensor from numbers, which it fills in before it is quantized."""
    return node.operator in _MADE and node.meta is not None and node.meta.is_float


def _begins(node: Node) -> str:
    """What torch says of a node's result for integers, whatever they are; "" if that depends on them."""
    if node.kind == "cumsum":
        return INT64
    return FLOAT if node.info.has(Trait.UNARY) and _makes_floats(node) else ""


def _is_bounded(view: View, node: Node) -> bool:
    return node.kind in _BOUNDED and view.in_dq(node, 0) is not None


def _makes_floats(node: Node) -> bool:
    if node.kind in ("pow", "remainder"):
        return any(isinstance(arg, float) and not arg.is_integer() for arg in node.args[1:])
    return node.kind in _FLOATING


def _pass_on(view: View, node: Node, operands: list[Node], dtypes: dict[str, EarlyDtype]) -> None:
    """Torch promotes: the result of floats and integers is one of floats, that of int64 and int8 one of int64."""
    seen = {early_dtype(view, data, dtypes): producer_name(view, data) for data in reversed(operands)}
    for dtype in (FLOAT, INT64):
        if dtype in seen:
            name = seen[dtype]
            dtypes[node.name] = EarlyDtype(dtype, dtypes[name].source, name)
            return


def early_dtype(view: View, data: Node, dtypes: Mapping[str, EarlyDtype]) -> str:
    """What torch takes an operand for: FLOAT, INT64 or CODES."""
    found = dtypes.get(producer_name(view, data))
    return found.dtype if found is not None else CODES


def readers_of_any(view: View, *dtypes: Mapping[str, EarlyDtype]) -> tuple[Node, ...]:
    """The ops with an operand that is taken for something else than codes, in topological order."""
    readers: set[str] = set()
    for name in {name for known in dtypes for name in known}:
        for user in view.users(view.graph[name]):
            dqs = view.users(user) if view.is_q(user) else (user,)
            for item in dqs:
                readers.update([reader.name for reader in view.users(item)] if view.is_dq(item) else [item.name])
    return tuple([node for node in view.ops if node.name in readers])


def is_torn_choice(view: View, node: Node, before: Mapping[str, EarlyDtype]) -> bool:
    """Whether a where is left with branches of two dtypes.

    MatchArgDtypePass casts the second branch to what the first one is taken for; the first one becomes codes after all.
    """
    operands = deciding_operands(view, node)
    if node.kind != "where" or len(operands) < 2 or not all(map(view.is_dq, operands)):
        return False
    first, second = (early_dtype(view, data, before) for data in operands[:2])
    return first not in (CODES, second)


def is_average_of_floats(view: View, node: Node, after: Mapping[str, EarlyDtype]) -> bool:
    """Whether the codes that a pool averages are taken for floats."""
    operands = deciding_operands(view, node) if node.kind in _AVERAGES else []
    return any(early_dtype(view, item, after) == FLOAT for item in operands)


def torn_product(view: View, node: Node, dtypes: Mapping[str, EarlyDtype]) -> str:
    """What one operand of a matrix product is taken for and the other one is not, FLOAT before INT64; else ""."""
    if node.kind != "matmul" or not node.annotated:
        return ""
    operands = operands_of(view, node)
    seen = {early_dtype(view, item, dtypes) for item in operands}
    if len(seen) == 1 or not all(map(view.is_dq, operands)):
        return ""
    return FLOAT if FLOAT in seen else INT64


def deciding_operands(view: View, node: Node) -> list[Node]:
    """The tensors whose dtype decides the result's: an anchor's data alone, else every float operand."""
    producers = view.graph.inputs(node)
    if node.info.has(Trait.MAC):
        producers = producers[1:2] if node.kind == "addmm" else producers[:1]
    return [item for item in producers if item.meta is not None and item.meta.is_float]


def operands_of(view: View, node: Node) -> Sequence[Node]:
    """Both operands of a matrix product, of others what decides the dtype."""
    return view.graph.inputs(node)[:2] if node.kind == "matmul" else deciding_operands(view, node)


def producer_name(view: View, data: Node) -> str:
    """The op whose result a value is, through its Q and DQ."""
    node = view.maker(data)
    return node.name if node is not None else ""


def rescaled_in_front(view: View, node: Node, dtypes: Mapping[str, EarlyDtype]) -> Rewrite | None:
    """Integer arithmetic that changes no value, maximum(x, x), in front of what is mistaken of the op's operands; of a
    choice's, in front of the first one, whose dtype the other one is cast to.
    """
    operands = operands_of(view, node)
    edits = []
    for data in operands[:1] if node.kind == "where" else operands:
        qparams = view.qparams(data)
        if qparams is not None and qparams.usable and producer_name(view, data) in dtypes:
            edits.append(Insert(data.name, (node.name,), (Call("aten.maximum.default", (VALUE,)), Pair(qparams))))
    return Rewrite(tuple(edits)) if edits else None


def way_to(view: View, data: Node, dtypes: Mapping[str, EarlyDtype]) -> tuple[Node, str]:
    """The op that a mistaken operand's dtype begins with, and what lies between the two, in words."""
    name = producer_name(view, data)
    way: list[str] = []
    source = dtypes[name].source
    while name != source.name and len(way) < _NAMED:
        way.append(name)
        name = dtypes[name].via
    if name != source.name:
        way.append("...")
    return source, f" through {', '.join(reversed(way))}" if way else ""
