"""DT503: a lookup table between codes of different dtypes, or a 16-bit one that misrepresents its function."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.lookup_table import codes_read, error_of, table_error
from fuseguard.backend.quantized_values import is_constant
from fuseguard.backend.releases import TABLE_SHIFT_CLAMPED
from fuseguard.backend.rewrites import folded
from fuseguard.backend.value_range import reachable
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, Trait, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.dtype.dt503")

_WIDER = ("int16", "int32")


class LookupTable(Rule):
    code = "DT503"
    name = "lookup-table-width"
    summary = (
        "A table operator has different input and output dtypes, or a 16-bit table that misrepresents its function."
    )
    why = (
        "TOSA's TABLE maps int8 to int8, or int16 to 16 bits with 513 entries and interpolation between them. "
        "InsertTableOpsPass makes the table for the output's dtype and never checks the input's. What the function "
        "does between two entries, which are 128 codes apart, is lost: steps (floor, round), poles (reciprocal and "
        "rsqrt near 0), periods (sin of a wide range). Only codes that the program can reach count: the exp of a "
        "softmax reads no value above 0, and its reciprocal reads no sum below 1. Before 1.5, the last 128 codes get "
        "one value. Before 1.4, the table is shifted right by ceil(log2(largest code)) - 15. If the output uses 2**14 "
        "codes or fewer (a sigmoid that shares its range with a wide tensor), that shift is negative and the table is "
        "all zeros."
    )
    remedy = (
        "Give the operator's input and output the same dtype with a quantize/dequantize pair. For a 16-bit table, "
        "narrow the range of its input, leave the operator in float or quantize it to int8 (a table of 256 entries is "
        "exact). If the operator depends only on constants (the rsqrt of a variance), compute it in the model's "
        "constructor, or let fuseguard store the result (repair). For the last codes and for a table of zeros, upgrade "
        "ExecuTorch."
    )
    scope = "node"
    message = "{node} {fault}{reached}"
    effects = EffectsTable(
        [
            EffectRow("dtype", "*", "*", Effect.CRASH, reference="tosa.TABLE: Table of wrong size"),
            EffectRow("width", "<1.4", "*", Effect.WRONG, reference="generate_16_bit_table_values, #20668"),
            EffectRow("width", ">=1.4", "*", Effect.EXACT, reference="generate_16_bit_table_values, #20668"),
            EffectRow("endpoint", "<1.5", "*", Effect.WRONG, reference="generate_16_bit_table_values, #21629"),
            EffectRow("endpoint", ">=1.5", "*", Effect.EXACT, reference="generate_16_bit_table_values, #21629"),
            EffectRow("interpolated", "*", "*", Effect.WRONG, reference="TOSA TABLE: 513 entries for 65536 codes"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #20668", "executorch #21629")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.calls(Trait.UNARY):
            data, out = view.in_qp(node, 0), view.out_qp(node)
            if is_constant(view, node) or data is None or out is None:
                continue
            case, fault, steps = _judged(view, node, target)
            if case:
                codes = codes_read(view, node, target) if case != "dtype" else None
                yield self.finding(
                    view,
                    target,
                    (node,),
                    case=case,
                    qparams=(("input", str(data)), ("output", str(out))),
                    node=node.name,
                    fault=fault,
                    reached=reachable(codes, (data.qmin, data.qmax)),
                    bound_steps=steps,
                    bound_value=steps * out.scale if steps else None,
                )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Store the result of a table that reads only constants: the rsqrt of a batch norm's variance."""
        del target
        return folded(view, view.graph[finding.nodes[0]])


def _judged(view: View, node: Node, target: Target) -> tuple[str, str, float | None]:
    """The row of the effects table, what is wrong, and by how many steps at most; "" if nothing is."""
    data, out = view.in_qp(node, 0), view.out_qp(node)
    if data is None or out is None:
        return "", "", None
    if (data.dtype, out.dtype) == _WIDER:
        return "", "", None  # a 16-bit table, and a RESCALE that widens its result
    if data.dtype != out.dtype:
        return "dtype", f"reads {data.dtype} codes and writes {out.dtype}; a table has one dtype", None
    error = table_error(view, node, target)
    if error.tolerable:
        # If a newer release lowers it correctly, the program is not at fault, so nothing is reported for that release.
        return "", "", None
    steps = float(error.steps)
    if not error_of(view, node, target, endpoint=True, shift_clamped=True).tolerable:
        return "interpolated", "changes too much between two of the table's entries, 128 codes apart", steps
    if not TABLE_SHIFT_CLAMPED.in_force(target) and not (
        error_of(view, node, target, endpoint=True, shift_clamped=False).tolerable
    ):
        return "width", "uses so few codes of int16 that its table is all zeros", steps
    return "endpoint", "is steep in the last 128 codes, for which the table has one value", steps
