"""OP729: a batch norm in float whose constants, or whose rank, the backend cannot fuse."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.fuse_batch_norm import UnfusedNorm, unfused, unfused_norms
from fuseguard.backend.rewrites import as_parameters
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op729")

_DECOMPOSED = "the batch norm is decomposed to arithmetic before it is delegated"
_CAUSES = {
    "rank": "has {rank} dimensions and no convolution before it, and the backend makes one for 3 or 4 dimensions only",
    "computed": "gets {constants} from an op, and fusion needs a parameter or buffer",
    "missing": "needs {constants} as {expected}, which fusion does not find",
    "ignored": "gets {constants} from no parameter, and fusion takes a weight for 1 and a bias for 0",
}


class BatchNormUnfused(Rule):
    code = "OP729"
    name = "batch-norm-unfused"
    summary = "A batch norm is computed in float, and the backend cannot fuse its constants into a convolution."
    why = (
        "No quantizer of Arm annotates a batch norm that is not folded into a convolution. With float support, "
        "FuseBatchNorm2dPass puts it into the convolution before it, or into one that it makes. It asks for weight "
        "and bias among the parameters alone. A frozen batch norm has them as buffers: they count as 1 and 0, and the "
        "result is silently wrong. The bias of the convolution is lost in the same way. A convolution's weight that "
        "is a buffer, a mean or variance that is none, and a weight that an op computes crash lowering. So does a "
        "batch norm of 2 or 5 dimensions, as BatchNorm1d of vectors is: the convolution that the pass makes has 1 or "
        "2 dimensions. 1.2.0 decomposes batch norms, and is exact. The INT profile leaves them on the CPU."
    )
    remedy = (
        "Register weight and bias as parameters (requires_grad=False), mean and variance as buffers. Fold a batch norm "
        "of vectors into the linear before it, before you quantize. Otherwise, let fuseguard keep the op on the CPU "
        "(guard), or repair: a buffer becomes a parameter of the same values."
    )
    scope = "cluster"
    message = "{norm} {cause}"
    effects = EffectsTable(
        [
            EffectRow("*", "*", "INT", Effect.CPU_FALLBACK, reference="CheckArmQuantized"),
            EffectRow("*", "<1.3", "INT+FP", Effect.EXACT, reference=_DECOMPOSED),
            EffectRow("ignored", ">=1.3", "INT+FP", Effect.WRONG, reference="get_param yields None for a buffer"),
            EffectRow(
                "rank", ">=1.3", "INT+FP", Effect.CRASH, reference="fake_tensor: input of size [N, C] for a conv2d"
            ),
            EffectRow("*", ">=1.3", "INT+FP", Effect.CRASH, reference="get_param, get_buffer: got NoneType"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for found in unfused_norms(view, target):
            nodes = (found.norm,) if found.convolution is None else (found.convolution, found.norm)
            yield self.finding(view, target, nodes, case=found.case, norm=found.norm.name, cause=_cause(found))

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Parameters in place of the buffers. There is no repair of a computed constant, or of the rank."""
        if not target.has_float:
            return None
        found = unfused(view, view.graph[finding.nodes[-1]])
        if found is None or not found.repairable:
            return None
        return as_parameters(found.constants)


def _cause(found: UnfusedNorm) -> str:
    rank = found.norm.meta.rank if found.norm.meta is not None else 0
    names = " and ".join(item.name for item in found.constants)
    expected = "parameters" if any(item.stored_as == "buffer" for item in found.constants) else "buffers"
    return _CAUSES[found.case].format(rank=rank, constants=names, expected=expected)
