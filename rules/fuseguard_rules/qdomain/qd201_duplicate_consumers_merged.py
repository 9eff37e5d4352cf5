"""QD201: the backend merges two ops with the same inputs, although their outputs are quantized differently."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace

from fuseguard.backend.delegates import delegate_numbers
from fuseguard.backend.fold_qparams import MOVES_ZERO_POINT, carries_codes
from fuseguard.backend.merged_duplicates import merged_harmlessly, numbers_of, outputs_of
from fuseguard.backend.partition import stays_outside
from fuseguard.backend.rewrites import mirrored, pair_after, standing_apart
from fuseguard.backend.value_range import reach_on, reachable
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule, SwapOperands
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.engine.rewrite import Edit
from fuseguard.ir import Node, Ref, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.qdomain.graphs")

_APART = "passes see one delegate at a time"
_MERGE = "FuseDuplicateUsersPass: its signature has no qparams, #15218"


class DuplicateConsumersMerged(Rule):
    code = "QD201"
    name = "duplicate-consumers-merged"
    summary = (
        "The same op on the same tensors occurs twice with different output qparams; the backend keeps one of them."
    )
    why = (
        "FuseDuplicateUsersPass merges the users of a tensor that have the same operator and the same arguments. It "
        "runs after FoldAndAnnotateQParamsPass has put the Q/DQ ops into node metadata, and ignores that metadata. The "
        "readers of the dropped op now read codes made with the other op's scale and zero point. The pass then "
        "compares the users of the merged op in turn. It is enough that a program computes a value twice, once into a "
        "cat (whose range the value takes on) and once alone: a gate or normalization written out in two branches. If "
        "the two differ only in codes that no value of the program reaches, merging them is right. Two ops in "
        "different delegates, or of which one stays on the CPU, are not merged. Nor are two sums of different dtypes, "
        "which are an argument of theirs."
    )
    remedy = (
        "Compute the value once in the model and use it twice, let fuseguard write the second op in another way "
        "(repair), or keep it off the accelerator (guard)."
    )
    scope = "cluster"
    message = "{op} computes the same as {twin} on the same tensors, but its output has {out} and {twin}'s has {other}"
    effects = EffectsTable(
        [
            EffectRow("apart", "*", "*", Effect.EXACT, reference=_APART),
            EffectRow("*", "*", "*", Effect.WRONG, reference=_MERGE),
        ]
    )
    bad = examples.DUPLICATES
    good = examples.NO_DUPLICATES
    references = ("executorch #15218", "executorch #22374", "executorch #21380")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        kept: dict[Hashable, tuple[Node, Hashable]] = {}
        merged: set[str] = set()  # ops that are rightly merged into a twin of their own
        alike = numbers_of(view).alike
        delegates = delegate_numbers(view, lambda node: stays_outside(view, node, target)) if alike else {}
        for name, (signature, meaning) in alike.items():
            node = view.graph[name]
            twin, its_meaning = kept.setdefault(signature, (node, meaning))
            if meaning == its_meaning or not any(isinstance(ref, Ref) for ref in node.refs()):
                if twin is not node:
                    merged.add(node.name)
                continue
            if carries_codes(node) and node.kind not in MOVES_ZERO_POINT:
                continue  # one of the two changes the domain, which QD202 reports
            if merged_harmlessly(view, node, twin, target):
                merged.add(node.name)
                continue
            yield self.finding(
                view,
                target,
                (node, *_merged_producers(view, node, merged)),
                case="*" if _share_delegate(view, target, delegates, node, twin) else "apart",
                qparams=((f"output of {node.name}", _text(view, node)), (f"output of {twin.name}", _text(view, twin))),
                op=node.name,
                twin=twin.name,
                out=_text(view, node) + _reached(view, node, target),
                other=_text(view, twin) + _reached(view, twin, target),
            )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Make the later of the two read a different op with the same value."""
        del target
        node = view.graph[finding.nodes[0]]
        if node.kind in ("add", "mul", "maximum", "minimum") and _differs_when_swapped(view, node):
            return Rewrite((SwapOperands(node.name),))
        data = next((item for item in view.graph.inputs(node) if view.is_dq(item)), None)
        if data is None:
            return None
        if node.kind in MOVES_ZERO_POINT:
            return _same_domain_after(view, node, data)  # a view before it would be moved after it
        return standing_apart(view, node, data)


def _share_delegate(view: View, target: Target, delegates: Mapping[str, int], node: Node, twin: Node) -> bool:
    if any(stays_outside(view, item, target) for item in (node, twin)):
        return False
    return delegates[node.name] == delegates[twin.name]


def _differs_when_swapped(view: View, node: Node) -> bool:
    """Whether no op computes the same as ``node`` with its operands exchanged, ``node`` itself included."""
    operands = node.args[:2]
    if len(operands) != 2 or node.kwargs or not all(isinstance(operand, Ref) for operand in operands):
        return False
    numbers = numbers_of(view)
    return numbers.signature(replace(node, args=(operands[1], operands[0], *node.args[2:]))) not in numbers.signatures


def _same_domain_after(view: View, node: Node, data: Node) -> Rewrite | None:
    """Put one domain after every such op on the same codes: merging them is then right."""
    qparams = view.qparams(data)
    source = view.producer(data)
    if qparams is None or not qparams.usable or source is None:
        return None
    edits: list[Edit] = []
    for _, reader in view.code_readers(source):
        if reader.target == node.target and any(view.qparams(q) != mirrored(qparams) for q in view.out_q(reader)):
            rewrite = pair_after(view, reader, mirrored(qparams))
            edits += rewrite.edits if rewrite is not None else ()
    return Rewrite(tuple(edits)) if edits else None


def _merged_producers(view: View, node: Node, merged: set[str]) -> list[Node]:
    """The duplicates that ``node`` reads, however far up, which are refused with it.

    If such a producer stays delegated, it is merged into its twin, which then has one result inside the delegate and
    one that leaves it, and lowering fails.
    """
    found: dict[str, Node] = {}
    pending = [node]
    while pending:
        for item in view.graph.inputs(pending.pop()):
            owner = view.maker(item)
            if owner is not None and owner.name in merged and owner.name not in found:
                found[owner.name] = owner
                pending.append(owner)
    return list(found.values())


def _reached(view: View, node: Node, target: Target) -> str:
    """Which codes of an op's result the program reaches, if it does not reach all."""
    quantizers = view.out_q(view.output_owner(node))
    qparams = view.qparams(quantizers[0]) if len(quantizers) == 1 else None
    if qparams is None:
        return ""
    return reachable(reach_on(view, target).codes(quantizers[0]), (qparams.qmin, qparams.qmax))


def _text(view: View, node: Node) -> str:
    return " and ".join(f"({qparams})" for qparams in outputs_of(view, view.output_owner(node))) or "no qparams"
