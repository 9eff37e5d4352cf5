"""DT505: a lookup table over a narrow int8 input, whose entries are shifted."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fuseguard.backend.lookup_table import codes_read, has_table
from fuseguard.backend.quantized_values import is_constant
from fuseguard.backend.releases import TABLE_COVERS_DTYPE
from fuseguard.backend.value_range import reachable
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Insert, Pair, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, QParams, Trait, View
from fuseguard.ir.scalar_functions import FUNCTIONS, parameters_of, value_of
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.dtype.dt505")


class NarrowTableInput(Rule):
    code = "DT505"
    name = "narrow-table-input"
    summary = "A table op reads a narrower range of codes than int8 has; the backend before 1.3 then shifts the table."
    why = (
        "InsertTableOpsPass tabulates the function from qmin to qmax of the input, in 256 steps truncated to integers. "
        "TOSA's TABLE is indexed from -128, so with a range of [-127, 127], the entries of negative codes are one "
        "place off. A table is not reported if all entries that it reads are right anyway. Since 1.3, the table always "
        "has 256 entries. The program is not at fault, so the rule reports nothing for releases that lower it "
        "correctly."
    )
    remedy = (
        "Upgrade ExecuTorch to 1.3 or newer, quantize activations over the full range (act_qmin=-128), or let "
        "fuseguard keep the op on the CPU (guard)."
    )
    scope = "node"
    message = (
        "{op} is a lookup table over codes [{qmin}, {qmax}], which ExecuTorch {release} indexes from -128{reached}"
    )
    effects = EffectsTable(
        [
            EffectRow("*", "<1.3", "*", Effect.WRONG, reference="InsertTableOpsPass, #18873"),
            EffectRow("*", ">=1.3", "*", Effect.EXACT, reference="InsertTableOpsPass, #18973"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #18873", "executorch #18973")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if TABLE_COVERS_DTYPE.in_force(target):
            return
        for node in view.calls(Trait.UNARY):
            qparams = view.in_qp(node, 0)
            if qparams is None or qparams.dtype != "int8" or not node.annotated or not has_table(node, target):
                continue
            if is_constant(view, node):
                continue
            limits = qparams.qmin, qparams.qmax
            if limits != qparams.dtype_range and not _is_right_all_the_same(view, node, qparams, target):
                yield self.finding(
                    view,
                    target,
                    (node,),
                    case="*",
                    op=node.name,
                    qmin=qparams.qmin,
                    qmax=qparams.qmax,
                    release=target.release,
                    reached=reachable(codes_read(view, node, target), limits),
                )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Give the same codes qparams that range over all of int8."""
        del target
        node = view.graph[finding.nodes[0]]
        data, qparams = view.in_dq(node, 0), view.in_qp(node, 0)
        if data is None or qparams is None or not qparams.usable:
            return None
        full = QParams.per_tensor(qparams.scale, qparams.zero_point, *qparams.dtype_range, qparams.dtype)
        return Rewrite((Insert(data.name, (node.name,), (Pair(full),)),))


def _is_right_all_the_same(view: View, node: Node, data: QParams, target: Target) -> bool:
    """Whether the entries that the program reads hold the right codes, as they do where the function saturates."""
    function, out = FUNCTIONS.get(node.kind), view.out_qp(node)
    if function is None or not data.usable or out is None or not out.usable:
        return False
    low, high = data.dtype_range
    if not low <= data.qmin <= data.qmax <= high:
        return False  # impossible qparams (QP304): each code is computed below, and there may be any number of them

    def code(of: int) -> int | None:
        value = value_of(function, data.dequantize(of), parameters_of(node))
        return None if math.isnan(value) else out.quantize(value)

    step = (data.qmax - data.qmin) / 255  # torch.linspace of integers: from both ends to the middle
    entries = [int(data.qmin + step * i) if i < 128 else int(data.qmax - step * (255 - i)) for i in range(256)]
    least, most = codes_read(view, node, target) or (data.qmin, data.qmax)
    codes = {of: code(of) for of in range(max(least, data.qmin), min(most, data.qmax) + 1)}
    return all(wanted is not None and wanted == codes[entries[of + 128]] for of, wanted in codes.items())
