"""BO604: ops that share a dequantize op end up in another delegate than it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from fuseguard.backend.delegates import delegate_numbers
from fuseguard.backend.detag_boundary_nodes import has_shared_dequantize
from fuseguard.backend.fold_qparams import is_computed_with
from fuseguard.backend.partition import CpuReach, stays_on_cpu_with_float
from fuseguard.backend.rewrites import with_own_dequantize
from fuseguard.engine import (
    Call,
    Effect,
    EffectRow,
    EffectsTable,
    Finding,
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
_TORN = "TOSA operators take one dtype, and the op's other operands or parameters are codes"
_DETAGGED = "TOSAPartitioner._detag_boundary_nodes keeps the parts on the CPU"

#: Kinds that the backend lowers from codes alone, so that float data is too much for them.
_NO_FLOAT_FORM = frozenset(("avg_pool2d", "adaptive_avg_pool2d", "elu", "hardsigmoid"))


class SharedDequantizeCutOff(Rule):
    code = "BO604"
    name = "shared-dequantize-cut-off"
    summary = "Ops share a dequantize op, and an op on the CPU puts some of them into another delegate."
    why = (
        "A dequantize op is put into the delegate of its first reader. If the path of this reader goes through an op "
        "that the backend does not have, and comes back, the delegate is cut there. Readers that do not go through "
        "that op are put after the cut. They read floats, but FoldAndAnnotateQParamsPass still removes the Q after "
        "them and the DQs of their other operands. The floats continue as if they were codes. Where they leave the "
        "delegate, this is silent. Lowering crashes where something computes with them, and where the op takes codes "
        "as well: another operand or a weight. The edge dialect makes one slice for each part of an unbind, and all "
        "slices read one DQ. Others share one if another tool made the program, or if common subexpressions were "
        "eliminated. Without float support, the ops after the cut stay on the CPU."
    )
    remedy = (
        "Give each reader its own dequantize op and select each part of an unbind separately (repair), or let "
        "fuseguard keep the readers off the accelerator (guard)."
    )
    scope = "boundary"
    message = (
        "{kept} and {left} share {dq}; {left} goes through {cpu}, which stays on the CPU, and {kept} is in a later "
        "delegate"
    )
    effects = EffectsTable(
        [
            EffectRow("*", "*", "INT", Effect.CPU_FALLBACK, reference=_DETAGGED),
            EffectRow("torn", "*", "INT+FP", Effect.CRASH, reference=_TORN),
            EffectRow("read", "*", "INT+FP", Effect.CRASH, reference=_FLOAT),
            EffectRow("leaves", "*", "INT+FP", Effect.WRONG, reference=_FLOAT),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("found by this project's differential campaign",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for case, dq, nodes, kept, left, cpu in _cut_off(view, target):
            yield self.finding(
                view,
                target,
                nodes,
                case=case,
                dq=dq.name,
                kept=kept.name,
                left=left.name,
                cpu=cpu.name,
            )

    def exposed(self, view: View, target: Target, refused: frozenset[str]) -> Iterator[tuple[Node, Node]]:
        """What is cut off only because an op on the path of another reader is refused."""
        if target.has_float:
            for _, _, nodes, _, _, cpu in _cut_off(view, target, refused):
                if cpu.name in refused:
                    yield from ((node, cpu) for node in nodes)

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Give each reader its own dequantize op."""
        del target
        first = view.graph[finding.nodes[0]]
        if first.kind != "unbind":
            return with_own_dequantize(view, first)
        source = view.in_dq(first, 0)
        qparams = view.qparams(source) if source is not None else None
        if source is None or qparams is None or not qparams.usable:
            return None
        dim = first.arg(1, "dim", 0)
        edits = []
        for part in view.graph.users(first):
            select = Call("aten.select.int", (dim, part.arg(1, "index")))
            ends_in_q = all(view.is_q(user) for user in view.users(part))
            edits.append(Replace(part.name, source.name, (select,) if ends_in_q else (select, Pair(qparams))))
        return Rewrite(tuple(edits))


def _cut_off(
    view: View, target: Target, refused: frozenset[str] = frozenset()
) -> Iterator[tuple[str, Node, list[Node], Node, Node, Node]]:
    """The case, a DQ, the nodes that are wrong, a reader in a later delegate than the DQ, one that is not, and an op
    on the CPU on the way of that.
    """
    unbinds = [node for node in view.of_kind("unbind") if node.annotated and view.in_dq(node, 0) is not None]
    if not unbinds and not has_shared_dequantize(view):
        return
    reach = CpuReach(view, target, refused, stays_on_cpu_with_float)
    for node in unbinds:
        dq, parts = view.in_dq(node, 0), view.users(node)
        left = next((part for part in parts if reach.through(part) is not None), None)
        kept = next((part for part in parts if reach.through(part) is None), None)
        cpu = reach.through(left) if left is not None else None
        if dq is not None and left is not None and kept is not None and cpu is not None:
            case = _read_or_leaves(view, _with_what_follows(view, [kept])[-1])
            yield case, dq, _with_what_follows(view, [node, *parts]), kept, left, cpu
    if has_shared_dequantize(view):
        yield from _in_another_delegate(view, target, refused)


def _in_another_delegate(
    view: View, target: Target, refused: frozenset[str]
) -> Iterator[tuple[str, Node, list[Node], Node, Node, Node]]:
    """The same for ops that read the DQ themselves."""

    def outside(node: Node) -> bool:
        return node.name in refused or stays_on_cpu_with_float(view, node, target)

    numbers = delegate_numbers(view, outside)
    way: dict[str, Node] = {}
    seen: set[str] = set()
    for dq in view.calls(Trait.DEQUANTIZE):
        if dq.name in refused:
            continue
        users = [user for user in view.users(dq) if user.op == "call" and not outside(user)]
        left = next((user for user in users if numbers[user.name] == numbers[dq.name]), None)
        for reader in users if left is not None else ():
            if numbers[reader.name] == numbers[dq.name] or reader.name in seen:
                continue
            case = _case(view, reader, numbers)
            if case and left is not None:
                seen.add(reader.name)
                way = way or _ways_out(view, outside)
                yield case, dq, _with_what_follows(view, [reader]), reader, left, way[left.name]


def _case(view: View, reader: Node, numbers: Mapping[str, int]) -> str:
    """What becomes of an op that reads a DQ of an earlier delegate as floats; "" if it computes what it should."""
    if not reader.annotated or reader.info.has(Trait.CONSTANT):
        return ""
    own = [dq for dq in view.graph.inputs(reader) if view.is_dq(dq) and numbers[dq.name] == numbers[reader.name]]
    if reader.kind in _NO_FLOAT_FORM or (own and reader.kind != "where"):
        return "torn"
    last = _with_what_follows(view, [reader])[-1]
    return _read_or_leaves(view, last) if view.out_q(last) else ""


def _read_or_leaves(view: View, node: Node) -> str:
    return "read" if is_computed_with(view, node) else "leaves"


def _ways_out(view: View, outside: Callable[[Node], bool]) -> dict[str, Node]:
    """An op on the CPU that the value of each node reaches, by the node's name, the nearest one of a user's."""
    found: dict[str, Node] = {}
    for node in reversed(view.calls()):
        users = [user for user in view.users(node) if user.op == "call"]
        reached = (user if outside(user) else found.get(user.name) for user in users)
        first = next((item for item in reached if item is not None), None)
        if first is not None:
            found[node.name] = first
    return found


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
