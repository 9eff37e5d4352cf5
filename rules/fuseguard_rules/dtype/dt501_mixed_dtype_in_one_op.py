"""DT501: one operator reads codes of two dtypes that it cannot combine."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.rewrites import as_int8, lossless_int16, pair_after, pair_before
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Insert, Pair, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, QParams, Ref, Trait, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.dtype.dt501")

_RESULT_DTYPE = "RewriteMatmulPass rescales to the dtype of the operands, by the qparams of the result"


class MixedDtype(Rule):
    code = "DT501"
    name = "mixed-dtype-in-one-op"
    summary = "One operator reads or yields codes of different dtypes, which it does not support."
    why = (
        "add and sub choose one int32 domain by the dtype of their operands, cat copies codes, MATMUL takes one dtype, "
        "and a convolution or linear takes int8 weights whatever its activations are. The quantizer requantizes where "
        "int8 and A16W8 modules meet. A graph that mixes them in another way crashes lowering. mul, maximum, minimum "
        "and the comparisons rescale each operand separately and may mix dtypes. Before 1.3, a matrix product yields "
        "the dtype of its operands, whatever it is quantized to."
    )
    remedy = (
        "Requantize one operand: insert a quantize/dequantize pair with the dtype of the other operand before the op. "
        "If the result differs, insert a pair with the operands' dtype after the op."
    )
    scope = "node"
    message = "{node} reads codes of {dtypes}; {rule}"
    effects = EffectsTable(
        [
            EffectRow("add", "*", "*", Effect.CRASH, reference="InsertRescaleInt32Pass: Mismatch in dtype args"),
            EffectRow("list", "*", "*", Effect.CRASH, reference="FoldAndAnnotateQParamsPass cannot merge them"),
            EffectRow("matmul", "*", "*", Effect.CRASH, reference="tosa.MATMUL: must have the same dtype"),
            EffectRow("shifted result", "<1.3", "*", Effect.CRASH, reference=_RESULT_DTYPE),
            EffectRow("result", "<1.3", "INT", Effect.RUNTIME_FAULT, reference=_RESULT_DTYPE),
            EffectRow("result", "<1.3", "INT+FP", Effect.WRONG, reference=_RESULT_DTYPE),
            EffectRow("shifted result", ">=1.3", "*", Effect.EXACT, reference="rescaled to the dtype of its Q"),
            EffectRow("result", ">=1.3", "*", Effect.EXACT, reference="rescaled to the dtype of its Q"),
            EffectRow("weight", "*", "*", Effect.CRASH, reference="tosa.CONV2D: only supports torch.int8 weights"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #20031",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if view.code_dtypes <= {"int8"}:
            return
        for node in view.ops:
            case, rule, dtypes = _disagreement(view, node)
            if case:
                yield self.finding(
                    view, target, (node,), case=case, node=node.name, dtypes=" and ".join(dtypes), rule=rule
                )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Widen int8 codes to int16 codes of the same scale: no value changes. A list takes on its output's qparams.

        uint8 is never the target, because no operator takes it (DT504): it becomes int8 with the same values. An int16
        product is first quantized to int16 codes with the scale of its int8 ones, which are clamped versions of these.
        """
        del target
        node = view.graph[finding.nodes[0]]
        if node.info.has(Trait.LIST_INPUT):
            found = {view.qparams(q) for q in view.out_q(node)}
            after = found.pop() if len(found) == 1 else None
            quantized = [item for item in view.graph.inputs(node) if view.is_dq(item)]
            if after is None or not after.usable:
                return None
            return pair_before(view, node, quantized, as_int8(after))
        if node.kind in ("conv", "linear"):
            return None  # weights are int8, whatever the activations are
        after = view.out_qp(node) if node.kind == "matmul" else None
        if after is not None and after.dtype == "int8" and {qp.dtype for qp in _read(view, node)} == {"int16"}:
            wide = lossless_int16(after)
            return pair_after(view, node, wide) if wide is not None else None
        involved = (*_read(view, node), *([after] if after is not None else []))
        widened = any(qparams.dtype == "int16" for qparams in involved)
        edits = []
        for item in view.graph.inputs(node):
            before = view.qparams(item)
            same = None if before is None else lossless_int16(before) if widened else as_int8(before)
            if same is not None and same != before:
                edits.append(Insert(item.name, (node.name,), (Pair(same),)))
        return Rewrite(tuple(edits)) if edits else None


def _disagreement(view: View, node: Node) -> tuple[str, str, tuple[str, ...]]:
    """The case, what the operator requires, and the dtypes that it reads; an empty case if all is well."""
    if node.kind in ("conv", "linear"):
        weight = view.in_qp(node, 1)
        wrong = weight is not None and weight.dtype != "int8" and view.in_qp(node, 0) is not None
        data = view.in_qp(node, 0)
        if wrong and weight is not None and data is not None:
            return "weight", "its weights must be int8", (data.dtype, f"{weight.dtype} weights")
        return "", "", ()
    if node.kind in ("add", "sub"):
        case, rule, names = "add", "both operands must have one dtype", node.args[:2]
    elif node.kind == "matmul":
        case, rule, names = "matmul", "both operands must have one dtype", node.args[:2]
    elif node.info.has(Trait.LIST_INPUT) and node.args and isinstance(node.args[0], tuple):
        case, rule, names = "list", "all inputs must have one dtype", node.args[0]
    else:
        return "", "", ()
    producers = [view.graph[name.name] for name in names if isinstance(name, Ref)]
    found = [view.qparams(producer) for producer in producers if view.is_dq(producer)]
    dtypes = tuple(dict.fromkeys(qparams.dtype for qparams in found if qparams is not None))
    if case == "matmul" and len(dtypes) == 1:
        return _result(view, node, dtypes[0])
    return (case, rule, dtypes) if len(dtypes) > 1 else ("", "", ())


def _result(view: View, node: Node, read: str) -> tuple[str, str, tuple[str, ...]]:
    """A product whose result is quantized to another dtype than ``read``, that of its operands."""
    yielded = next((qp for q in view.out_q(node) if (qp := view.qparams(q)) is not None and qp.dtype != read), None)
    if yielded is None or {read, yielded.dtype} != {"int8", "int16"}:
        return "", "", ()
    case = "shifted result" if yielded.dtype == "int8" and any(yielded.zero_points) else "result"
    return case, "its result must have the dtype of its operands", (read, f"yields {yielded.dtype}")


def _read(view: View, node: Node) -> list[QParams]:
    return [qp for item in view.graph.inputs(node) if (qp := view.qparams(item)) is not None]
