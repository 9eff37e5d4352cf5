"""OP716: the backend replaces the mean or rstd of a layer or group norm with the normalized values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fuseguard.backend.decompose_norm import readers, side_results
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op716")

_GETITEMS = "DecomposeLayerNormPass and DecomposeGroupNormPass: user.replace_all_uses_with(output)"
_UNLISTED = "TOSA_PRO_INT_SupportList has neither native_layer_norm nor native_group_norm"


class NormSideResultsLost(Rule):
    code = "OP716"
    name = "norm-side-results-lost"
    summary = "A program uses the mean or the rstd of native_layer_norm or native_group_norm."
    why = (
        "The two ops have three results: the normalized values, the mean and the reciprocal standard deviation. "
        "DecomposeLayerNormPass and DecomposeGroupNormPass compute the first one, and give it to every reader of the "
        "other two as well. An output of the delegate then has more elements than the program says, a view of it "
        "cannot be made, and arithmetic that broadcasts continues with wrong values. torch.nn.LayerNorm and GroupNorm "
        "use only the first result. The INT profile leaves both ops on the CPU."
    )
    remedy = (
        "Compute mean and rstd with mean, var and rsqrt beside torch.nn.functional.layer_norm or group_norm, or keep "
        "the op on the CPU (guard)."
    )
    scope = "cluster"
    message = "{norm} also yields its {results}, but the backend puts the normalized values in their place"
    effects = EffectsTable(
        [
            EffectRow("*", "*", "INT", Effect.CPU_FALLBACK, reference=_UNLISTED),
            EffectRow("view", "*", "INT+FP", Effect.CRASH, reference=_GETITEMS),
            EffectRow("output", "*", "INT+FP", Effect.RUNTIME_FAULT, reference=_GETITEMS),
            EffectRow("value", "*", "INT+FP", Effect.WRONG, reference=_GETITEMS),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("found by this project's tests of public programs",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.ops:
            taken = side_results(view, node)
            if taken:
                yield self.finding(
                    view,
                    target,
                    (node, *taken.values()),
                    case=_case(reader for value in taken.values() for reader in readers(view, value)),
                    norm=node.name,
                    results=" and ".join(taken),
                )


def _case(found: Iterable[Node]) -> str:
    kinds = {"output" if node.op == "output" else node.kind for node in found}
    return "view" if "view" in kinds else "output" if "output" in kinds else "value"
