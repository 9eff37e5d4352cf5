"""DT508: what comes out of a lookup table is taken for floats until the table is made, and something looks before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fuseguard.engine import (
    VALUE,
    Call,
    Effect,
    EffectRow,
    EffectsTable,
    Example,
    Finding,
    Insert,
    Pair,
    Rewrite,
    Rule,
)
from fuseguard.ir import Graph, Node, Trait, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.operator.elementwise import LONGEST_CHAIN

if TYPE_CHECKING:
    import torch

#: Table ops that torch gives a float result for integers. The others (floor, gelu, silu, hardswish ...) keep int8.
_FLOATING = frozenset({
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "erf", "erfinv", "exp", "expm1", "log", "log10",
    "log1p", "logit", "reciprocal", "rsqrt", "sigmoid", "sin", "sinh", "sqrt", "tan", "tanh",
})  # fmt: skip
_BOUNDED = ("relu", "hardtanh", "clamp")
_AVERAGES = ("avg_pool2d", "adaptive_avg_pool2d")
_POOLS = ("max_pool2d", "max_pool2d_with_indices")
_EXTREMES = ("amax", "amin")

_POOL = "RewriteAvgPool2dPass runs before InsertTableOpsPass"
_SELECT = "MatchArgDtypePass casts the second branch to the first one's dtype, before InsertTableOpsPass"
_CAST = "DecorateFp32toInt32CastingPass runs before InsertTableOpsPass"
_PROMOTED = "FoldAndAnnotateQParamsPass and the passes behind it: bmm wants one dtype"
_NO_DQ = "the DQ at the end of the delegate stays on the CPU"


def _graph(*ops: tuple[str, tuple[int, ...], tuple[object, ...]], mixed: str = "") -> Callable[[], Graph]:
    """Ops in a row, each with a Q and DQ behind it. ``mixed``: a where between their result (as its ``first`` or
    ``second`` branch) and an int8 tensor.
    """

    def build() -> Graph:
        b = GraphBuilder()
        qparams = int8(1 / 255.3, -128)
        value = b.quantized_input("x", (1, 4, 8, 8), int8(0.0487, 3))
        other = b.quantized_input("y", (1, 4, 8, 8), qparams) if mixed else ""
        for target, shape, rest in ops:
            extra = (b.quantized_constant("weight", (3, 8), 0.0103), None) if "linear" in target else rest
            value = b.requantize(b.call(target, value, *extra, shape=shape), qparams)  # type: ignore[arg-type]
        if mixed:
            branches = (value, other) if mixed == "first" else (other, value)
            chosen = b.call("aten.where.self", b.input("mask", (1, 4, 8, 8), "bool"), *branches)
            value = b.requantize(chosen, qparams)
        return b.output(value)

    return build


_SHAPE = (1, 4, 8, 8)
_SIGMOID = ("aten.sigmoid.default", _SHAPE, ())
_FLOOR = ("aten.floor.default", _SHAPE, ())
_ABS = ("aten.abs.default", _SHAPE, ())
_RELU = ("aten.relu.default", _SHAPE, ())
_AVERAGE = ("aten.avg_pool2d.default", (1, 4, 4, 4), ((2, 2), (2, 2)))
_MAX_POOL = ("aten.max_pool2d.default", (1, 4, 4, 4), ((2, 2), (2, 2)))
_AMAX = ("aten.amax.default", (1, 1, 8, 8), ((1,), True))
_LINEAR = ("aten.linear.default", (1, 4, 8, 3), ())
_PERMUTE = ("aten.permute.default", (1, 8, 1, 8), ((0, 2, 1, 3),))


def _program(name: str) -> Callable[[], tuple[torch.nn.Module, tuple[torch.Tensor, ...]]]:
    def build() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
        from fuseguard_rules.dtype import example_modules

        made: tuple[torch.nn.Module, tuple[torch.Tensor, ...]] = getattr(example_modules, name)()
        return made

    return build


class TableCodesAsFloats(Rule):
    code = "DT508"
    name = "table-codes-taken-for-floats"
    summary = "Codes from a lookup table reach an op that asks for their dtype before the backend has made the table."
    why = (
        "FoldAndAnnotateQParamsPass takes away the DQ in front of a table op and the Q behind it; torch then says of "
        "sigmoid, tanh, exp and the like that they make floats of integers, and of all that moves, clamps or "
        "convolves their result that it is float too. That is put right only by InsertTableOpsPass, late. Passes that "
        "ask before it see float32: AVG_POOL2D is built with a float accumulator (from 1.3 on), where is given "
        "branches of two dtypes, and at the end of an INT+FP delegate the cast from codes is decorated as one from "
        "floats, unless the op in front still carries its qparams; a linear, amax, amin and max_pool2d do not. "
        "Arithmetic ends it: add, mul and the like are rescaled, which yields integers. Before 1.4 a matrix product of "
        "such codes and of int8 ones fails as well, before 1.3 behind arithmetic too, which is rescaled later there, "
        "and behind a relu or clamp, whose bounds are floats until then."
    )
    remedy = (
        "Let fuseguard keep the op that asks on the CPU (guard), or repair the program: maximum(x, x) in front of it "
        "changes no value and is integer arithmetic. A multiplication between the two (as in squeeze-and-excite) has "
        "the same effect. For a matrix product that helps from 1.3 on only; upgrade ExecuTorch to 1.4 or newer."
    )
    scope = "cluster"
    message = "{op} gets codes from {source}{way}, which still count as floats, and asks for their dtype"
    effects = EffectsTable(
        [
            EffectRow("pool", "<1.3", "*", Effect.EXACT, reference="avg_pool2d is serialized as it is"),
            EffectRow("pool", ">=1.3", "*", Effect.CRASH, reference=_POOL),
            EffectRow("where", "*", "*", Effect.CRASH, reference=_SELECT),
            EffectRow("product", "<1.4", "*", Effect.CRASH, reference=_PROMOTED),
            EffectRow("product behind arithmetic", "<1.3", "*", Effect.CRASH, reference=_PROMOTED),
            EffectRow("product", ">=1.4", "*", Effect.EXACT, reference="not announced there"),
            EffectRow("product behind arithmetic", ">=1.3", "*", Effect.EXACT, reference="not announced there"),
            EffectRow("end", "*", "INT", Effect.EXACT, reference=_NO_DQ),
            EffectRow("end", "*", "INT+FP", Effect.CRASH, reference=_CAST),
            EffectRow("end1d", "*", "INT", Effect.EXACT, reference=_NO_DQ),
            EffectRow("end1d", "<1.5", "INT+FP", Effect.CRASH, reference=_CAST),
            EffectRow("end1d", ">=1.5", "INT+FP", Effect.EXACT, reference="Conv1d keeps its output qparams"),
        ]
    )
    bad = (
        Example("avg_pool2d of a sigmoid", _graph(_SIGMOID, _AVERAGE), _program("sigmoid_pooled")),
        Example("avg_pool2d of a relu of a sigmoid", _graph(_SIGMOID, _RELU, _AVERAGE)),
        Example("where between a sigmoid and an int8 tensor", _graph(_SIGMOID, mixed="first")),
        Example("where between an int8 tensor and what chooses between it and a sigmoid", lambda: _chosen_twice()),
        Example("tanh and a linear that ends the program", _graph(_SIGMOID, _LINEAR), _program("tanh_perceptron")),
        Example("conv1d of a sigmoid that ends the program", lambda: _conv1d(), _program("sigmoid_conv1d")),
        Example("amax of a sigmoid that ends the program", _graph(_SIGMOID, _AMAX)),
        Example("max_pool2d of a sigmoid that ends the program", _graph(_SIGMOID, _MAX_POOL)),
        Example("bmm of a sigmoid and an int8 tensor", lambda: _product(), only_on="<1.4"),
        Example("bmm of an int8 tensor and a gated one", lambda: _product(gated=True), only_on="<1.3"),
        Example("bmm of a gated relu and the relu", lambda: _product(_RELU[0], gated=True, twice=True), only_on="<1.3"),
        Example("bmm of a relu and an int8 tensor", lambda: _product(_RELU[0]), only_on="<1.3"),
    )
    good = (
        Example("avg_pool2d of an abs", _graph(_ABS, _AVERAGE)),
        Example("avg_pool2d of a floor, which keeps int8", _graph(_FLOOR, _AVERAGE)),
        Example("permute behind an amax of a sigmoid", _graph(_SIGMOID, _AMAX, _PERMUTE)),
        Example("sigmoid that ends the program", _graph(_SIGMOID)),
        Example("where between an int8 tensor and a sigmoid", _graph(_SIGMOID, mixed="second")),
        Example("bmm of a sigmoid and itself", lambda: _product(twice=True)),
        Example("bmm of a relu and itself", lambda: _product(_RELU[0], twice=True)),
        Example("sigmoid, multiplied and pooled", lambda: _gated(), _program("gated_and_pooled")),
    )
    references = ("class 29, found by the differential campaign: not in the project's catalogue",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        early = _sources(view)
        products = target.release_in("<1.4")
        # What 1.2 sees when it folds, and when it has rescaled arithmetic but quantized no bound yet.
        foldings = (True, False) if target.release_in("<1.3") else ()
        stages = [_sources(view, bounded=True, behind_arithmetic=folding) for folding in foldings]
        for node in view.calls():
            case, sources = _asks(view, node, early, frozenset()), early
            if not case and products and _is_torn_product(view, node, early):
                case = "product"
            elif not case:
                torn = next((stage for stage in stages if _is_torn_product(view, node, stage)), None)
                case, sources = ("product behind arithmetic", torn) if torn is not None else ("", early)
            if case:
                table, way = _way(view, node, sources)
                yield self.finding(
                    view,
                    target,
                    (node,),
                    case=case,
                    op=node.name,
                    source=table.name if table.info.has(Trait.ACTIVATION) else f"the lookup table of {table.name}",
                    way=f" through {', '.join(way)}" if way else "",
                )

    def exposed(self, view: View, target: Target, refused: frozenset[str]) -> Iterator[tuple[Node, Node]]:
        """What ends a delegate only since its reader is refused."""
        del target
        sources = _sources(view)
        for node in view.calls():
            if node.name not in refused and _asks(view, node, sources, refused) in ("end", "end1d"):
                reader = next((user for user in _readers(view, node) if user.name in refused), None)
                if reader is not None:
                    yield node, reader

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Has integer arithmetic that changes no value in front of the op."""
        node, sources = view.graph[finding.nodes[0]], _sources(view)
        if node.kind == "matmul" and target.release_in("<1.3"):
            return None  # arithmetic becomes one of integers after the product has failed
        edits = []
        for data in _operands(view, node):
            qparams = view.qparams(data)
            floats = _producer(view, data) in sources or bool(_promoted_by(view, data, sources))
            if qparams is None or qparams.per_channel or not floats:
                continue
            edits.append(Insert(data.name, (node.name,), (Call("aten.maximum.default", (VALUE,)), Pair(qparams))))
        return Rewrite(tuple(edits)) if edits else None


