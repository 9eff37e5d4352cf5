"""OP725: a hardtanh without its bounds, whose defaults the backend does not know."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule, SetArgument
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.ir.activations import activation_bounds
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op725")

_READ = "ConvertToClampPass and FuseQuantizedActivationPass read args[1] and args[2]"
_TARGETS = frozenset(("aten.hardtanh.default", "aten.hardtanh_.default"))


class ActivationBoundsOmitted(Rule):
    code = "OP725"
    name = "activation-bounds-omitted"
    summary = "A hardtanh omits one of its bounds, and the backend does not know the default."
    why = (
        "The defaults of hardtanh are -1 and 1. torch.nn.Hardtanh() exports both explicitly; "
        "torch.ops.aten.hardtanh(x), as another tool or a hand-made program may have it, exports neither. "
        "ConvertToClampPass and FuseQuantizedActivationPass read the second and third positional argument "
        "unconditionally. This raises 'IndexError: tuple index out of range', whether the op is quantized or not. The "
        "partitioner asks the second pass about the convolution before such an op, too. The program is not at fault."
    )
    remedy = (
        "Write the bounds out (torch.nn.Hardtanh() does). A check comes too late, because the partitioner fails before "
        "it asks. A guarded partitioner (guard) and the repair write the bounds out."
    )
    scope = "node"
    message = "{op} omits a bound, whose default ExecuTorch {release} does not know"
    effects = EffectsTable(
        [
            EffectRow("float", "*", "INT", Effect.CPU_FALLBACK, reference="CheckArmQuantized"),
            EffectRow("*", "*", "*", Effect.CRASH, reference=_READ),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    #: A partitioner asks CheckProperQuantization about an op before this one, so a refusal would come too late.
    refused = False
    fixed_by_guard = True

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.ops:
            if node.target in _TARGETS and len(node.args) < 3:
                case = "quantized" if node.annotated else "float"
                yield self.finding(view, target, (node,), case=case, op=node.name, release=target.release)

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Write out the bounds that the operator's schema implies."""
        del target
        node = view.graph[finding.nodes[0]]
        if node.kwargs:
            return None  # written out by name, they are not where the passes look for them
        low, high = activation_bounds(node)
        return Rewrite((SetArgument(node.name, 1, "min_val", low), SetArgument(node.name, 2, "max_val", high)))
