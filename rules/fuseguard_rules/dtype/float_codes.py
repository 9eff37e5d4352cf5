"""Which codes torch takes for floats until the backend has made the lookup table that they come from."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import VALUE, Call, Insert, Pair, Rewrite
from fuseguard.ir import Node, Trait, View
from fuseguard.target import Target
from fuseguard_rules.boundary.placement import stays_on_cpu_with_float
from fuseguard_rules.operator.elementwise import LONGEST_CHAIN
from fuseguard_rules.per_view import once_per_view

#: Table ops that torch gives a float result for integers. The others (floor, gelu, silu, hardswish ...) keep int8.
_FLOATING = frozenset({
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "erf", "erfinv", "exp", "expm1", "log", "log10",
    "log1p", "logit", "reciprocal", "rsqrt", "sigmoid", "sin", "sinh", "sqrt", "tan", "tanh",
})  # fmt: skip
_BOUNDED = ("relu", "hardtanh", "clamp")
_AVERAGES_AND_PRODUCTS = ("avg_pool2d", "adaptive_avg_pool2d", "matmul")


@once_per_view
def sources_of(view: View, *, bounded: bool = False, behind_arithmetic: bool = False) -> dict[str, Node]:
    """By name of an op whose codes are taken for floats: the op it has that from, itself for a table op.

    ``behind_arithmetic``: as long as nothing is rescaled yet, of which torch says the same. ``bounded``: as long as a
    clamp's bounds are floats.
    """
    passes_on = Trait.TRANSPARENT | Trait.MAC | (Trait.RESCALED if behind_arithmetic else Trait.NONE)
    sources: dict[str, Node] = {}
    for node in view.calls():
        if not (node.annotated or node.info.has(Trait.GETITEM)) or view.is_q(node) or view.is_dq(node):
            continue
        if bounded and node.kind in _BOUNDED and view.in_dq(node, 0) is not None:
            sources[node.name] = node
        elif node.info.has(Trait.TABLE):
            if view.in_dq(node, 0) is not None and _makes_floats(node):
                sources[node.name] = node
        elif node.info.has(passes_on) and node.kind not in _AVERAGES_AND_PRODUCTS:
            floats = [name for data in deciding_operands(view, node) if (name := producer_name(view, data)) in sources]
            if floats and not (node.kind == "where" and len(floats) < len(deciding_operands(view, node))):
                sources[node.name] = view.graph[floats[0]]
    return sources


@once_per_view
def early_dtypes(view: View, target: Target) -> dict[str, str]:
    """By name of an op, what torch takes its int8 codes for until they are rescaled: float32 behind a lookup table,
    int64 behind a cumulative sum. Ops whose codes it knows to be int8 are left out, and so is what the release does
    not delegate.
    """
    dtypes: dict[str, str] = {}
    for node in view.calls():
        if not (node.annotated or node.info.has(Trait.GETITEM)) or view.is_q(node) or view.is_dq(node):
            continue
        if stays_on_cpu_with_float(view, node, target):
            continue
        if node.kind == "cumsum":
            if view.in_dq(node, 0) is not None:
                dtypes[node.name] = "int64"
        elif node.info.has(Trait.TABLE) and _makes_floats(node):
            if view.in_dq(node, 0) is not None:
                dtypes[node.name] = "float32"
        elif node.info.has(Trait.TABLE | Trait.TRANSPARENT | Trait.MAC) and node.kind not in ("matmul", "leaky_relu"):
            operands = deciding_operands(view, node)
            seen = {dtypes[name] for data in operands if (name := producer_name(view, data)) in dtypes}
            torn = node.kind == "where" and any(producer_name(view, data) not in dtypes for data in operands)
            if seen and not torn:
                dtypes[node.name] = "float32" if "float32" in seen else "int64"
    return dtypes


def _makes_floats(node: Node) -> bool:
    if node.kind in ("pow", "remainder"):
        return any(isinstance(arg, float) and not arg.is_integer() for arg in node.args[1:])
    return node.kind in _FLOATING


def deciding_operands(view: View, node: Node) -> list[Node]:
    """The tensors whose dtype decides the result's: an anchor's data alone, else every float operand."""
    producers = view.graph.inputs(node)
    if node.info.has(Trait.MAC):
        producers = producers[1:2] if node.kind == "addmm" else producers[:1]
    return [item for item in producers if item.meta is not None and item.meta.is_float]


def operands_of(view: View, node: Node) -> list[Node]:
    """Both operands of a matrix product, of others what decides the dtype."""
    return view.graph.inputs(node)[:2] if node.kind == "matmul" else deciding_operands(view, node)


def rescaled_in_front(view: View, node: Node, is_mistaken: Callable[[Node], bool]) -> Rewrite | None:
    """Integer arithmetic that changes no value, maximum(x, x), in front of what is mistaken of the op's operands."""
    edits = []
    for data in operands_of(view, node):
        qparams = view.qparams(data)
        if qparams is not None and not qparams.per_channel and is_mistaken(data):
            edits.append(Insert(data.name, (node.name,), (Call("aten.maximum.default", (VALUE,)), Pair(qparams))))
    return Rewrite(tuple(edits)) if edits else None


def is_torn_product(view: View, node: Node, sources: dict[str, Node]) -> bool:
    """Whether one operand of a matrix product is taken for floats and the other one is not."""
    if node.kind != "matmul" or not node.annotated:
        return False
    operands = operands_of(view, node)
    floats = [producer_name(view, item) in sources for item in operands]
    return all(map(view.is_dq, operands)) and any(floats) and not all(floats)


def producer_name(view: View, data: Node) -> str:
    """The op whose result a value is, through its Q and DQ."""
    node: Node | None = data
    if view.is_dq(data) and data.args:
        q = view.graph.node_of(data.args[0])
        node = view.owner(q) if q is not None and view.is_q(q) else q
    return node.name if node is not None else ""


def promoted_by(view: View, data: Node, sources: dict[str, Node]) -> list[str]:
    """Where a value is chosen between integers and floats: the ops on its way and what makes the floats; else nothing.

    MatchArgDtypePass casts the floats to integers, but asks for the dtype of the choice as it was before the cast.
    """
    way: list[str] = []
    while len(way) < LONGEST_CHAIN:
        name = producer_name(view, data)
        node = view.graph.nodes.get(name)
        if node is None or node.op != "call" or not node.info.has(Trait.TRANSPARENT) or not node.annotated:
            break
        way.append(name)
        operands = deciding_operands(view, node)
        if node.kind == "where":
            floats = [producer for item in operands if (producer := producer_name(view, item)) in sources]
            return [*way, floats[0]] if 0 < len(floats) < len(operands) else []
        if not operands:
            break
        data = operands[0]
    return []


def way_from_table(view: View, node: Node, sources: dict[str, Node]) -> tuple[Node, list[str]]:
    """The table op, and the names of what lies between it and the node."""
    data = operands_of(view, node)
    *way, name = promoted_by(view, data[0], sources) or [
        next(name for item in data if (name := producer_name(view, item)) in sources)
    ]
    while sources[name].name != name:
        way.append(name)
        name = sources[name].name
    return view.graph[name], way[::-1]
