"""BO605: an op of an INT delegate shares a dequantize op with something outside, and its other ones stay behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fuseguard.backend.partition import is_delegated, leaves_dqs_behind, outside_readers
from fuseguard.engine import Duplicate, Effect, EffectRow, EffectsTable, Example, Finding, Rewrite, Rule
from fuseguard.ir import Graph, Node, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target

_DETAG = (
    "TOSAPartitioner._detag_boundary_nodes has passed the op's other DQs when it de-tags the op: they stay, and yield "
    "floats"
)
_LOWERED = "Q and DQ are lowered, so that nothing is de-tagged"

_SHAPE = (1, 4, 8, 8)
_X, _Y = int8(0.0487, 3), int8(0.00791, 1)


def _graph(op: str, *, outside: str = "output", shared: bool = True, behind: bool = True) -> Callable[[], Graph]:
    """``op`` reads a tanh on the accelerator (``behind``) or an input of the program, through one DQ with ``outside``,
    an ``output`` or an ``exp`` on the CPU, or (not ``shared``) through one of its own.
    """

    def build() -> Graph:
        b = GraphBuilder()
        codes = b.quantize(b.input("x", _SHAPE), _X)
        if behind:
            codes = b.quantize(b.call("aten.tanh.default", b.dequantize(codes, _X)), _X)
        value = b.dequantize(codes, _X)
        apart = value if shared else b.dequantize(codes, _X)
        if outside == "exp":
            apart = b.call("aten.exp.default", apart, annotated=False)
        if op == "conv":
            weight = b.quantized_constant("weight", (4, 4, 3, 3), 0.01031)
            made = b.call("aten.conv2d.default", value, weight, None, (1, 1), (1, 1))
        elif op == "cat":
            made = b.call("aten.cat.default", (value, b.quantized_input("y", _SHAPE, _X)), 1, shape=(1, 8, 8, 8))
        elif op == "sigmoid":
            made = b.call("aten.sigmoid.default", value)
        else:
            made = b.call(f"aten.{op}.Tensor", value, b.quantized_input("y", _SHAPE, _Y))
        return b.output(b.requantize(made, _X), apart)

    return build


def _copied_and_permuted() -> Graph:
    """All that reads the copy is taken out of the partition, and a copy alone is none."""
    b = GraphBuilder()
    value = b.requantize(b.call("aten.clone.default", b.quantized_input("x", _SHAPE, _X), shape=_SHAPE), _X)
    weight = b.quantized_constant("weight", (4, 4, 3, 3), 0.01031)
    made = b.call("aten.conv2d.default", value, weight, None, (1, 1), (1, 1))
    moved = b.call("aten.permute.default", value, (0, 1, 3, 2), shape=_SHAPE)
    return b.output(value, b.requantize(moved, _X), b.requantize(made, _X))


class SharedDequantizeLeaves(Rule):
    code = "BO605"
    name = "shared-dequantize-leaves"
    summary = "An op of an INT delegate reads a dequantize op that something outside reads too, and others besides."
    why = (
        "TOSAPartitioner._detag_boundary_nodes takes out of an INT partition each dequantize op with a user outside, "
        "an output of the program among them, and then the op inside that reads it, since that has a float input now. "
        "The dequantize ops of its other operands, a weight say, come before it and stay. Where their partition has "
        "anything else to compute, and always before 1.4, they are lowered in float, which INT has not: the lowering "
        "crashes. Arm's quantizer gives each reader a dequantize op of its own; a common-subexpression elimination, "
        "another quantizer or surgery on the graph makes them share it."
    )
    remedy = (
        "Give the op a dequantize op of its own (repair), or let fuseguard keep it off the accelerator along with all "
        "its dequantize ops (guard)."
    )
    scope = "boundary"
    message = "{op} shares {dq} with {outside}, which is outside of its delegate, and reads {others} besides"
    effects = EffectsTable(
        [
            EffectRow("*", "*", "INT", Effect.CRASH, reference=_DETAG),
            EffectRow("*", "*", "INT+FP", Effect.EXACT, reference=_LOWERED),
        ]
    )
    bad = (
        Example("conv2d of a tanh that is an output too, by one DQ", _graph("conv")),
        Example("add of a tanh that is an output too, by one DQ", _graph("add")),
        Example("mul of a tanh that the CPU reads too, by one DQ", _graph("mul", outside="exp")),
        Example("cat of a tanh that is an output too, by one DQ", _graph("cat")),
        Example("conv2d of an input that is an output too, by one DQ", _graph("conv", behind=False), only_on="<1.4"),
        Example("conv2d and permute of a copy that is an output too, by one DQ", _copied_and_permuted, only_on="<1.4"),
    )
    good = (
        Example("conv2d and an output, a DQ each", _graph("conv", shared=False)),
        Example("sigmoid of a tanh that is an output too, by one DQ", _graph("sigmoid")),
    )
    references = ("found by this project's own tests: not in the project's catalogue",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        outside = outside_readers(view, target)
        detagged = frozenset(outside)
        for node in view.ops if detagged else ():
            dqs = [item for item in view.graph.inputs(node) if view.is_dq(item)]
            shared = next((dq for dq in dqs if dq.name in detagged), None)
            others = [dq.name for dq in dqs if dq.name not in detagged]
            if shared is None or not others or not is_delegated(view, node, target):
                continue
            if leaves_dqs_behind(view, node, target, detagged):
                yield self.finding(
                    view,
                    target,
                    (node, shared),
                    case="*",
                    op=node.name,
                    dq=shared.name,
                    outside=outside[shared.name].name,
                    others=", ".join(others),
                )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        return with_own_dequantize(view, view.graph[finding.nodes[0]], target)


def with_own_dequantize(view: View, node: Node, target: Target) -> Rewrite:
    """A dequantize op of the node's own for each that something outside of its delegate reads too."""
    outside = outside_readers(view, target)
    return Rewrite(tuple(Duplicate((dq.name,), (node.name,)) for dq in view.graph.inputs(node) if dq.name in outside))
