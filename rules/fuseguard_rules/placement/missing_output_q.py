"""PL401: the backend takes an op for quantized, and its result is used in float."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rewrite, Rule, Unannotate
from fuseguard.ir import Arg, Graph, Island, Node, Trait, View
from fuseguard.ir.builder import GraphBuilder
from fuseguard.target import Target
from fuseguard_rules.fusion.activation_fusion import is_quantized_anchor
from fuseguard_rules.placement.operands import (
    INPUT,
    OUTPUT,
    SHAPE,
    anchor_graph,
    half_quantized,
    is_checked,
    is_float,
)
from fuseguard_rules.rewrites import pair_behind, stays_on_grid

_CODES = "FoldAndAnnotateQParamsPass removes the DQ and nothing dequantizes the result"
_CHECKED = "CheckProperQuantization"
_NO_QPARAMS = "No output quantization parameter found, or an integer CLAMP or lookup table without one"
_WEIGHT = "the linear is decomposed, and its transposed weight delegated on its own"

#: A chain of annotated ops is followed this far: decompositions are shorter, a hostile graph need not be.
_LONGEST_CHAIN = 16


def _graph(
    target: str, *rest: Arg, inputs: int = 1, quantized: bool = False, dtype: str = "float32"
) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        operands = [b.quantized_input(f"x{number}", SHAPE, INPUT) for number in range(inputs)]
        value = b.call(target, *operands, *rest, shape=SHAPE, dtype=dtype)
        return b.output(b.requantize(value, OUTPUT) if quantized else value)

    return build


class MissingOutputQ(Rule):
    code = "PL401"
    name = "missing-output-quantize"
    summary = "An op that was annotated as quantized has dequantized inputs, and its result is used in float."
    why = (
        "FoldAndAnnotateQParamsPass assumes 'one Q node to the output' of every annotated op: it folds the DQs of the "
        "inputs into the op, which then works on codes, and without a Q nobody turns the codes back into values. "
        "Where a pass needs the output qparams lowering dies (convolutions, lookup tables, clamps); elsewhere the "
        "delegate yields int8 or int32 where the program expects float. The INT profile leaves on the CPU what "
        "CheckProperQuantization lists; permute, cat, maximum, abs and the like are not on that list."
    )
    remedy = (
        "Quantize the op's output (a configuration with an output_activation, or a Q/DQ pair behind the op), leave "
        "the op unannotated, or let fuseguard keep it on the CPU (guard)."
    )
    scope = "cluster"
    message = "{node} has dequantized inputs and no quantize op behind it; {reader} reads its result in float"
    effects = EffectsTable(
        [
            EffectRow("checked-codes", "*", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("checked-codes", "*", "INT+FP", Effect.RUNTIME_FAULT, reference=_CODES),
            EffectRow("codes", "*", "*", Effect.RUNTIME_FAULT, reference=_CODES),
            EffectRow("checked-qparams", "*", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("checked-qparams", "*", "INT+FP", Effect.CRASH, reference=_NO_QPARAMS),
            EffectRow("qparams", "*", "INT", Effect.CRASH, reference=_WEIGHT),
            EffectRow("qparams", "*", "INT+FP", Effect.CRASH, reference=_NO_QPARAMS),
        ]
    )
    bad = (
        Example("add whose result leaves in float", _graph("aten.add.Tensor", inputs=2), companions=("BO601",)),
        Example(
            "permute whose result leaves in float", _graph("aten.permute.default", (0, 1, 3, 2)), companions=("BO601",)
        ),
        Example(
            "conv2d whose result leaves in float", lambda: anchor_graph("conv2d", output=False), companions=("BO601",)
        ),
        Example(
            "linear whose result leaves in float", lambda: anchor_graph("linear", output=False), companions=("BO601",)
        ),
    )
    good = (
        Example("comparison, whose result is a bool", _graph("aten.gt.Tensor", inputs=2, dtype="bool")),
        Example("add with a quantized result", _graph("aten.add.Tensor", inputs=2, quantized=True)),
    )
    references = ("executorch #18999", "bug class 8 of the project's catalogue")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        leaks = _leaks(view)
        islands = {island.anchor.name: island for island in view.islands}
        for node in view.calls():
            if node.name not in leaks or not node.annotated or not any(map(view.is_dq, view.graph.inputs(node))):
                continue
            if half_quantized(view, node) is not None:
                continue  # PL403's
            if node.name in islands and _is_stranded(view, islands[node.name]):
                continue
            chain = _chain(node, leaks)
            yield self.finding(view, target, chain, case=_case(node), node=node.name, reader=leaks[chain[-1].name].name)

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Ends the chain in a Q where its values are codes already; else the op is left to compute in float."""
        del target
        chain = [view.graph[name] for name in finding.nodes]
        data = view.in_qp(chain[0], 0)
        if data is not None and not data.per_channel and all(stays_on_grid(node, data) for node in chain):
            readers = [user for user in view.users(chain[-1]) if not view.is_q(user)]
            return pair_behind(view, chain[-1], data, readers)
        return Rewrite(tuple(Unannotate(node.name) for node in chain))


def _leaks(view: View) -> dict[str, Node]:
    """By name of an annotated op, a reader through which its codes get into float.

    The reader is the next annotated op of the chain, or the one that is not annotated and no Q. Ops that an
    edge program is decomposed into carry the annotation of the whole, with Q and DQ only at the ends.
    """
    leaks: dict[str, Node] = {}
    for node in reversed(list(view.calls())):
        if not _carries_codes(node) or view.is_q(node) or view.is_dq(node):
            continue
        reader = next((user for user in view.users(node) if _reads_in_float(view, user, leaks)), None)
        if reader is not None:
            leaks[node.name] = reader
    return leaks


def _reads_in_float(view: View, user: Node, leaks: dict[str, Node]) -> bool:
    if view.is_q(user) or (user.op == "call" and not user.outputs):
        return False  # a size is no use of the codes
    if _carries_codes(user):
        return user.name in leaks
    return not (user.op == "call" and user.annotated)  # an annotated comparison yields no float


def _carries_codes(node: Node) -> bool:
    """Whether the node hands on codes where it is given some: annotated ops, and what picks one of their outputs."""
    return node.op == "call" and (node.annotated or node.info.has(Trait.GETITEM)) and is_float(node)


def _chain(node: Node, leaks: dict[str, Node]) -> list[Node]:
    """The node and the annotated ops behind it that see its codes in float."""
    chain = [node]
    while len(chain) < _LONGEST_CHAIN and leaks[chain[-1].name].name in leaks:
        chain.append(leaks[chain[-1].name])
    return chain


def _is_stranded(view: View, island: Island) -> bool:
    """Whether FU102 reports the anchor: several users, and no Q among them."""
    users = view.users(island.anchor)
    return len(users) > 1 and is_quantized_anchor(view, island) and not any(map(view.is_q, users))


def _case(node: Node) -> str:
    """What lowering does without output qparams, and whether the INT profile asks for them first."""
    needs = node.kind in ("conv", "linear", "addmm", "neg", "clamp", "relu", "hardtanh") or node.info.has(Trait.TABLE)
    checked = is_checked(node) and node.kind != "linear"
    return ("checked-" if checked else "") + ("qparams" if needs else "codes")