def _sources(view: View, *, bounded: bool = False, behind_arithmetic: bool = False) -> dict[str, Node]:
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
        elif node.info.has(passes_on) and node.kind not in (*_AVERAGES, "matmul"):
            floats = [name for data in _data(view, node) if (name := _producer(view, data)) in sources]
            if floats and not (node.kind == "where" and len(floats) < len(_data(view, node))):
                sources[node.name] = view.graph[floats[0]]
    return sources


def _makes_floats(node: Node) -> bool:
    if node.kind in ("pow", "remainder"):
        return any(isinstance(arg, float) and not arg.is_integer() for arg in node.args[1:])
    return node.kind in _FLOATING


def _data(view: View, node: Node) -> list[Node]:
    """The tensors whose dtype decides the result's: an anchor's data alone, else every float operand."""
    producers = view.graph.inputs(node)
    if node.info.has(Trait.MAC):
        producers = producers[1:2] if node.kind == "addmm" else producers[:1]
    return [item for item in producers if item.meta is not None and item.meta.is_float]


def _operands(view: View, node: Node) -> list[Node]:
    """Both operands of a matrix product, of others what decides the dtype."""
    return view.graph.inputs(node)[:2] if node.kind == "matmul" else _data(view, node)


def _is_torn_product(view: View, node: Node, sources: dict[str, Node]) -> bool:
    """Whether one operand of a matrix product is taken for floats and the other one is not."""
    if node.kind != "matmul" or not node.annotated:
        return False
    operands = _operands(view, node)
    floats = [_producer(view, item) in sources for item in operands]
    return all(map(view.is_dq, operands)) and any(floats) and not all(floats)


