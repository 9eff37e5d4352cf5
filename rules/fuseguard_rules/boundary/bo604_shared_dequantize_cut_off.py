"""BO604: ops that share a dequantize op end up in a different delegate from it."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.fold_qparams import is_computed_with
from fuseguard.backend.partition import CpuReach, stays_on_cpu_with_float
from fuseguard.backend.per_view import once_per_view
from fuseguard.engine import (
    Call,
    Effect,
    EffectRow,
    EffectsTable,
    Finding,
    Insert,
    Pair,
    Replace,
    Rewrite,
    Rule,
)
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, Trait, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.boundary.bo604")

_FLOAT = "FoldAndAnnotateQParamsPass folds the Q after an op whose DQ is in another delegate"
_DETAGGED = "TOSAPartitioner._detag_boundary_nodes keeps the parts on the CPU"

#: Traits of data movement that does more than pass on one value.
_JOINS_OR_SPLITS = Trait.MULTI_OUTPUT | Trait.LIST_INPUT


class SharedDequantizeCutOff(Rule):
    code = "BO604"
    name = "shared-dequantize-cut-off"
    summary = "Parts of one tensor share its dequantize op, and an op on the CPU puts some parts into another delegate."
    why = (
        "The edge dialect makes one slice for each part of an unbind, and all slices read one DQ. If one part goes "
        "through an op that the backend does not have, and comes back, the delegate is cut there. The DQ is put before "
        "the cut, and the parts that do not go through that op are put after it. Their slices then read floats, but "
        "FoldAndAnnotateQParamsPass still removes the Q after them, so the floats continue as if they were codes. "
        "Where they leave the delegate, this is silent. Without float support, the parts stay on the CPU."
    )
    remedy = (
        "Select each part separately (x[:, 0], x[:, 1]), so that each has its own dequantize op (repair), or let "
        "fuseguard keep the parts off the accelerator (guard)."
    )
    scope = "boundary"
    message = "{kept} and {left} share {dq}; {left} goes through {cpu}, which stays on the CPU, and {kept} does not"
    effects = EffectsTable(
        [
            EffectRow("*", "*", "INT", Effect.CPU_FALLBACK, reference=_DETAGGED),
            EffectRow("read", "*", "INT+FP", Effect.CRASH, reference=_FLOAT),
            EffectRow("leaves", "*", "INT+FP", Effect.WRONG, reference=_FLOAT),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("found by this project's differential campaign",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for dq, parts, kept, left, cpu in _cut_off(view, target):
            yield self.finding(
                view,
                target,
                _with_what_follows(view, parts),
                case="read" if is_computed_with(view, _with_what_follows(view, [kept])[-1]) else "leaves",
                dq=dq.name,
                kept=kept.name,
                left=left.name,
                cpu=cpu.name,
            )

    def exposed(self, view: View, target: Target, refused: frozenset[str]) -> Iterator[tuple[Node, Node]]:
        """Parts that are cut off only because an op on the path of another part is refused."""
        if "FP" in target.profiles:
            for _, parts, _, _, cpu in _cut_off(view, target, refused):
                if cpu.name in refused:
                    yield from ((part, cpu) for part in _with_what_follows(view, parts))

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Give each part its own dequantize op."""
        del target
        first = view.graph[finding.nodes[0]]
        source = view.in_dq(first, 0)
        qparams = view.qparams(source) if source is not None else None
        if source is None or qparams is None or not qparams.usable:
            return None
        if first.kind != "unbind":
            others = [user for user in view.users(source) if user.name in finding.nodes and user is not first]
            return Rewrite(tuple(Insert(source.name, (user.name,), (Pair(qparams),)) for user in others))
        dim = first.arg(1, "dim", 0)
        edits = []
        for part in view.graph.users(first):
            select = Call("aten.select.int", (dim, part.arg(1, "index")))
            ends_in_q = all(view.is_q(user) for user in view.users(part))
            edits.append(Replace(part.name, source.name, (select,) if ends_in_q else (select, Pair(qparams))))
        return Rewrite(tuple(edits))


def _cut_off(
    view: View, target: Target, refused: frozenset[str] = frozenset()
) -> Iterator[tuple[Node, list[Node], Node, Node, Node]]:
    """A DQ, the ops that share it, one that stays on the accelerator, one that leaves it, and the CPU's first op."""
    shared = _shared(view)
    if not shared:
        return
    reach = CpuReach(view, target, refused, stays_on_cpu_with_float)
    for dq, parts in shared:
        values = [part for part in parts if part.kind != "unbind"]
        left = next((part for part in values if reach.through(part) is not None), None)
        kept = next((part for part in values if reach.through(part) is None), None)
        cpu = reach.through(left) if left is not None else None
        if left is not None and kept is not None and cpu is not None:
            yield dq, parts, kept, left, cpu


@once_per_view
def _shared(view: View) -> list[tuple[Node, list[Node]]]:
    """Each DQ with several ops that move its codes, and those ops."""
    return [(dq, parts) for dq in view.calls(Trait.DEQUANTIZE) if len(parts := _sharing(view, dq)) > 1]


def _sharing(view: View, dq: Node) -> list[Node]:
    """Ops that move the codes of one DQ; an unbind, of which the edge dialect makes several, with its parts."""
    readers = [user for user in view.users(dq) if user.annotated and user.info.has(Trait.TRANSPARENT)]
    if len(readers) == 1 and readers[0].kind == "unbind":
        return [readers[0], *view.users(readers[0])]
    return [reader for reader in readers if not reader.info.has(_JOINS_OR_SPLITS)]


def _with_what_follows(view: View, parts: list[Node]) -> list[Node]:
    """``parts``, each with the data movement after it that the edge dialect makes from the same op."""
    found = {part.name: part for part in parts}
    pending = list(parts)
    while pending:
        for user in view.users(pending.pop(0)):
            if user.annotated and user.info.has(Trait.TRANSPARENT) and user.name not in found:
                found[user.name] = user
                pending.append(user)
    return list(found.values())
