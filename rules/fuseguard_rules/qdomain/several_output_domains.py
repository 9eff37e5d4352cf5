"""QD204: the result of one op is quantized more than once, with different qparams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fuseguard.engine import Effect, EffectRow, EffectsTable, Evidence, Finding, Rewrite, Rule
from fuseguard.ir import Node, Trait, View
from fuseguard.target import Target
from fuseguard_rules.qdomain import examples
from fuseguard_rules.qdomain.codes import carries_codes, chain_behind, is_sane, origins_of
from fuseguard_rules.rewrites import pair_behind, stays_on_grid

_FIRST = "readers of output_qparams take the first"
_TABLE = "InsertTableOpsPass: expected exactly one output quantization parameter"
_RESCALED = "InsertRescaleInt32Pass._rescale_outputs: wants one set of output qparams"
#: Cases in which the backend counts the quantize ops and does not compare them.
_COUNTED = ("table", "rescaled")


class SeveralOutputDomains(Rule):
    code = "QD204"
    name = "several-output-quantizers"
    summary = "Several quantize ops follow one op; the backend keeps one set of qparams for its output."
    why = (
        "FoldAndAnnotateQParamsPass replaces every quantize op behind an op by the op itself and notes their qparams "
        "under the number of the user. What reads the note takes the first (convolution, linear, matmul), so the other "
        "consumers read codes of another scale; or insists on one note, equal or not, and stops lowering (elementwise "
        "ops, lookup tables). "
        "PT2E makes one quantize op per output; a tool that inserts one per consumer makes this."
    )
    remedy = (
        "Let fuseguard keep the op off the accelerator (fuseguard.executorch.guard), or quantize its output once and "
        "requantize behind the dequantize op where a consumer needs other qparams."
    )
    scope = "cluster"
    message = "{op} is followed by {count} quantize ops: ({first}) and ({other}) among them"
    effects = EffectsTable(
        [
            EffectRow("mac", "*", "*", Effect.WRONG, reference=_FIRST),
            EffectRow("moved", "*", "*", Effect.WRONG, reference=_FIRST),
            EffectRow("table", "*", "*", Effect.CRASH, reference=_TABLE),
            EffectRow("rescaled", "*", "*", Effect.CRASH, reference=_RESCALED),
            EffectRow("other", "*", "*", Effect.WRONG, Evidence.SOURCE_READ, reference=_FIRST),
        ]
    )
    bad = examples.SEVERAL_OUTPUTS
    good = examples.ONE_OUTPUT
    references = ("bug class 13 of the project's catalogue",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        done: set[str] = set()
        for node in view.calls():
            if view.is_q(node) or view.is_dq(node) or not (node.annotated or node.info.has(Trait.GETITEM)):
                continue
            quantizers = view.out_q(node)
            if len(quantizers) < 2:
                continue
            found = [qparams for q in quantizers if (qparams := view.qparams(q)) is not None and is_sane(qparams)]
            case = _case(node)
            other = next((qparams for qparams in found[1:] if not qparams.same_domain(found[0])), None)
            if not found or (other is None and case not in _COUNTED):
                continue
            chain = chain_behind(view, node, origins_of(view), done) if carries_codes(node) else []
            yield self.finding(
                view,
                target,
                (node, *(item for item in chain if item is not node)),
                case=case,
                qparams=tuple((f"output {q.name}", str(view.qparams(q))) for q in quantizers),
                op=node.name,
                count=len(quantizers),
                first=found[0],
                other=other or found[-1],
            )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """One set of qparams at the op, the others behind it; exact where the op moves codes of known qparams."""
        del target
        node = view.graph[finding.nodes[0]]
        origin = origins_of(view).of.get(node.name)
        if origin is not None and not origin.moves_zero_point and stays_on_grid(node, origin.qparams):
            return pair_behind(view, node, origin.qparams)
        quantizers = view.out_q(node)
        first = view.qparams(quantizers[0])
        if first is None or not is_sane(first):
            return None
        alike = all(view.qparams(q) == first for q in quantizers)
        rewrite = pair_behind(view, node, first)
        return replace(rewrite, exact=alike) if rewrite is not None else None


def _case(node: Node) -> str:
    if node.info.has(Trait.MAC):
        return "mac"
    if node.info.has(Trait.TABLE):
        return "table"
    if node.info.has(Trait.RESCALED):
        return "rescaled"
    return "moved" if carries_codes(node) else "other"
