"""OP714: an int64 value that a delegate yields as int32."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.int64_results import casting_resizes, leaving_argmaxes, leaving_constants
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op714")

_CHECK = "CheckInt64InputsAndOutputs; CastInt64BuffersToInt32Pass"


class Int64LeavesDelegate(Rule):
    code = "OP714"
    name = "int64-leaves-delegate"
    summary = "A delegate yields an int64 value of the program, but all its integers are int32."
    why = (
        "TOSA has no int64. CheckInt64InputsAndOutputs therefore leaves ops that yield int64 on the CPU. The "
        "exceptions are constants (zeros, ones, full, arange, eye) whose readers all yield something else. The check "
        "asks each reader for the dtype of its first result. For the output node, this is the program's first result: "
        "return x * 2, torch.ones(2, dtype=torch.int64) passes the check, but the same results in the other order do "
        "not. CastInt64BuffersToInt32Pass then makes the constant an int32, and the delegate yields it where the "
        "program declares an int64. An op on the CPU that reads such a constant gets an int32 too, as the comparison "
        "in one_hot does, or a gather, whose support check rejects an int64 index. The edge dialect makes such "
        "constants of some ops: of one_hot and diag_embed, and of a bicubic, linear or trilinear resize, whose casts "
        "to float the INT profile leaves on the CPU. Where floats are lowered, ExecuTorch 1.4 delegates an argmax if "
        "its result is cast to int32, which Arm's quantizer ensures. The cast stays on the CPU, where it expects an "
        "int64 but gets an int32. The runtime refuses such a program or reads garbage."
    )
    remedy = (
        "Return the constant as an int32, or make it outside the model. Or let fuseguard keep the op on the CPU "
        "(guard), which costs nothing for a constant. Cast an index to int32. For an argmax, upgrade to ExecuTorch 1.5."
    )
    scope = "boundary"
    message = "{op} yields an int64 that {reader} reads outside the delegate, where it becomes an int32"
    effects = EffectsTable(
        [
            EffectRow("argmax", "<1.4", "*", Effect.CPU_FALLBACK, reference="the support list has no argmax"),
            EffectRow("argmax", "*", "INT", Effect.CPU_FALLBACK, reference="TOSA ARGMAX requires PRO-FP for floats"),
            EffectRow("argmax", ">=1.5", "*", Effect.EXACT, reference="_is_argmax_int32_cast: the cast is delegated"),
            EffectRow("argmax", "*", "INT+FP", Effect.RUNTIME_FAULT, reference="_argmax_all_users_cast_to_int32"),
            EffectRow("cast", "*", "INT+FP", Effect.EXACT, reference="the cast to float is delegated"),
            EffectRow("*", "*", "*", Effect.RUNTIME_FAULT, reference=_CHECK),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        cases = {
            "*": leaving_constants(view, target),
            "cast": casting_resizes(view),
            "argmax": leaving_argmaxes(view, target),
        }
        for case, found in cases.items():
            for node, reader in found:
                yield self.finding(view, target, (node,), case=case, op=node.name, reader=reader.name)
