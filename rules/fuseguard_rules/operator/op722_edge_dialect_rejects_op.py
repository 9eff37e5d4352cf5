"""OP722: an operator that the edge dialect does not have, so that lowering ends before it begins."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.edge_dialect import ops_of_complex_numbers, rejected_ops
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op722")
_CHECK = "EXIRATenDialectVerifier.check_valid_op: neither Tag.core nor Tag.view_copy"


class EdgeDialectRejectsOp(Rule):
    code = "OP722"
    name = "edge-dialect-rejects-op"
    summary = "The program has an op that ExecuTorch's edge dialect does not accept, and lowering ends with an error."
    why = (
        "Before anything is delegated, to_edge decomposes the ops of the program and converts the result to the edge "
        "dialect. ExecuTorch's verifier then accepts only core ATen ops and copying views. Any other ATen op that no "
        "decomposition removes raises SpecViolationError: torch.exp2, torch.cumprod and F.adaptive_max_pool2d, for "
        "instance, and nn.Bilinear, which is decomposed into such an op. It does not matter where the op would run, "
        "so a partitioner comes too late to prevent the error. For many core ops, the edge dialect also limits the "
        "dtypes. It never allows complex ones, as in torch.fft.rfft(x).abs(). The check is EdgeCompileConfig's "
        "_check_ir_validity, by default True. With False, the same program is lowered, and the op runs on the CPU, "
        "unless it is on a list of Arm's backend (erfinv and shifts are)."
    )
    remedy = (
        "Replace the op with others: torch.exp(x * math.log(2)) instead of torch.exp2(x), x < 0 instead of "
        "torch.signbit(x), F.max_pool2d instead of F.adaptive_max_pool2d. Convert complex numbers to real ones first "
        "(torch.view_as_real). Constants such as torch.tril_indices(4, 4) can be buffers of the model. Or let the op "
        "through, with EdgeCompileConfig(_core_aten_ops_exception_list=[torch.ops.aten.exp2.default]), or "
        "_check_ir_validity=False. The op then needs a kernel in the runtime, and ExecuTorch's portable kernels have "
        "few of these ops. The guard cannot help: the error comes before partitioning."
    )
    scope = "node"
    message = "{op} is {what} which is not in the edge dialect of ExecuTorch {release}"
    effects = EffectsTable([EffectRow("*", "*", "*", Effect.CRASH, reference=_CHECK, unchecked=Effect.EXACT)])
    bad = examples.BAD
    good = examples.GOOD
    #: The op's place is not the fault: the program does not lower with it on the CPU either.
    refused = False

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node, op, rejected in rejected_ops(view, target):
            what = op if rejected == op else f"{op}, which becomes {rejected}"
            yield self.finding(view, target, (node,), case="*", op=node.name, what=f"{what},", release=target.release)
        for node, op in ops_of_complex_numbers(view, target):
            what = f"{op} of complex numbers,"
            yield self.finding(view, target, (node,), case="*", op=node.name, what=what, release=target.release)
