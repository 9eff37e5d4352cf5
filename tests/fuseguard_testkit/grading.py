"""A rule that is graded by made-up recordings, and what it finds, for tests of how an effect is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fuseguard.engine import Effect, EffectRow, EffectsTable, Evidence, Example, Finding, Rule, run
from fuseguard.ir import Graph, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import SourceLine
from fuseguard.measured.recording import RecordedCase
from fuseguard.target import Target
from fuseguard_testkit.recordings import case


def relu(scale: float = 2.0, function: str = "") -> Graph:
    """A quantized relu, in ``function`` if that is named."""
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 8, 8), int8(scale))
    source = SourceLine("model.py", 3, "forward", f"y = {function}(x)") if function else None
    return b.output(b.requantize(b.call("aten.relu.default", x, source=source), int8(scale)))


class Coarse(Rule):
    """Finds every relu, with a case of its own on each side of 1.5."""

    code = "ZZ100"
    name = "coarse-steps"
    summary = why = remedy = "Coarse."
    scope = "node"
    message = "{node} is coarse"
    effects = EffectsTable(
        [
            EffectRow("odd", "*", "*", Effect.CRASH, Evidence.SOURCE_READ, "a pass"),
            EffectRow("kept", "<1.5", "*", Effect.EXACT, reference="another pass"),
            EffectRow("kept", ">=1.5", "INT", Effect.WRONG, reference="a third pass"),
            EffectRow("kept", ">=1.5", "INT+FP", Effect.CPU_FALLBACK, reference="a third pass"),
        ]
    )
    bad = (Example("ZZ100 kept", relu),)
    good = (Example("ZZ100 fine", relu),)
    case = "kept"

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.calls():
            if node.kind == "relu":
                yield self.finding(view, target, (node,), case=self.case, node=node.name)


def found(release: str, profile: str = "INT", rule: type[Rule] = Coarse, graph: Graph | None = None) -> Finding:
    """The one finding of the rule in a relu, or in ``graph``."""
    (finding,) = run(graph or relu(), Target.parse(f"TOSA-1.0+{profile}", release), (rule(),)).findings
    return finding


def seen(outcome: str, profile: str = "INT", **fields: Any) -> RecordedCase:
    """A recorded example of the rule, in which it found ``kept``."""
    return case("ZZ100", "kept", outcome, profile, **fields)
