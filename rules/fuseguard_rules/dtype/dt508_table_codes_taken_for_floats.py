"""DT508: codes from a lookup table count as floats until the table is made, and an op asks for their dtype before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fuseguard.backend.anchor_forms import anchor_form
from fuseguard.backend.early_dtypes import (
    FLOAT,
    EarlyDtype,
    EarlyDtypes,
    deciding_operands,
    early_dtype,
    early_dtypes,
    is_average_of_floats,
    is_made,
    is_torn_choice,
    operands_of,
    readers_of_any,
    rescaled_in_front,
    seen_by_products,
    torn_product,
    way_to,
)
from fuseguard.backend.releases import PRODUCTS_AFTER_RESCALES
from fuseguard.engine import (
    Effect,
    EffectRow,
    EffectsTable,
    Finding,
    Rewrite,
    Rule,
)
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, Trait, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.dtype.dt508")

_POOLS = ("max_pool2d", "max_pool2d_with_indices")
_EXTREMES = ("amax", "amin")

_POOL = "RewriteAvgPool2dPass runs before InsertTableOpsPass"
_SELECT = "MatchArgDtypePass casts the second branch to the first one's dtype, before InsertTableOpsPass"
_CAST = "DecorateFp32toInt32CastingPass runs before InsertTableOpsPass"
_PROMOTED = "FoldAndAnnotateQParamsPass and the passes after it: bmm wants one dtype"
_NO_DQ = "the DQ at the end of the delegate stays on the CPU"


class TableCodesAsFloats(Rule):
    code = "DT508"
    name = "table-codes-taken-for-floats"
    summary = (
        "Codes from a lookup table, or of a constant that the program makes, reach an op that asks for their dtype "
        "before the backend has made the table or computed the constant."
    )
    why = (
        "FoldAndAnnotateQParamsPass removes the DQ before a table op and the Q after it. According to torch, sigmoid, "
        "tanh, exp and the like then make floats from integers, and everything that moves, clamps or convolves their "
        "result is float too. Only InsertTableOpsPass corrects this, and it runs late. What ones, zeros, full, arange "
        "and the like make is float in the same way until ComputeConstantOpsAOTPass. Passes that ask earlier see "
        "float32. AVG_POOL2D is built with a float accumulator (from 1.3 on). A where gets branches of two dtypes. At "
        "the end of an INT+FP delegate, the cast from codes is decorated as a cast from floats, unless the op before "
        "it still carries its qparams; a linear, amax, amin and max_pool2d do not. Arithmetic ends the effect: add, "
        "mul and the like are rescaled, which yields integers. Before 1.4, a matrix product of such codes and int8 "
        "codes fails as well. Before 1.3, it also fails after arithmetic, which is rescaled later there, and after a "
        "relu or clamp, whose bounds are floats until then."
    )
    remedy = (
        "Let fuseguard keep the op that asks on the CPU (guard), or repair the program: maximum(x, x) before it "
        "changes no value and is integer arithmetic. A multiplication between the two (as in squeeze-and-excite) has "
        "the same effect. For a matrix product, this helps only from 1.3 on; upgrade ExecuTorch to 1.4 or newer."
    )
    scope = "cluster"
    message = "{op} gets codes from {source}{way}, which still count as floats when it asks for their dtype"
    effects = EffectsTable(
        [
            EffectRow("pool", "<1.3", "*", Effect.EXACT, reference="avg_pool2d is serialized as it is"),
            EffectRow("pool", ">=1.3", "*", Effect.CRASH, reference=_POOL),
            EffectRow("where", "*", "*", Effect.CRASH, reference=_SELECT),
            EffectRow("product", "<1.4", "*", Effect.CRASH, reference=_PROMOTED),
            EffectRow("product after arithmetic", "<1.3", "*", Effect.CRASH, reference=_PROMOTED),
            EffectRow("product", ">=1.4", "*", Effect.EXACT, reference="not announced there"),
            EffectRow("product after arithmetic", ">=1.3", "*", Effect.EXACT, reference="not announced there"),
            EffectRow("end", "*", "INT", Effect.EXACT, reference=_NO_DQ),
            EffectRow("end", "*", "INT+FP", Effect.CRASH, reference=_CAST),
            EffectRow("end1d", "*", "INT", Effect.EXACT, reference=_NO_DQ),
            EffectRow("end1d", "<1.5", "INT+FP", Effect.CRASH, reference=_CAST),
            EffectRow("end1d", ">=1.5", "INT+FP", Effect.EXACT, reference="Conv1d keeps its output qparams"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("found by this project's differential campaign",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        early = early_dtypes(view, target)
        stages = seen_by_products(view, target)[::-1]  # a fault that needs no arithmetic is announced as such
        if not any((*early, *stages)):
            return  # nothing counts as anything but codes
        for node in readers_of_any(view, *early, *stages):
            case, dtypes = _asks(view, node, early, frozenset())
            if not case:
                torn = next((stage for stage in stages if torn_product(view, node, stage) == FLOAT), None)
                if torn is not None:
                    plain = any(torn is stage for stage in early)
                    case, dtypes = ("product" if plain else "product after arithmetic"), torn
            if case:
                read = (data for data in operands_of(view, node) if early_dtype(view, data, dtypes) == FLOAT)
                mistaken = next(read, None)
                if mistaken is None:
                    continue  # not an operand that the op should have
                table, way = way_to(view, mistaken, dtypes)
                yield self.finding(
                    view,
                    target,
                    (node,),
                    case=case,
                    op=node.name,
                    source=_named(table),
                    way=way,
                )

    def exposed(self, view: View, target: Target, refused: frozenset[str]) -> Iterator[tuple[Node, Node]]:
        """Ops that end a delegate only because their reader is refused."""
        early = early_dtypes(view, target)
        for node in readers_of_any(view, early.after):
            if node.name not in refused and _asks(view, node, early, refused)[0] in ("end", "end1d"):
                reader = next((user for user in _readers(view, node) if user.name in refused), None)
                if reader is not None:
                    yield node, reader

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Insert integer arithmetic that changes no value before the op."""
        node, early = view.graph[finding.nodes[0]], early_dtypes(view, target)
        if node.kind == "matmul" and not PRODUCTS_AFTER_RESCALES.in_force(target):
            return None  # the arithmetic is converted to integers only after the product has failed
        return rescaled_in_front(view, node, early.before if node.kind in ("where", "matmul") else early.after)


