"""DT511: a cast of floats to int8 or int16, or of float16, which rounds in a delegate and not in torch."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.decorate_casts import rounding_cast
from fuseguard.engine import Call, Effect, EffectRow, EffectsTable, Finding, Insert, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.dtype.dt511")


class CastRounds(Rule):
    code = "DT511"
    name = "cast-rounds"
    summary = (
        "A float that is cast to int8 or int16, or a float16 cast to any integer, is rounded; torch drops the "
        "fraction."
    )
    why = (
        "torch drops the fraction when it casts a float to an integer: 1.7 becomes 1, and -1.7 becomes -1. The TOSA "
        "CAST rounds to the nearest integer: 2 and -2. DecorateFp32toInt32CastingPass drops the fraction before a "
        "cast of float32 to int32, but not before a cast to int8 or int16, and not before a cast of float16. Where "
        "floats are lowered, such a cast is delegated, and about half of its results are off by 1. The INT profile "
        "leaves it on the CPU."
    )
    remedy = (
        "Cast float32 to int32 first (x.to(torch.int32).to(torch.int8)), which fuseguard can do (repair), or keep the "
        "cast on the CPU (guard)."
    )
    scope = "node"
    message = "{op} casts the floats of {data} to {dtype} and rounds them, but torch drops the fraction"
    effects = EffectsTable(
        [
            EffectRow("*", "*", "INT", Effect.CPU_FALLBACK, reference="CheckProperQuantization"),
            EffectRow("*", "*", "*", Effect.WRONG, reference="TOSA CAST; DecorateFp32toInt32CastingPass"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.ops:
            data = rounding_cast(view, node, target)
            if data is not None and node.meta is not None:
                dtype = node.meta.dtype
                yield self.finding(view, target, (node,), case="*", op=node.name, data=data.name, dtype=dtype)

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Insert a cast of float32 to int32 before the cast."""
        del target
        node = view.graph[finding.nodes[0]]
        data = view.producer(node)
        if data is None or data.meta is None or data.meta.dtype != "float32":
            return None
        return Rewrite((Insert(data.name, (node.name,), (Call("aten.to.dtype", ("int32",), annotated=False),)),))
