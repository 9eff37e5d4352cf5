"""DT510: a reduction of bools, or a cumulative sum, mean or product of plain integers, that casts them itself."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.raw_reductions import raw_reduction
from fuseguard.engine import Call, Effect, EffectRow, EffectsTable, Finding, Insert, Rewrite, Rule, Unannotate
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.dtype.dt510")

_CONV = "DecomposeCumsumPass: DEPTHWISE_CONV2D takes int8, int16 and floats"
_SUM = "REDUCE_SUM takes int32 and floats"
_MEAN = "DecomposeMeanDimPass: REDUCE_SUM of what it reads, MUL of that by a float"
_UNMARKED = "CheckArmQuantized"
_CAST = "the dtype argument is dropped: REDUCE_SUM of int32 yields int32"
_CHECKED = "op_sum: Expected all tensors to have dtype INT32"
_ZERO_POINT = "RESCALE: input_zp must be zero when the input dtype is int32"
_PRODUCT = "REDUCE_PRODUCT takes floats"
_EXTREME = "REDUCE_MAX and REDUCE_MIN take int8, int16, int32 and floats"


class ReductionOfRawNumbers(Rule):
    code = "DT510"
    name = "reduction-of-raw-numbers"
    summary = "A reduction reads bools or plain integers, which TOSA cannot reduce, and casts them itself."
    why = (
        "torch casts the input of sum, mean, cumsum and prod to the dtype of their result: (x > 0).cumsum(1, "
        "dtype=torch.float32) counts in float32. The backend's support lists accept these ops with any input, and its "
        "passes drop the cast. DecomposeCumsumPass turns a cumulative sum into a depthwise convolution, which TOSA "
        "does not have for bool and int32, and whose int32 result for int8 is not what the graph says. sum, prod, "
        "amax and amin become REDUCE ops, which do not take bool, and a sum of int32 stays int32 where floats are "
        "expected. A mean becomes a REDUCE_SUM of its input and a MUL by a float. A result in int64, torch's default, "
        "keeps the op on the CPU."
    )
    remedy = (
        "Cast before the reduction ((x > 0).float().cumsum(1)), let fuseguard insert the cast (repair), which changes "
        "no value, or keep the op on the CPU (guard)."
    )
    scope = "node"
    message = "{op} reads {dtype} and has to cast it, which the backend does not do"
    effects = EffectsTable(
        [
            EffectRow("float cumsum", "*", "INT", Effect.CPU_FALLBACK, reference=_UNMARKED),
            EffectRow("float cumsum", "*", "INT+FP", Effect.CRASH, reference=_CONV),
            EffectRow("float sum", "*", "INT", Effect.CPU_FALLBACK, reference=_UNMARKED),
            EffectRow("float sum", "*", "INT+FP", Effect.CRASH, reference=_SUM),
            EffectRow("float mean", "*", "INT", Effect.CPU_FALLBACK, reference=_UNMARKED),
            EffectRow("float mean", "*", "INT+FP", Effect.CRASH, reference=_MEAN),
            EffectRow("mean", "*", "*", Effect.CRASH, reference=_MEAN),
            EffectRow("float cast", "*", "INT", Effect.CPU_FALLBACK, reference=_UNMARKED),
            EffectRow("float cast", "<1.5", "INT+FP", Effect.CRASH, reference=_CHECKED),
            EffectRow("float cast", "*", "INT+FP", Effect.RUNTIME_FAULT, reference=_CAST),
            EffectRow("cast", "<1.5", "*", Effect.CRASH, reference=_CHECKED),
            EffectRow("cast", "*", "INT", Effect.RUNTIME_FAULT, reference=_CAST),
            EffectRow("cast", "*", "*", Effect.WRONG, reference=_CAST),
            EffectRow("scaled cast", "<1.5", "*", Effect.CRASH, reference=_CHECKED),
            EffectRow("scaled cast", "*", "*", Effect.WRONG, reference=_CAST),
            EffectRow("shifted cast", "<1.5", "*", Effect.CRASH, reference=_CHECKED),
            EffectRow("shifted cast", "*", "*", Effect.CRASH, reference=_ZERO_POINT),
            EffectRow("cumsum", "*", "*", Effect.CRASH, reference=_CONV),
            EffectRow("sum", "*", "*", Effect.CRASH, reference=_SUM),
            EffectRow("prod", "<1.5", "*", Effect.CPU_FALLBACK, reference="no support list has prod"),
            EffectRow("prod", "*", "INT", Effect.CPU_FALLBACK, reference="TOSA_PRO_INT_SupportList does not have prod"),
            EffectRow("prod", "*", "INT+FP", Effect.CRASH, reference=_PRODUCT),
            EffectRow("extreme", "*", "*", Effect.CRASH, reference=_EXTREME),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("found in timm's EdgeNeXt and in DETR's position encoding",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.ops:
            case, dtype = raw_reduction(view, node)
            if case:
                yield self.finding(view, target, (node,), case=case, op=node.name, dtype=dtype)

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Insert torch's own cast before the op. The op is then float, whatever the quantizer said."""
        del target
        node = view.graph[finding.nodes[0]]
        data = view.producer(node)
        if data is None or node.meta is None or not node.meta.is_float:
            return None
        cast = Insert(data.name, (node.name,), (Call("aten.to.dtype", (node.meta.dtype,), annotated=False),))
        return Rewrite((cast, *([Unannotate(node.name)] if node.annotated else [])))