def _asks(view: View, node: Node, early: EarlyDtypes, refused: frozenset[str]) -> tuple[str, Mapping[str, EarlyDtype]]:
    """How a node asks for dtypes too early, as a case of the effects table ("" if it does not), and the dtypes then."""
    if not node.annotated:
        return "", early.after
    data = deciding_operands(view, node)
    if node.kind == "where":
        torn = is_torn_choice(view, node, early.before) and early_dtype(view, data[0], early.before) == FLOAT
        return ("where" if torn and not refused else ""), early.before
    if is_average_of_floats(view, node, early.after):
        return ("" if refused else "pool"), early.after
    floats = any(early_dtype(view, item, early.after) == FLOAT for item in data)
    one_dimensional = node.kind == "conv" and anchor_form(view, node) == "conv1d"
    if floats and (one_dimensional or node.kind in ("linear", *_EXTREMES, *_POOLS)):
        for reader in _readers(view, node):
            if reader.op != "call" or view.is_q(reader) or not reader.annotated or reader.name in refused:
                return ("end1d" if one_dimensional else "end"), early.after
    return "", early.after


def _named(source: Node) -> str:
    if is_made(source):
        return f"the constant {source.name}"
    return source.name if source.info.has(Trait.ACTIVATION) else f"the lookup table of {source.name}"


def _readers(view: View, node: Node) -> list[Node]:
    """The readers of a node's dequantized result."""
    results = [node, *(user for user in view.users(node) if user.info.has(Trait.GETITEM) and node.kind in _POOLS)]
    return [reader for item in results for q in view.out_q(item) for _, reader in view.code_readers(q)]
