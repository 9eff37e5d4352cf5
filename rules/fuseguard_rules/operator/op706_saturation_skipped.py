"""OP706: two ops that work in int32 follow each other, and the quantization between them is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fuseguard.backend.int32_bounds import error_bound, excess, held_apart, overflows, rounds
from fuseguard.backend.int32_rescales import FUSES_RESCALES_FROM, fused_rescales
from fuseguard.backend.value_range import Reach
from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rewrite, Rule
from fuseguard.ir import Graph, Node, QParams, View
from fuseguard.ir.builder import GraphBuilder, int8, int16
from fuseguard.target import Target

if TYPE_CHECKING:
    import torch

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


def _wide_mean(of: str) -> Graph:
    """A mean over 6 in A16W8, whose observers stop at a scale of 2**-12: of a cosine, or of values up to 8."""
    b = GraphBuilder()
    floor = int16(2.0**-12)
    x = b.quantized_input("x", (1, 4, 8, 6), floor)
    value = x if of == "input" else b.requantize(b.call(f"aten.{of}.default", x), floor)
    total = b.requantize(b.call("aten.sum.dim_IntList", value, (3,), True, shape=(1, 4, 8, 1)), floor)
    reciprocal = b.dequantize(b.constant("reciprocal", (1,), "int16"), floor)
    return b.output(b.requantize(b.call("aten.mul.Tensor", total, reciprocal), floor))


def _sign() -> Graph:
    """The sign of a maximum as Arm's quantizer decomposes it: compared with zero on its own grid."""
    b = GraphBuilder()
    qparams = int8(0.2813, 14)
    x, y = (b.quantized_input(name, (1, 4, 8, 8), qparams) for name in "xy")
    codes = b.quantize(b.call("aten.maximum.default", x, y), qparams)
    zero = b.requantize(b.call("aten.full.default", (1,), 0.0, shape=(1,)), qparams)
    return b.output(b.call("aten.gt.Tensor", b.dequantize(codes, qparams), zero, dtype="bool"))


def _program() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.operator.arithmetic_modules import reused_operand

    return reused_operand()


class SaturationSkipped(Rule):
    code = "OP706"
    name = "saturation-skipped"
    summary = "Between two ops that work in int32 the backend leaves out the rounding and saturation of a quantize op."
    why = (
        "InsertRescaleInt32Pass puts RESCALEs around add, sub, mul, maximum, minimum, abs, sum and comparisons. Where "
        "the RESCALE to int8 behind one such op meets the RESCALE to int32 in front of the next and the two scales "
        "cancel out (to 1e-6), FuseConsecutiveRescalesPass removes both: the next op reads the int32 result, which "
        "was neither rounded nor saturated to the codes of the quantize op between. That is nearer to the float "
        "model, and not what the quantized program says. The pass's own documentation counts on 0 to 1 steps for "
        "calibrated values and up to about 120 beyond; 192 were measured. It happens when the same scales come back: "
        "minimum(maximum(x, -3), 3), (h - tanh(h)) + h, or in A16W8, whose observers choose no scale below 2**-12."
    )
    remedy = (
        "Usually nothing: what is beyond the codes is beyond what was calibrated. To be bit-exact, put an op between "
        "that moves data, write a pair of maximum and minimum as clamp, or use the policy bit-exact, which keeps the "
        "two ops on the CPU (guard) or puts a view between them (repair)."
    )
    scope = "cluster"
    message = (
        "{second} reads the result of {first} in int32, {least:.4g} to {most:.4g}, past the quantize op between, which "
        "holds {low:.4g} to {high:.4g} in steps of {step:.4g}"
    )
    effects = EffectsTable(
        [
            EffectRow("*", "<1.3", "*", Effect.EXACT, reference="no FuseConsecutiveRescalesPass"),
            EffectRow("*", ">=1.3", "*", Effect.BOUNDED, reference=_FUSED),
        ]
    )
    bad = (
        Example(
            "add of an add that saturates",
            _graph("add.Tensor", "add.Tensor", (0.05, 0.05, 0.01, 0.05, 0.06)),
            only_on=FUSES_RESCALES_FROM,
        ),
        Example(
            "mul of a mul that saturates",
            _graph("mul.Tensor", "mul.Tensor", (0.05, 0.05, 0.0025, 0.05, 0.02)),
            only_on=FUSES_RESCALES_FROM,
        ),
        Example(
            "minimum of a maximum with wider codes",
            _graph("maximum.default", "minimum.default", (0.05, 0.05, 0.07, 0.05, 0.01)),
            only_on=FUSES_RESCALES_FROM,
            companions=("OP707",),
        ),
        Example(
            "add that reads the largest operand of a sub again",
            _graph("sub.Tensor", "add.Tensor", (0.05, 0.01, 0.04, 0.05, 0.09)),
            _program,
            only_on=FUSES_RESCALES_FROM,
        ),
        Example(
            "mean of values that add up to more than the codes hold",
            lambda: _wide_mean("input"),
            only_on=FUSES_RESCALES_FROM,
            extensions=("int16",),
        ),
    )
    good = (
        Example("add of an add with other scales", _graph("add.Tensor", "add.Tensor", (0.05, 0.05, 0.1, 0.05, 0.16))),
        Example(
            "add of an add, permuted between",
            _graph("add.Tensor", "add.Tensor", (0.05, 0.05, 0.01, 0.05, 0.06), moved=True),
        ),
        Example("maximum compared on the grid and in the range that it has", _sign),
    )
    references = ("executorch #17830", "bug class 24 of the project's catalogue")
    refused = False

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if not target.release_in(FUSES_RESCALES_FROM):
            return
        pairs = list({(pair.q.name, pair.reader.name): pair for pair in fused_rescales(view)}.values())
        reach = Reach(view, pairs)
        from_wider = {pair.reader.name for pair in pairs}
        passed_on = {pair.producer.name for pair in pairs}
        for pair in pairs:
            between = view.qparams(pair.q)
            if between is None or not (excess(view, pair, reach) or rounds(view, pair)):
                continue
            if overflows(view, pair, reach):
                continue  # OP710's
            values = reach.of(pair.producer)
            # In a chain the values are wider than the codes say, and the result is no code either.
            alone = pair.producer.name not in from_wider and pair.reader.name not in passed_on
            bound = error_bound(view, pair, reach) if alone else None
            out = _result_qparams(view, pair.reader)
            yield self.finding(
                view,
                target,
                (pair.producer, pair.reader),
                case="*",
                bound_steps=bound,
                bound_value=bound * out.scale if bound is not None and out is not None else None,
                qparams=(("between", str(between)),),
                first=pair.producer.name,
                second=pair.reader.name,
                low=between.low,
                high=between.high,
                step=between.scale,
                least=values[0],
                most=values[1],
            )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """A view between the two: the RESCALEs on its sides stay two."""
        del target
        return held_apart(view, *(view.graph[name] for name in finding.nodes))


def _result_qparams(view: View, node: Node) -> QParams | None:
    quantizers = view.out_q(node)
    return view.qparams(quantizers[0]) if quantizers else None
