"""QP307: a mean left in float that a delegate rounds to the scale of the codes that it averages."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.decompose_mean import rounded_mean
from fuseguard.backend.partition import stays_outside
from fuseguard.engine import Call, Effect, EffectRow, EffectsTable, Finding, Insert, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.qparams.qp307")

_ROUNDED = "DecomposeMeanDimPass._reduce_by_sum: a Q and a DQ after the sum wherever a DQ is before it"


class FloatMeanRounded(Rule):
    code = "QP307"
    name = "float-mean-rounded"
    summary = "A mean, pool, variance or layer norm left in float is rounded to the scale of the codes before it."
    why = (
        "DecomposeMeanDimPass replaces a mean by a sum and a multiplication. If the mean reads a dequantize op, the "
        "pass takes it for a quantized one. It puts a quantize and a dequantize op after the sum, with N times the "
        "scale before it, which rounds the mean to that scale. In a program that is partly left in float, the mean is "
        "a float, and no quantize op is there: a global average pool after a quantized network, in front of a head "
        "in float, loses all its precision beyond int8. If a quantize op with a finer scale follows, the codes are "
        "off by several steps. The edge dialect makes a mean of an adaptive average pool to one element. The backend "
        "makes one of a variance, a standard deviation and a layer norm, which amplifies the error. The INT profile "
        "leaves a mean of floats on the CPU."
    )
    remedy = (
        "Put a view to the same shape between the dequantize op and the mean, which changes no value (repair), "
        "quantize the mean, or keep it on the CPU (guard)."
    )
    scope = "node"
    message = "{op} is left in float, and a delegate rounds its mean to the scale of {dq}, {scale:.4g}"
    effects = EffectsTable(
        [
            EffectRow("*", "*", "INT", Effect.CPU_FALLBACK, reference="CheckArmQuantized"),
            EffectRow("*", "*", "INT+FP", Effect.WRONG, reference=_ROUNDED),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("found by this project's zoo: torchvision's video ResNet",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.calls():
            dq = rounded_mean(view, node)
            qparams = view.qparams(dq) if dq is not None else None
            if dq is None or qparams is None or not qparams.usable:
                continue
            if target.has_float and stays_outside(view, node, target):
                continue
            yield self.finding(view, target, (node,), case="*", op=node.name, dq=dq.name, scale=qparams.scale)

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """A view to the same shape in front of the op. Without float support, there is nothing to repair."""
        if not target.has_float:
            return None
        node = view.graph[finding.nodes[0]]
        [source, *_] = view.graph.inputs(node)
        shape = source.meta.shape if source.meta is not None else (None,)
        if any(size is None for size in shape):
            return None
        step = Call("aten.view.default", (tuple(shape),), annotated=False)
        return Rewrite((Insert(source.name, (node.name,), (step,)),))