def _producer(view: View, data: Node) -> str:
    """The op whose result a value is, through its Q and DQ."""
    node: Node | None = data
    if view.is_dq(data) and data.args:
        q = view.graph.node_of(data.args[0])
        node = view.owner(q) if q is not None and view.is_q(q) else q
    return node.name if node is not None else ""


def _asks(view: View, node: Node, sources: dict[str, Node], refused: frozenset[str]) -> str:
    """How a node looks at dtypes too early, a case of the effects table; "" if it does not."""
    if not node.annotated:
        return ""
    data = _data(view, node)
    floats = sum(_producer(view, item) in sources for item in data)
    if node.kind in _AVERAGES:
        return "pool" if floats and not refused else ""
    if node.kind == "where":
        # SELECT takes the dtype of the first branch; a first branch of int8 has the second one cast to it.
        torn = 0 < floats < len(data) and _producer(view, data[0]) in sources
        torn = torn or (not floats and len(data) > 1 and bool(_promoted_by(view, data[0], sources)))
        return "where" if torn and all(map(view.is_dq, data)) and not refused else ""
    one_dimensional = node.kind == "conv" and view.anchor_form(node) == "conv1d"
    if node.name not in sources or not (one_dimensional or node.kind in ("linear", *_EXTREMES, *_POOLS)):
        return ""
    for reader in _readers(view, node):
        if reader.op != "call" or view.is_q(reader) or not reader.annotated or reader.name in refused:
            return "end1d" if one_dimensional else "end"
    return ""


