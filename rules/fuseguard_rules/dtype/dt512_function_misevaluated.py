"""DT512: a function that a delegate computes by a formula of its own, which is off."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.misevaluated_functions import misevaluated
from fuseguard.backend.permute_moves import PermuteMoves
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.dtype.dt512")

_TABLE = "ConvertELUParamsPass: alpha is an int, and the scale is 1"
_NUMBERS = "ConvertELUParamsPass takes an elu that reads a dequantize op for quantized"
_EXPM1 = "DecomposeExpm1Pass: four terms of a series within 0.35 of 0"
_LOG1P = "DecomposeLog1pPass: six terms of a series for every negative number"
_ATAN = "DecomposeAtanPass: a quotient of polynomials"
_ASIN = "DecomposeAsinAndAcosPass: polynomials made for the square of x are given its size"
_MOVED = "PropagateViewCopyPermuteUpPass._move_node: the polynomials add to a number"
_ASINH = "DecomposeAsinhPass: log(x + sqrt(x * x + 1))"


class FunctionMisevaluated(Rule):
    code = "DT512"
    name = "function-misevaluated"
    summary = "A delegate computes expm1, elu, log1p, atan, asin or the like by a formula of its own, which is off."
    why = (
        "TOSA has no expm1, elu, log1p, atan, asin, acos and asinh. An op that is quantized becomes a lookup table,"
        " which holds the function. One that is left in float is delegated where floats are lowered, and passes "
        "replace it by arithmetic. ConvertELUParamsPass takes an elu, celu or selu that reads a dequantize op for "
        "quantized and sets its numbers to 1, 1 and 2: a float elu becomes expm1(2x), which is off by 0.25. "
        "DecomposeExpm1Pass takes four terms of a series up to |x| = 0.35, which is off by up to 1e-4 of the value;"
        " elu, celu and selu are made of it. DecomposeLog1pPass takes six terms of a series for all negative "
        "numbers, where it is off by more the closer they are to -1: by 0.1 at -0.8, by 2.2 at -0.99. A binary "
        "cross entropy computes log1p(-x). DecomposeAtanPass is off by up to 1.3e-4. DecomposeAsinAndAcosPass is "
        "off by up to 1.3e-3, because it puts |x| into polynomials of its square; since 1.5 it crashes after a "
        "permute or an op computed in NHWC. DecomposeAsinhPass has few digits left below -16. Before 1.3, "
        "DecomposeEluPass ignores the scales, which selu has, and the lookup table of a quantized elu drops the "
        "fraction of alpha. The INT profile leaves floats on the CPU."
    )
    remedy = (
        "Quantize the op, write log1p(-x) as log(1 - x) where x is not close to 0, or keep the op on the CPU (guard)."
    )
    scope = "node"
    message = "{op} yields {lowered:.6g} for {argument:.6g} in a delegate, and {torch:.6g} in torch"
    effects = EffectsTable(
        [
            EffectRow("table", "<1.3", "*", Effect.WRONG, reference=_TABLE),
            EffectRow("table", ">=1.3", "*", Effect.EXACT, reference="ConvertELUParamsPass keeps the numbers"),
            EffectRow("*", "*", "INT", Effect.CPU_FALLBACK, reference="CheckArmQuantized"),
            EffectRow("numbers", "*", "INT+FP", Effect.WRONG, reference=_NUMBERS),
            EffectRow("elu", "<1.3", "INT+FP", Effect.WRONG, reference="DecomposeEluPass ignores the scales"),
            EffectRow("elu", "*", "INT+FP", Effect.WRONG, reference=_EXPM1),
            EffectRow("expm1", "*", "INT+FP", Effect.WRONG, reference=_EXPM1),
            EffectRow("log1p", "*", "INT+FP", Effect.WRONG, reference=_LOG1P),
            EffectRow("atan", "*", "INT+FP", Effect.WRONG, reference=_ATAN),
            EffectRow("asin", "*", "INT+FP", Effect.WRONG, reference=_ASIN),
            EffectRow("moved asin", "<1.5", "INT+FP", Effect.WRONG, reference=_ASIN),
            EffectRow("moved asin", "*", "INT+FP", Effect.CRASH, reference=_MOVED),
            EffectRow("asinh", "*", "INT+FP", Effect.WRONG, reference=_ASINH),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        moves = PermuteMoves(view, target)
        for node in view.ops:
            off = misevaluated(view, node, target)
            if off is None:
                continue
            moved = off.case == "asin" and moves.down_to(node) is not None and _changes(node)
            yield self.finding(
                view,
                target,
                (node,),
                case="moved asin" if moved else off.case,
                op=node.name,
                argument=off.argument,
                lowered=off.lowered,
                torch=off.torch,
            )


def _changes(node: Node) -> bool:
    """Whether a shape is another one in NHWC. If not, the polynomial is of numbers in another order."""
    shape = node.meta.shape if node.meta is not None else ()
    return (*shape[:1], *shape[2:], *shape[1:2]) != shape
