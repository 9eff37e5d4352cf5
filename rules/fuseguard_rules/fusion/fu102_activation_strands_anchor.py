"""FU102: an anchor has no output qparams, because an activation that is not fused owns them."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.anchor_forms import anchor_form
from fuseguard.backend.fused_activation import (
    fused_activations,
    is_chained,
    is_quantized_anchor,
    labelled_qparams,
    pair_on_anchor,
)
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Trait, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.fusion.islands")

_NO_QPARAMS = "RewriteConvPass: No output quantization parameter found"


class ActivationStrandsAnchor(Rule):
    code = "FU102"
    name = "activation-strands-anchor"
    summary = "An anchor has no output qparams of its own, and the activation that owns them stays a separate op."
    why = (
        "RewriteConvPass needs the output qparams of every integer convolution. If the convolution has none, the pass "
        "looks (from 1.3 on) at its single direct user. Decomposition puts data movement between the two: "
        "DecomposeLinearPass inserts a view, DecomposeGroupedConvPass a cat (grouped convolutions, depthwise Conv3d), "
        "and before 1.5 Conv1d gets a squeeze. In these cases, and if the anchor has several users and none is a "
        "quantize op, lowering crashes with 'No output quantization parameter found'. The INT profile leaves the "
        "anchor and the activation on the CPU."
    )
    remedy = (
        "Give the anchor its own output qparams: insert a quantize/dequantize pair with the activation's qparams "
        "between the two (repair). Or let fuseguard keep the two off the accelerator (guard)."
    )
    scope = "cluster"
    message = "{anchor} ({form}) has no output qparams of its own: {reason}"
    effects = EffectsTable(
        [
            EffectRow("*", "*", "INT", Effect.CPU_FALLBACK, reference="CheckProperQuantization"),
            EffectRow("chain", "*", "INT+FP", Effect.CRASH, reference=_NO_QPARAMS),
            EffectRow("users", "*", "INT+FP", Effect.CRASH, reference=_NO_QPARAMS),
            EffectRow("direct", "<1.3", "INT+FP", Effect.CRASH, reference=_NO_QPARAMS),
            EffectRow("direct", ">=1.3", "INT+FP", Effect.EXACT, reference="RewriteConvPass, #18778"),
        ]
    )
    bad = examples.STRANDED
    good = examples.IN_RANGE
    references = ("executorch #18778", "executorch #20486", "executorch #12270")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for fusion in fused_activations(view, target):
            island = fusion.island
            if fusion.fused or (not fusion.chained and not fusion.expressible):
                continue  # FU101's
            assert island.activation is not None
            yield self.finding(
                view,
                target,
                (island.anchor, island.activation),
                case="chain" if fusion.chained else "direct",
                island=island,
                qparams=labelled_qparams(view, island),
                anchor=island.anchor.name,
                form=anchor_form(view, island.anchor),
                reason=f"{island.activation.name} owns them and is not fused",
            )
        for island in view.islands:
            users = view.users(island.anchor)
            if len(users) < 2 or not is_quantized_anchor(view, island) or any(view.is_q(user) for user in users):
                continue
            # FuseDuplicateUsersPass merges identical users into one before the rescale is inserted.
            distinct = {(user.target, user.args, tuple(user.kwargs.items())) for user in users}
            chained = is_chained(view, island.anchor, target)
            names = ", ".join(user.name for user in users)
            yield self.finding(
                view,
                target,
                (island.anchor, *(user for user in users if user.info.has(Trait.ACTIVATION))),
                case="users" if len(distinct) > 1 else ("chain" if chained else "direct"),
                island=island,
                qparams=labelled_qparams(view, island),
                anchor=island.anchor.name,
                form=anchor_form(view, island.anchor),
                reason=f"it has {len(users)} users ({names}), none of them a quantize op",
            )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        del target
        return pair_on_anchor(view, finding)