def _promoted_by(view: View, data: Node, sources: dict[str, Node]) -> list[str]:
    """Where a value is chosen between integers and floats: the ops on its way and what makes the floats; else nothing.

    MatchArgDtypePass casts the floats to integers, but asks for the dtype of the choice as it was before the cast.
    """
    way: list[str] = []
    while len(way) < LONGEST_CHAIN:
        name = _producer(view, data)
        node = view.graph.nodes.get(name)
        if node is None or node.op != "call" or not node.info.has(Trait.TRANSPARENT) or not node.annotated:
            break
        way.append(name)
        operands = _data(view, node)
        if node.kind == "where":
            floats = [producer for item in operands if (producer := _producer(view, item)) in sources]
            return [*way, floats[0]] if 0 < len(floats) < len(operands) else []
        if not operands:
            break
        data = operands[0]
    return []


def _readers(view: View, node: Node) -> list[Node]:
    """Who reads the dequantized result of a node."""
    results = [node, *(user for user in view.users(node) if user.info.has(Trait.GETITEM) and node.kind in _POOLS)]
    dequantized = [dq for item in results for q in view.out_q(item) for dq in view.users(q) if view.is_dq(dq)]
    return [reader for dq in dequantized for reader in view.users(dq)]


def _way(view: View, node: Node, sources: dict[str, Node]) -> tuple[Node, list[str]]:
    """The table op, and the names of what lies between it and the node."""
    data = _operands(view, node)
    *way, name = _promoted_by(view, data[0], sources) or [
        next(name for item in data if (name := _producer(view, item)) in sources)
    ]
    while sources[name].name != name:
        way.append(name)
        name = sources[name].name
    return view.graph[name], way[::-1]


def _chosen_twice() -> Graph:
    b = GraphBuilder()
    qparams = int8(1 / 255.3, -128)
    mask = b.input("mask", _SHAPE, "bool")
    x, y = b.quantized_input("x", _SHAPE, int8(0.0487, 3)), b.quantized_input("y", _SHAPE, qparams)
    gate = b.requantize(b.call("aten.sigmoid.default", x), qparams)
    chosen = b.requantize(b.call("aten.where.self", mask, y, gate), qparams)
    return b.output(b.requantize(b.call("aten.where.self", mask, chosen, y), qparams))


def _conv1d() -> Graph:
    b = GraphBuilder()
    qparams = int8(1 / 255.3, -128)
    x = b.quantized_input("x", (1, 4, 8), int8(0.0487, 3))
    value = b.requantize(b.call("aten.sigmoid.default", x), qparams)
    weight = b.quantized_constant("weight", (4, 4, 3), 0.0103)
    value = b.call("aten.conv1d.default", value, weight, None, shape=(1, 4, 6))
    return b.output(b.requantize(value, int8(0.0217, 5)))


def _gated() -> Graph:
    b = GraphBuilder()
    qparams = int8(1 / 255.3, -128)
    x = b.quantized_input("x", _SHAPE, int8(0.0487, 3))
    gate = b.requantize(b.call("aten.sigmoid.default", x), qparams)
    value = b.requantize(b.call("aten.mul.Tensor", x, gate), int8(0.0331, -9))
    return b.output(
        b.requantize(b.call("aten.avg_pool2d.default", value, (2, 2), (2, 2), shape=(1, 4, 4, 4)), int8(0.0331, -9))
    )


def _product(target: str = "aten.sigmoid.default", *, gated: bool = False, twice: bool = False) -> Graph:
    b = GraphBuilder()
    qparams = int8(0.0487, 3)
    x, y = (b.quantized_input(name, (1, 4, 4), qparams) for name in "xy")
    gate = b.requantize(b.call(target, x), qparams if "relu" in target else int8(1 / 255.3, -128))
    value = b.requantize(b.call("aten.mul.Tensor", x, gate), int8(0.0331, -9)) if gated else gate
    operands = (value, gate) if twice else (y, value) if gated else (value, y)
    return b.output(b.requantize(b.call("aten.bmm.default", *operands), int8(0.1713, 2)))
