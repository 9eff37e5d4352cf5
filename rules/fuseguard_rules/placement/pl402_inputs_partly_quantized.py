"""PL402: an op with several tensor inputs has some of them quantized and some in float."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.partition import has_company
from fuseguard.backend.proper_quantization import numbers_beside
from fuseguard.backend.quantized_operands import float_peers, half_quantized, is_unchecked, quantized_source
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule, Unannotate
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, Trait, View
from fuseguard.ir.graph import Arg
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.placement.pl402")

_CHECKED = "CheckProperQuantization"
_UNTYPED = "a float input of an integer-only delegate"
_SCATTER = "tosa.SCATTER takes one dtype"
_CONSTANT = "the float constant takes the dtype of the codes, its values unscaled"
_LEFT = (
    "TOSAPartitioner._detag_boundary_nodes has passed the op's DQs when it de-tags the op: they stay, and yield floats"
)
_FOLDED = "FoldAndAnnotateQParamsPass folds the DQs that are there, #21589, #22559"

#: Ops that combine tensors in one arithmetic, with their case: those that the INT profile checks, and where, which
#: lowers silently. The edge dialect makes a where of masked_fill.
_CASES = {
    **dict.fromkeys(("add", "sub", "mul"), "checked"),
    **dict.fromkeys(("where", "masked_fill"), "where"),
    "index_put": "put",
}
#: How many nodes the float tensor that an index_put writes to may be computed in, to count as a constant.
_MOST_STEPS = 16


class PartialInputs(Rule):
    code = "PL402"
    name = "inputs-partly-quantized"
    summary = "An op annotated as quantized reads some of its tensors dequantized and others in float."
    why = (
        "FoldAndAnnotateQParamsPass assumes 'DQ nodes for all tensor inputs' and folds those that it finds. The op "
        "then mixes codes with values: InsertRescaleInt32Pass misses the second set of qparams, TOSA operators reject "
        "the two dtypes, and a where silently selects from both. The INT profile leaves add, sub and mul on the CPU "
        "(CheckProperQuantization) and accepts the others. It then de-tags these as first ops with a float input, but "
        "not the DQs of their other operands. If their partition has anything else to compute, these DQs are lowered "
        "in float, which INT does not have. 1.5 keeps the Q and DQ of a few binary ops (#21589), but "
        "InsertRescaleInt32Pass still treats these ops as integer ones. A number beside a tensor (x + 1, 1 - x, "
        "masked_fill) is such a float: the edge dialect makes a tensor of it. An index_put writes codes into a float "
        "tensor, such as a buffer that the program updates, or floats into codes. SCATTER takes one dtype; a constant "
        "is given that of the codes, and its values are lost."
    )
    remedy = "Quantize all float inputs of the op or none of them, or let fuseguard keep it on the CPU (guard)."
    scope = "cluster"
    message = "{node} reads {quantized} dequantized and {plain} in float"
    effects = EffectsTable(
        [
            EffectRow("checked", "*", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("bmm", "*", "INT", Effect.CPU_FALLBACK, reference=_UNTYPED),
            EffectRow("bmm", ">=1.5", "INT+FP", Effect.EXACT, reference="Q and DQ kept for bmm, #21589"),
            EffectRow("matmul", "*", "INT", Effect.CPU_FALLBACK, reference=_UNTYPED),
            EffectRow("where", "*", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("where", "*", "INT+FP", Effect.WRONG, reference=_FOLDED),
            EffectRow("unchecked", ">=1.4", "INT", Effect.CPU_FALLBACK, reference=_UNTYPED),
            EffectRow("left", "*", "INT", Effect.CRASH, reference=_LEFT),
            EffectRow("put", ">=1.4", "INT", Effect.CPU_FALLBACK, reference=_UNTYPED),
            EffectRow("put", "*", "INT+FP", Effect.CRASH, reference=_SCATTER),
            EffectRow("moved put", "*", "INT", Effect.RUNTIME_FAULT, reference="what moves the codes is delegated"),
            EffectRow("constant put", ">=1.3", "INT+FP", Effect.WRONG, reference=_CONSTANT),
            EffectRow("constant put", "<1.3", "INT+FP", Effect.EXACT, reference="the constant is quantized"),
            EffectRow("*", "*", "*", Effect.CRASH, reference=_FOLDED),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #21589", "executorch #22559")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.ops:
            case = _case(node)
            if not case or not node.annotated or half_quantized(view, node) is not None:
                continue
            quantized, plain = float_peers(view, node)
            numbers = numbers_beside(node)
            if target.has_float and case == "where":
                plain = [item for item in plain if not _is_its_own_code(view, _number_of(item), quantized)]
                numbers = tuple(item for item in numbers if not _is_its_own_code(view, item, quantized))
            if quantized and (plain or numbers):
                # A decomposed op has data movement before it, which carries the annotation too.
                paths = [step for item in quantized for step in quantized_source(view, item, folded=True) or ()]
                between = dict.fromkeys(step.name for step in paths if not view.is_dq(step))
                if case == "put" and target.has_float:
                    case = "constant put" if _writes_to_constant(view, node) else "put"
                elif case == "put" and between:
                    case = "moved put"
                elif case in ("unchecked", "put") and not target.has_float and has_company(view, node, target):
                    case = "left"
                nodes = (node, *(view.graph[name] for name in between))
                floats = [*(item.name for item in plain), *(f"the number {number:g}" for number in numbers)]
                yield self.finding(
                    view,
                    target,
                    nodes,
                    case=case,
                    node=node.name,
                    quantized=", ".join(item.name for item in quantized),
                    plain=", ".join(floats),
                )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Make a half-quantized op compute in float, as the program says, but for a write to a buffer.

        1.4.1 does not lower that in float.
        """
        del target
        put = view.graph[finding.nodes[0]]
        if put.kind == "index_put" and put.name in view.graph.mutations.values():
            return None
        return Rewrite(tuple(Unannotate(name) for name in finding.nodes))


def _writes_to_constant(view: View, put: Node) -> bool:
    """Whether an index_put of codes writes to floats that are known, as are what is computed from them; a Q follows."""
    pending = [view.producer(put)]
    for _ in range(_MOST_STEPS):
        item = pending.pop()
        if item is None or item.name in view.graph.mutations:
            return False
        if not item.constant and not item.info.has(Trait.CONSTANT):
            pending += view.graph.inputs(item) or [None]
        if not pending:
            return all(map(view.is_q, view.users(put)))
    return False


def _number_of(constant: Node) -> Arg:
    """What a constant is filled with."""
    filled = constant.kind == "full" and constant.operator != "arange"
    return constant.args[-1] if filled and constant.args else None


def _is_its_own_code(view: View, number: Arg, quantized: list[Node]) -> bool:
    """Whether a number that is read as a code is the code of its own value, as 0 is if the zero point is 0."""
    qparams = [view.qparams(source[-1]) for item in quantized if (source := quantized_source(view, item, folded=True))]
    return isinstance(number, int | float) and all(
        item is not None and item.usable and item.quantize(number) == number for item in qparams
    )


def _case(node: Node) -> str:
    if node.kind == "matmul":
        return "bmm" if node.target.startswith("aten.bmm") else "matmul"
    return "unchecked" if is_unchecked(node) else _CASES.get(node.kind, "")
