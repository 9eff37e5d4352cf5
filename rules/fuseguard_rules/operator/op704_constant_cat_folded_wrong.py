"""OP704: a cat of quantized constants, which the backend before 1.3 computes from codes instead of values."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fuseguard.backend.releases import FOLDS_LISTS
from fuseguard.engine import (
    VALUE,
    Call,
    Effect,
    EffectRow,
    EffectsTable,
    Finding,
    Insert,
    Pair,
    Rewrite,
    Rule,
)
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, Trait, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op704")


class ConstantCatFolded(Rule):
    code = "OP704"
    name = "constant-cat-folded-wrong"
    summary = (
        "A cat joins only quantized constants; the backend before 1.3 treats the codes of all but the first as values."
    )
    why = (
        "FuseConstantArgsPass computes an op in advance if all its inputs are constants: it dequantizes them, runs the "
        "op and quantizes the result. It looks up each input's qparams under the input's own number, but "
        "FoldAndAnnotateQParamsPass stores those of a list under the number of the list. The second and later "
        "constants therefore stay codes, and are quantized once more. An op without a RESCALE that reads constants (a "
        "permute, a table, a requantization) has been replaced with a constant by then; where floats are lowered, so "
        "have ops that read float constants. Fixed in 1.3 (#18971). Arm's own quantizer folds a cat of buffers or "
        "parameters before it annotates the program, but not a cat of constants that the program makes itself "
        "(torch.full, zeros, ones). The program is not at fault, so the rule reports nothing for releases that lower "
        "it correctly."
    )
    remedy = (
        "Join the constants in the model's constructor and keep the result as a buffer (this costs nothing at run "
        "time). Or let fuseguard insert maximum(c, c) after the smallest constant (repair): it equals c and is not "
        "computed in advance. Or keep the cat on the CPU (guard), or upgrade ExecuTorch to 1.3 or newer."
    )
    scope = "cluster"
    message = "{op} joins the constants {constants}, which ExecuTorch {release} folds with the qparams of the first one"
    effects = EffectsTable(
        [
            EffectRow("float", "<1.3", "INT", Effect.EXACT, reference="TOSAPartitioner._detag_boundary_nodes: the Q"),
            EffectRow("*", "<1.3", "*", Effect.WRONG, reference="FuseConstantArgsPass._fuse_nodes, #18971"),
            EffectRow("*", ">=1.3", "*", Effect.EXACT, reference="FuseConstantArgsPass, #18971"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #18971", "executorch #17478")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if FOLDS_LISTS.in_force(target):
            return
        joins = [node for node in view.of_kind("cat", "stack") if node.annotated]
        quantized, known = (_known_in_advance(view, floats) if joins else set() for floats in (False, True))
        for node in joins:
            members = view.graph.inputs(node)
            if not all(member.name in known and view.is_dq(member) for member in members):
                continue
            # The folded DQs leave codes, and the pass uses the qparams that it has found for the first member.
            sources = {source.name: source for member in members if (source := view.producer(member)) is not None}
            if len(sources) > 1:
                yield self.finding(
                    view,
                    target,
                    (node, *_after(view, node)),
                    case="*" if all(member.name in quantized for member in members) else "float",
                    op=node.name,
                    constants=", ".join(_label(view, source) for source in sources.values()),
                    release=target.release,
                )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Insert an op that the pass does not fold after the smallest member: maximum, which gets RESCALEs around it.

        Both operands are the same codes, so each code comes out unchanged.
        """
        del target
        node = view.graph[finding.nodes[0]]
        smallest = min(view.graph.inputs(node), key=_size)
        qparams = view.qparams(smallest)
        if qparams is None or not qparams.usable or qparams.dtype not in ("int8", "int16"):
            return None
        steps = (Call("aten.maximum.default", (VALUE,)), Pair(qparams))
        return Rewrite((Insert(smallest.name, (node.name,), steps),))


def _after(view: View, cat: Node) -> list[Node]:
    """The annotated views that a stack leaves between its cat and its Q: without the cat they would move floats."""
    found: list[Node] = []
    users = view.users(cat)
    while len(users) == 1 and users[0].annotated and users[0].info.has(Trait.TRANSPARENT):
        found.append(users[0])
        users = view.users(users[0])
    return found


def _known_in_advance(view: View, floats: bool) -> set[str]:
    """The constants, and what FuseConstantArgsPass makes constants before it comes to what reads them.

    ``floats``: of floats as well, which an INT delegate is given as codes. InsertRescaleInt32Pass has put RESCALEs
    around ops that compute in int32, and the pass does not fold RESCALEs.
    """
    # The plug-in sees an edge graph without its signature, which does not tell inputs from constants. Inputs that
    # are codes already are rare, so there any codes count as constant.
    labelled = view.graph.dialect != "edge" or any(node.constant for node in view.graph)
    known: set[str] = set()
    for node in view.graph:
        if node.op != "call":
            codes = node.meta is not None and not node.meta.is_float
            constant = (codes or floats) if node.constant else codes and not labelled and node.op == "placeholder"
        elif view.is_q(node) or view.is_dq(node):
            source = view.producer(node)
            constant = source is not None and source.name in known
        else:
            inputs = view.graph.inputs(node)
            constant = node.info.has(Trait.CONSTANT) or (
                node.info.has(Trait.TRANSPARENT | Trait.UNARY)
                and (floats or node.annotated or node.info.has(Trait.GETITEM))
                and bool(inputs)
                and all(item.name in known for item in inputs)
            )
        if constant:
            known.add(node.name)
    return known


def _label(view: View, source: Node) -> str:
    """The node that a reader knows a member by: a buffer, or what the program quantizes."""
    return ((view.producer(source) if view.is_q(source) else None) or source).name


def _size(node: Node) -> float:
    shape = node.meta.shape if node.meta is not None else (None,)
    return math.prod(math.inf if size is None else size for size in shape)
