"""OP706: two ops that work in int32 follow each other, and the quantization between them is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rule
from fuseguard.ir import Graph, Node, QParams, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.operator.int32_domain import error_bound, operand_scale, result_range, result_scale

if TYPE_CHECKING:
    import torch

#: From here on FuseConsecutiveRescalesPass is part of the pipeline (#17830).
FUSES_FROM = ">=1.3"

#: How near to 1 the product of two rescales must be (_try_fuse_identity_pair).
_IDENTITY = 1e-6

_FUSED = "FuseConsecutiveRescalesPass, #17830"


def _graph(first: str, second: str, scales: tuple[float, ...], *, moved: bool = False) -> Callable[[], Graph]:
    """``second(Q(first(x, y)), z)``; ``scales`` are those of x, y, the Q between, z and the result. ``moved``: with a
    permute between the two.
    """

    def build() -> Graph:
        b = GraphBuilder()
        shape = (1, 4, 8, 8)
        x, y, z = (b.quantized_input("xyz"[n], shape, int8(scale)) for n, scale in enumerate((*scales[:2], scales[3])))
        value = b.requantize(b.call(f"aten.{first}", x, y), int8(scales[2]))
        if moved:
            value = b.requantize(b.call("aten.permute.default", value, (0, 1, 3, 2)), int8(scales[2]))
        return b.output(b.requantize(b.call(f"aten.{second}", value, z), int8(scales[4])))

    return build


def _program() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.operator.example_arithmetic import reused_operand

    return reused_operand()


@dataclass(frozen=True, slots=True)
class _Skipped:
    """``second`` reads the int32 result of ``first``; ``q`` is left out for it."""

    first: Node
    q: Node
    second: Node


class SaturationSkipped(Rule):
    code = "OP706"
    name = "saturation-skipped"
    summary = "Between two ops that work in int32 the backend leaves out the rounding and saturation of a quantize op."
    why = (
        "InsertRescaleInt32Pass puts RESCALEs around add, sub, mul, maximum, minimum, abs, sum and comparisons. Where "
        "the RESCALE to int8 behind one such op meets the RESCALE to int32 in front of the next and the two scales "
        "cancel out (to 1e-6), FuseConsecutiveRescalesPass removes both: the next op reads the int32 result, which "
        "was neither rounded nor saturated to the codes of the quantize op between. The pass's own documentation "
        "counts on 0 to 1 steps for calibrated values and up to about 120 beyond; 192 were measured. It happens when "
        "the same scales come back: minimum(maximum(x, -3), 3), or (h - tanh(h)) + h."
    )
    remedy = (
        "Let fuseguard keep the two ops on the CPU (guard), put an op between that moves data, or, for a pair of "
        "maximum and minimum, use clamp. Nothing needs doing where the stated bound does not matter."
    )
    scope = "cluster"
    preview = True
    message = (
        "{second} reads the result of {first} in int32, {least:.4g} to {most:.4g}, past the quantize op between, which "
        "holds {low:.4g} to {high:.4g}"
    )
    effects = EffectsTable(
        [
            EffectRow("*", "<1.3", "*", Effect.EXACT, reference="no FuseConsecutiveRescalesPass"),
            EffectRow("*", ">=1.3", "*", Effect.WRONG, reference=_FUSED),
        ]
    )
    bad = (
        Example(
            "add of an add that saturates",
            _graph("add.Tensor", "add.Tensor", (0.05, 0.05, 0.01, 0.05, 0.06)),
            only_on=FUSES_FROM,
        ),
        Example(
            "mul of a mul that saturates",
            _graph("mul.Tensor", "mul.Tensor", (0.05, 0.05, 0.0025, 0.05, 0.02)),
            only_on=FUSES_FROM,
        ),
        Example(
            "minimum of a maximum with wider codes",
            _graph("maximum.default", "minimum.default", (0.05, 0.05, 0.07, 0.05, 0.05)),
            only_on=FUSES_FROM,
            companions=("OP707",),
        ),
        Example(
            "add that reads the largest operand of a sub again",
            _graph("sub.Tensor", "add.Tensor", (0.05, 0.01, 0.04, 0.05, 0.09)),
            _program,
            only_on=FUSES_FROM,
        ),
    )
    good = (
        Example("add of an add with other scales", _graph("add.Tensor", "add.Tensor", (0.05, 0.05, 0.1, 0.05, 0.16))),
        Example(
            "add of an add, permuted between",
            _graph("add.Tensor", "add.Tensor", (0.05, 0.05, 0.01, 0.05, 0.06), moved=True),
        ),
    )
    references = ("executorch #17830", "bug class 24 of the project's catalogue")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if not target.release_in(FUSES_FROM):
            return
        pairs = list(_skipped(view))
        from_wider = {pair.second.name for pair in pairs}
        passed_on = {pair.first.name for pair in pairs}
        for pair in pairs:
            between, values = view.qparams(pair.q), result_range(view, pair.first)
            if between is None or values is None:
                continue
            # In a chain the values are wider than the codes say, and the result is no code either.
            alone = pair.first.name not in from_wider and pair.second.name not in passed_on
            bound = error_bound(view, pair.first, pair.q, pair.second) if alone else None
            out = _result_qparams(view, pair.second)
            yield self.finding(
                view,
                target,
                (pair.first, pair.second),
                case="*",
                bound_steps=bound,
                bound_value=bound * out.scale if bound is not None and out is not None else None,
                qparams=(("between", str(between)),),
                first=pair.first.name,
                second=pair.second.name,
                low=between.low,
                high=between.high,
                least=values[0],
                most=values[1],
            )


def _skipped(view: View) -> Iterator[_Skipped]:
    """Pairs of ops whose RESCALEs cancel out, by the arithmetic of the two passes."""
    for first in view.calls():
        scale = result_scale(view, first)
        if scale is None:
            continue
        for q in view.out_q(first):
            between = view.qparams(q)
            if between is None or not between.known or between.per_channel or between.dtype not in ("int8", "int16"):
                continue
            readers = {user.name: user for dq in view.users(q) if view.is_dq(dq) for user in view.users(dq)}
            for second in readers.values():
                wanted = operand_scale(view, second, between)
                # In this order, as the pass computes it.
                if wanted and abs(scale / between.scale * (between.scale / wanted) - 1.0) < _IDENTITY:
                    yield _Skipped(first, q, second)


def _result_qparams(view: View, node: Node) -> QParams | None:
    quantizers = view.out_q(node)
    return view.qparams(quantizers[0]) if quantizers else None
