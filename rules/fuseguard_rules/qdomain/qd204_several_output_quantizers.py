"""QD204: the result of one op is quantized more than once, with different qparams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fuseguard.backend.fold_qparams import MOVES_ZERO_POINT, carries_codes, chain_after, origins_of
from fuseguard.backend.rewrites import mirrored, pair_after, stays_on_grid
from fuseguard.engine import Duplicate, Effect, EffectRow, EffectsTable, Evidence, Finding, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, QParams, Trait, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.qdomain.graphs")

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
        "FoldAndAnnotateQParamsPass replaces every quantize op after an op with the op itself and stores their qparams "
        "under the number of the user. Some readers of this metadata take the first entry (convolution, linear, "
        "matmul), so the other consumers read codes of another scale. Others require exactly one entry, equal or not, "
        "and stop lowering (elementwise ops, lookup tables). PT2E makes one quantize op per output; a tool that "
        "inserts one per consumer causes this."
    )
    remedy = (
        "Quantize the output once, and requantize after the dequantize op if a consumer needs other qparams. Or let "
        "fuseguard compute the op once for each set of qparams (repair), which costs the repeated computation, or keep "
        "it off the accelerator (guard)."
    )
    scope = "cluster"
    message = "{op} is followed by {count} quantize ops, among them ({first}) and ({other})"
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

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        done: set[str] = set()
        for node in view.ops:
            if not (node.annotated or node.info.has(Trait.GETITEM)):
                continue
            quantizers = view.out_q(node)
            if len(quantizers) < 2:
                continue
            found = [qparams for q in quantizers if (qparams := view.qparams(q)) is not None and qparams.usable]
            case = _case(node)
            other = next((qparams for qparams in found[1:] if not qparams.same_domain(found[0])), None)
            if not found or (other is None and case not in _COUNTED):
                continue
            chain = chain_after(view, node, origins_of(view), done) if carries_codes(node) else []
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
        """Keep one set of qparams at the op and the others after it if that is exact; otherwise copy the op for each.

        The exact qparams are those in which an op that moves codes works already. After an op that computes, no
        requantization is exact: what the first Q rounds away, the second cannot restore.
        """
        del target
        node = view.graph[finding.nodes[0]]
        origin = origins_of(view).of.get(node.name)
        if origin is not None and node.kind in MOVES_ZERO_POINT and view.in_dq(node, 0) is origin.dq:
            return pair_after(view, node, mirrored(origin.qparams))
        if origin is not None and not origin.moves_zero_point and stays_on_grid(node, origin.qparams):
            return pair_after(view, node, origin.qparams)
        quantizers = view.out_q(node)
        first = view.qparams(quantizers[0])
        if first is None or not first.usable:
            return None
        others = [q for q in quantizers if view.qparams(q) != first]
        if not others:
            return pair_after(view, node, first)
        # A copy of a pool would still change the domain (QD202), for which a pool has no exact repair.
        chain = _from_codes(view, node) if node.info.has(Trait.ACTIVATION) or not carries_codes(node) else None
        if chain is not None:
            return Rewrite(tuple(Duplicate(chain, group) for group in _by_qparams(view, others)))
        sane = [found for q in quantizers if (found := view.qparams(q)) is not None and found.usable]
        rewrite = pair_after(view, node, max(sane, key=lambda qparams: qparams.high - qparams.low))
        return replace(rewrite, exact=False) if rewrite is not None else None


def _from_codes(view: View, node: Node) -> tuple[str, ...] | None:
    """``node``, after the anchor that it is fused to, if any; None if these read anything other than codes and
    constants.

    A copy then reads codes and constants as well, and nothing before it changes. Its data must have a known shape, or
    the copy could not be distinguished from the op (QD201's repair).
    """
    island = view.island_of(node)
    anchor = island.anchor if island is not None else node
    inputs = view.graph.inputs(anchor)
    data = next((item for item in inputs if view.is_dq(item)), None)
    if data is None or data.meta is None or None in data.meta.shape or node.info.has(Trait.GETITEM):
        return None
    if not all(view.is_dq(item) or item.constant for item in inputs):
        return None
    return (node.name,) if anchor is node else (anchor.name, node.name)


def _by_qparams(view: View, quantizers: list[Node]) -> list[tuple[str, ...]]:
    groups: dict[QParams | None, list[str]] = {}
    for q in quantizers:
        groups.setdefault(view.qparams(q), []).append(q.name)
    return [tuple(group) for group in groups.values()]


def _case(node: Node) -> str:
    if node.info.has(Trait.MAC):
        return "mac"
    if node.info.has(Trait.UNARY):
        return "table"
    if node.info.has(Trait.ARITHMETIC):
        return "rescaled"
    return "moved" if carries_codes(node) else "other"
