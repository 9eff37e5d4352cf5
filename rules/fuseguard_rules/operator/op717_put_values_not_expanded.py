"""OP717: an index_put with broadcast values, which the backend before 1.3 does not expand."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.releases import EXPANDS_PUT_VALUES
from fuseguard.backend.rewrite_index_put import read_put
from fuseguard.engine import Call, Effect, EffectRow, EffectsTable, Finding, Insert, Pair, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op717")

_VIEW = "RewriteIndexPutPass: reshape_values"


class PutValuesNotExpanded(Rule):
    code = "OP717"
    name = "put-values-not-expanded"
    summary = "An index_put has fewer values than places, or takes a whole dimension beside indexed ones; fixed in 1.3."
    why = (
        "torch broadcasts the values of index_put to the places that the index tensors name: y[:, i] = v accepts a v "
        "with one element. RewriteIndexPutPass of 1.2 turns index_put into a SCATTER, and views the values as one row "
        "for each position of the broadcast index tensors. Values that still need to be broadcast have too few "
        "elements for that view, which fails. The pass treats a dimension that is taken whole as an index tensor and "
        "broadcasts it with the others, although it has to be combined with them. The view then fails as well, or "
        "fewer places are written than the program says. From 1.3 on, the pass expands the values, and another one "
        "moves whole dimensions out of its way. The program is not at fault, so the rule reports nothing for releases "
        "that lower it."
    )
    remedy = (
        "Expand the values yourself (v.expand(...)) or let fuseguard do so (repair), keep the op on the CPU (guard), "
        "or upgrade ExecuTorch to 1.3 or newer."
    )
    scope = "cluster"
    message = "{put} writes {values} to places of shape {places}, which ExecuTorch {release} cannot lower"
    effects = EffectsTable(
        [
            EffectRow("fewer", "<1.3", "*", Effect.WRONG, reference=_VIEW),
            EffectRow("view", "<1.3", "*", Effect.CRASH, reference=_VIEW),
            EffectRow("*", ">=1.3", "*", Effect.EXACT, reference="RewriteIndexPutPass: expand_op"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if EXPANDS_PUT_VALUES.in_force(target):
            return
        for node in view.ops:
            put = read_put(view, node)
            if put is not None and (put.crossed or not put.fits):
                yield self.finding(
                    view,
                    target,
                    (node,),
                    case="view" if put.fails else "fewer",
                    put=node.name,
                    values=put.values.name,
                    places="x".join(map(str, put.places)),
                    release=target.release,
                )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Expand the values to the places. None if whole dimensions are combined with indexed ones."""
        del target
        node = view.graph[finding.nodes[0]]
        put = read_put(view, node)
        if put is None or put.crossed:
            return None
        qparams = view.qparams(put.values)
        if qparams is not None and not qparams.usable:
            return None
        expand = Call("aten.expand.default", (put.places,), annotated=qparams is not None)
        return Rewrite((Insert(put.values.name, (node.name,), (expand, *([Pair(qparams)] if qparams else []))),))
