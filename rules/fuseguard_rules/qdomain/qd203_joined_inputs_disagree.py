"""QD203: an op joins values whose codes were made with different qparams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fuseguard.backend.fold_qparams import (
    Origin,
    chain_after,
    code_inputs,
    members_agree,
    origins_of,
)
from fuseguard.backend.rewrites import pair_before
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, Trait, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.qdomain.graphs")

_MERGE = "FoldAndAnnotateQParamsPass._merge_qparams takes the first's, #19109"
_ASSERT = "FoldAndAnnotateQParamsPass: Input qparams do not match"
_FOLD = "FoldAndAnnotateQParamsPass leaves no RESCALE"


class JoinedInputsDisagree(Rule):
    code = "QD203"
    name = "joined-inputs-disagree"
    summary = "The values that a cat, stack, where or index_put joins have different qparams."
    why = (
        "A tensor has one scale and one zero point, so values that are joined into one tensor must have the same "
        "qparams. FoldAndAnnotateQParamsPass keeps one set of qparams for a list argument. Before 1.3, it stopped "
        "lowering with 'Input qparams do not match'. Since then, it silently takes the first member's (#19109), and "
        "the codes of the others are read with a scale that they were not made with. No release compares the inputs of "
        "where and index_put. Arm's quantizer shares one observer among them; other quantizers and hand-made Q/DQ do "
        "not."
    )
    remedy = (
        "Quantize the inputs with one observer (SharedQuantizationSpec), let fuseguard requantize them before the op "
        "(repair), or keep the op off the accelerator (guard)."
    )
    scope = "cluster"
    message = "{op} joins codes of ({first}) with codes of ({other}) from {culprit}"
    effects = EffectsTable(
        [
            EffectRow("list", "<1.3", "*", Effect.CRASH, reference=_ASSERT),
            EffectRow("list", ">=1.3", "*", Effect.WRONG, reference=_MERGE),
            # They differ by less than half a step: harmless since the comparison was removed.
            EffectRow("close", "<1.3", "*", Effect.CRASH, reference=_ASSERT),
            EffectRow("close", ">=1.3", "*", Effect.EXACT, reference=_MERGE),
            EffectRow("peers", "*", "*", Effect.WRONG, reference=_FOLD),
        ]
    )
    bad = examples.DISAGREEING
    good = examples.AGREEING
    references = ("executorch #18999", "executorch #19109")

    #: If the dtypes differ, so do scales and zero points.
    follows_from = ("DT501",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        origins = origins_of(view)
        done: set[str] = set()
        for node, members in origins.joins:
            first = members[0]
            case = _case(node, members)
            if not case:
                continue
            other = next(member for member in members[1:] if member.qparams != first.qparams)
            chain = [item for item in chain_after(view, node, origins, done) if item is not node]
            yield self.finding(
                view,
                target,
                (node, *chain),
                case=case,
                qparams=_labelled(members),
                op=node.name,
                first=first.qparams,
                other=other.qparams,
                culprit=other.dq.name,
            )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Requantize each input to the qparams of the output before the op."""
        del target
        node = view.graph[finding.nodes[0]]
        found = {view.qparams(q) for q in view.out_q(node)}
        after = found.pop() if len(found) == 1 else None
        if after is None or not after.usable or len(view.out_q(node)) != len(view.users(node)):
            return None
        return pair_before(view, node, code_inputs(view, node), after)


def _case(node: Node, members: Sequence[Origin]) -> str:
    """Which form of the fault this is; "" for none. A list is compared for equality, code range included."""
    if not members_agree(members):
        return "list" if node.info.has(Trait.LIST_INPUT) else "peers"
    alike = all(member.qparams == members[0].qparams for member in members[1:])
    return "" if alike or not node.info.has(Trait.LIST_INPUT) else "close"


def _labelled(members: tuple[Origin, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((f"input {number}", str(member.qparams)) for number, member in enumerate(members))
