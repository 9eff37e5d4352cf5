"""BO602: one dequantized value leaves the accelerator and is read there, and the partition loses its middle."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fuseguard.backend.partition import delegated_reader, is_delegated, outside_readers, stays_on_cpu
from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rewrite, Rule
from fuseguard.ir import Graph, Node, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.boundary.bo605_shared_dequantize_leaves import with_own_dequantize

_DETAG = "TOSAPartitioner._detag_boundary_nodes, #18190"
_SPLIT = "TOSAPartitioner._tag_module splits the partition, #18191"
_LOWERED = "Q and DQ are lowered, so that nothing is de-tagged"

_SHAPE = (1, 4, 8, 8)
_FIRST, _SECOND, _THIRD = int8(0.0487, 3), int8(0.00791, 1), int8(1 / 255.3, -128)


def _graph(*, shared: bool, behind: bool = True, output: bool = False) -> Callable[[], Graph]:
    """Tanh -> sigmoid -> abs on the accelerator; exp on the CPU reads the tanh through the sigmoid's DQ (``shared``)
    or through one of its own; or (``output``) the tanh is an output instead. ``behind``: whether anything follows the
    sigmoid.
    """

    def build() -> Graph:
        b = GraphBuilder()
        codes = b.quantize(b.call("aten.tanh.default", b.quantized_input("x", _SHAPE, _FIRST)), _SECOND)
        value = b.dequantize(codes, _SECOND)
        apart = value if shared else b.dequantize(codes, _SECOND)
        if not output:
            apart = b.call("aten.exp.default", apart, annotated=False)
        value = b.requantize(b.call("aten.sigmoid.default", value), _THIRD)
        if behind:
            value = b.requantize(b.call("aten.abs.default", value), _THIRD)
        return b.output(value, apart)

    return build


class PartitionCycle(Rule):
    code = "BO602"
    name = "partition-cycle"
    summary = "An op in the middle of an INT partition shares a dequantize op with the CPU or with an output."
    why = (
        "TOSAPartitioner._detag_boundary_nodes takes out of an INT partition each dequantize op with a user outside, "
        "an output of the program among them, and with it every op inside that reads it: that op has a float input "
        "now. Where the partition goes on behind that op and has begun before it, its two ends depend on each other "
        "through a node outside, and fusing it raises 'Invalid partition, found dependency cycles'. Since 1.4 "
        "(#18191) such a partition is split in two, and the op between runs on the CPU. Arm's quantizer gives each "
        "reader a DQ of its own; where one operator is decomposed into several, or another tool made the program, "
        "they share it."
    )
    remedy = (
        "Give each reader a dequantize op of its own (repair), let fuseguard keep the op in the middle on the CPU "
        "(guard), or upgrade ExecuTorch to 1.4 or newer."
    )
    scope = "boundary"
    message = "{dq} feeds {kept}, which goes on to {behind} on the accelerator, and {outside}, which is not there"
    effects = EffectsTable(
        [
            EffectRow("*", "<1.4", "INT", Effect.CRASH, reference=_DETAG),
            EffectRow("*", ">=1.4", "INT", Effect.CPU_FALLBACK, reference=_SPLIT),
            EffectRow("*", "*", "INT+FP", Effect.EXACT, reference=_LOWERED),
        ]
    )
    bad = (
        Example("a DQ shared by sigmoid and an op on the CPU, between tanh and abs", _graph(shared=True)),
        Example("a DQ shared by sigmoid and an output, between tanh and abs", _graph(shared=True, output=True)),
    )
    good = (
        Example("a DQ for the sigmoid and one for the op on the CPU", _graph(shared=False)),
        Example("a DQ for the sigmoid and one for an output", _graph(shared=False, output=True)),
        Example("a DQ shared at the end of the partition", _graph(shared=True, behind=False)),
    )
    references = ("executorch #18190", "executorch #18191", "bug class 23 of the project's catalogue")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        reach: _Reach | None = None
        for name, outside in outside_readers(view, target).items():
            dq = view.graph[name]
            start = _delegated_source(view, dq, target)
            if start is None:
                continue
            reach = reach or _Reach(view, target)
            for kept in view.users(dq):
                behind = delegated_reader(view, kept, target) if is_delegated(view, kept, target) else None
                if behind is not None and reach.share_partition(start, behind):
                    yield self.finding(
                        view,
                        target,
                        (kept, dq),
                        case="*",
                        dq=dq.name,
                        kept=kept.name,
                        behind=behind.name,
                        outside=outside.name,
                    )
                    break

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        return with_own_dequantize(view, view.graph[finding.nodes[0]], target)


class _Reach:
    """How many ops on the CPU lie on the ways to a node (``before``), and on those to anything that follows it
    without a further one (``behind``); the largest number counts.

    The partitioner goes backwards and puts an op into a partition of its users. So two ops that follow each other share
    one if no op on the CPU is between, and if the second is not in one with what waits for such an op.
    """

    def __init__(self, view: View, target: Target) -> None:
        self.before: dict[str, int] = {}
        self.behind: dict[str, int] = {}
        nodes = list(view.graph)
        cpu = {node.name for node in nodes if stays_on_cpu(view, node, target)}
        for node in nodes:
            before = max((self.before[producer.name] for producer in view.graph.inputs(node)), default=0)
            self.before[node.name] = before + (node.name in cpu)
        for node in reversed(nodes):
            users = [user.name for user in view.users(node) if user.op == "call" and user.name not in cpu]
            self.behind[node.name] = max([self.before[node.name], *(self.behind[name] for name in users)])

    def share_partition(self, first: Node, second: Node) -> bool:
        return self.before[first.name] == self.behind[second.name]


def _delegated_source(view: View, dq: Node, target: Target) -> Node | None:
    """The op on the accelerator whose codes ``dq`` reads."""
    q = view.graph.node_of(dq.args[0]) if dq.args else None
    owner = view.owner(q) if q is not None and view.is_q(q) else None
    return owner if owner is not None and is_delegated(view, owner, target) else None
