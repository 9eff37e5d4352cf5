"""OP719: a constant in the shape of a value, whose dtype is that value's in a delegate."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.convert_full_like import as_full, wrong_dtypes
from fuseguard.engine import Effect, EffectRow, EffectsTable, Evidence, Finding, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op719")

_PASS = "ConvertFullLikeToFullPass: {'dtype': tensor.dtype}"
_FLOAT_OP = "CheckArmQuantized: a float op without quantization stays on the CPU"


class LikeConstantLosesDtype(Rule):
    code = "OP719"
    name = "like-constant-loses-dtype"
    summary = "A full_like, ones_like or zeros_like asks for a dtype that the delegate does not give it."
    why = (
        "ConvertFullLikeToFullPass replaces full_like (which ones_like and zeros_like become) with a full constant of "
        "the dtype of the tensor that gives the shape. It ignores the op's own dtype. In a delegate, a dequantized "
        "tensor has the dtype of its codes. torch.ones_like(x, dtype=torch.bool) therefore becomes an int8 constant. A "
        "where that takes it as its condition does not lower. An output or an op on the CPU that reads it gets another "
        "dtype than the program declares. A number that the codes cannot hold does not lower either, and a bool "
        "constant holds any number but 0 as 1."
    )
    remedy = (
        "Make the constant from the shape: torch.full(x.shape, True, dtype=torch.bool) instead of "
        "torch.ones_like(x, dtype=torch.bool). fuseguard can do this (repair), or keep the op on the CPU (guard)."
    )
    scope = "node"
    message = "{op} asks for {wanted}, but becomes {given} in a delegate, and {reader} reads it"
    effects = EffectsTable(
        [
            EffectRow("leaves, of floats", "*", "INT", Effect.CPU_FALLBACK, reference=_FLOAT_OP),
            EffectRow("refused, of floats", "*", "INT", Effect.CPU_FALLBACK, reference=_FLOAT_OP),
            EffectRow("leaves, of floats", "*", "INT+FP", Effect.RUNTIME_FAULT, reference=_PASS),
            EffectRow("refused, of floats", "*", "INT+FP", Effect.CRASH, reference=_PASS),
            EffectRow("codes, of floats", "*", "INT", Effect.CPU_FALLBACK, Evidence.SOURCE_READ, reference=_FLOAT_OP),
            EffectRow("codes, of floats", "*", "INT+FP", Effect.CRASH, Evidence.SOURCE_READ, reference=_PASS),
            EffectRow("bool, of floats", "*", "INT", Effect.CPU_FALLBACK, Evidence.SOURCE_READ, reference=_FLOAT_OP),
            EffectRow("bool, of floats", "*", "INT+FP", Effect.WRONG, Evidence.SOURCE_READ, reference=_PASS),
            EffectRow("leaves", "*", "*", Effect.RUNTIME_FAULT, reference=_PASS),
            EffectRow("refused", "*", "*", Effect.CRASH, reference=_PASS),
            EffectRow("codes", "*", "*", Effect.CRASH, reference=_PASS),
            EffectRow("bool", "*", "*", Effect.WRONG, reference=_PASS),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for found in wrong_dtypes(view, target):
            case = found.fault if found.taken else f"{found.fault}, of floats"
            yield self.finding(
                view, target, (found.node,), case=case, op=found.node.name, wanted=found.wanted, given=found.given,
                reader=found.reader.name,
            )  # fmt: skip

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Use a constant of the same shape, value and dtype."""
        del target
        return as_full(view.graph[finding.nodes[0]])
