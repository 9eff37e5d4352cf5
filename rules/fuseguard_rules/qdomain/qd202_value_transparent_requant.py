"""QD202: the qparams change across an op that passes codes through unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fuseguard.backend.fold_qparams import (
    MOVES_ZERO_POINT,
    Origin,
    Origins,
    carries_codes,
    chain_after,
    is_computed_with,
    largest_change,
    members_agree,
    origins_of,
    same_codes,
)
from fuseguard.backend.rewrites import mirrored, pair_after, pair_before, stays_on_grid
from fuseguard.engine import Effect, EffectRow, EffectsTable, Evidence, Finding, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, QParams, Trait, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.qdomain.qd202")

_FOLD = "FoldAndAnnotateQParamsPass leaves no RESCALE"
_FLIP = "tosa_profile_supported_op_lists.py: flip is delegated from 1.4 on"
_POOL = "AVG_POOL2D with both zero points"
_BOUNDS = "CLAMP has the dtype of its input, and the bounds are codes of its output"
_RETYPED = "the delegate yields codes of the input's dtype"
_READ = "a TABLE, RESCALE or MAC is made for the other dtype"


class ValueTransparentRequant(Rule):
    code = "QD202"
    name = "value-transparent-requant"
    summary = "An op that only moves codes has different qparams before and after it, and nothing requantizes."
    why = (
        "FoldAndAnnotateQParamsPass removes the DQs before an annotated op and the Q after it. For ops that compute, "
        "later passes insert a RESCALE in their place. An op that only moves values (view, permute, slice, cat, pad, "
        "max_pool2d, clamp and the like) gets none, so its codes are read downstream with a scale and zero point that "
        "they were not made with. neg takes the zero points into account, but not the scales. From 1.4 on, Arm's own "
        "quantizer gives neg and movedim an output observer of their own."
    )
    remedy = (
        "Let fuseguard requantize next to the op (repair), or keep the op off the accelerator (guard). Or quantize "
        "the op with one set of qparams (SharedQuantizationSpec), and requantize after an op that computes."
    )
    scope = "cluster"
    message = "{op} reads codes of ({before}), but its result is read as ({after}); nothing converts between the two"
    effects = EffectsTable(
        [
            EffectRow("bounds", "*", "INT", Effect.RUNTIME_FAULT, Evidence.SOURCE_READ, reference=_RETYPED),
            EffectRow("bounds", "*", "INT+FP", Effect.CRASH, Evidence.SOURCE_READ, reference=_BOUNDS),
            EffectRow("retyped", "*", "INT", Effect.RUNTIME_FAULT, reference=_RETYPED),
            EffectRow("retyped", "*", "INT+FP", Effect.WRONG, reference=_RETYPED),
            EffectRow("retyped and read", "*", "*", Effect.CRASH, reference=_READ),
            EffectRow("moved", "*", "*", Effect.WRONG, reference=_FOLD),
            EffectRow("pool", "<1.3", "*", Effect.EXACT, reference=_POOL),
            EffectRow("pool", ">=1.3", "*", Effect.WRONG, reference=_FOLD),
            EffectRow("flip", "<1.4", "*", Effect.CPU_FALLBACK, reference=_FLIP),
            EffectRow("flip", ">=1.4", "*", Effect.WRONG, reference=_FOLD),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #18999", "executorch #19758", "executorch #20314")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        origins = origins_of(view)
        torn = {node.name for node, members in origins.joins if not members_agree(members)}
        done: set[str] = set()
        for node in view.calls():
            origin = origins.of.get(node.name)
            if origin is None or not carries_codes(node) or node.name in torn:
                continue  # inputs that disagree with each other are QD203's
            after = _only_output(view, node)
            if after is None or same_codes(origin.qparams, after, any_zero_point=origin.moves_zero_point):
                continue
            yield self._report(view, target, node, origin, after, origins, done)

    def _report(
        self, view: View, target: Target, node: Node, origin: Origin, after: QParams, origins: Origins, done: set[str]
    ) -> Finding:
        chain = [item for item in chain_after(view, node, origins, done) if item is not node]
        copies = all(item.info.has(Trait.MOVES) for item in (node, *chain))
        bound = largest_change(origin.qparams, after) if copies else None
        return self.finding(
            view,
            target,
            (node, *chain),
            case=_case(view, node, origin.qparams, after),
            bound_steps=bound,
            bound_value=bound * after.scale if bound is not None else None,
            qparams=(("input", str(origin.qparams)), ("output", str(after))),
            op=node.name,
            before=origin.qparams,
            after=after,
        )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Requantize after the op in the domain that it works in, or before it if its bounds are not on that grid."""
        del target
        node = view.graph[finding.nodes[0]]
        origin, after = origins_of(view).of.get(node.name), _only_output(view, node)
        if origin is None or after is None:
            return None
        before = origin.qparams
        if node.kind in MOVES_ZERO_POINT and view.in_dq(node, 0) is origin.dq:
            return pair_after(view, node, mirrored(before))
        if origin.moves_zero_point:
            return None
        if stays_on_grid(node, before):
            return pair_after(view, node, before)
        if node.info.has(Trait.ACTIVATION) and view.in_dq(node, 0) is origin.dq:
            return pair_before(view, node, [origin.dq], after)
        # avg_pool2d, bilinear: they round codes and values differently
        rewrite = pair_after(view, node, before)
        return replace(rewrite, exact=False) if rewrite is not None else None


def _case(view: View, node: Node, before: QParams, after: QParams) -> str:
    if before.dtype != after.dtype:
        if node.info.has(Trait.ACTIVATION):
            return "bounds"
        return "retyped and read" if is_computed_with(view, node) else "retyped"
    if node.kind == "avg_pool2d" and same_codes(before, after, any_zero_point=True):
        return "pool"  # only its zero point changes
    return "flip" if node.kind == "flip" else "moved"


def _only_output(view: View, node: Node) -> QParams | None:
    """The qparams of the Q after ``node``; None if there is none, or several that differ (QD204)."""
    found = [view.qparams(q) for q in view.out_q(node)]
    known = {qparams for qparams in found if qparams is not None and qparams.usable}
    return known.pop() if len(known) == 1 and len(found) >= 1 else None
