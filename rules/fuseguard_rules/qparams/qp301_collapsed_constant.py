"""QP301: a constant operand so small that the observer's smallest scale leaves it only a few codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fuseguard.backend.quantized_values import OBSERVER_FLOORS
from fuseguard.backend.value_range import reach_on
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.qparams.qp301")

#: With eight codes or more the constant is off by at most a sixteenth.
_FEW_CODES = 8.0
#: Below this the constant happens to lie on the grid (1/16384 is four codes of 2**-16).
_NEGLIGIBLE = 0.01


@dataclass(frozen=True, slots=True)
class _Constant:
    """A constant operand: its real value, the qparams' scale, the DQs of its codes, and the node that is at fault."""

    value: float
    scale: float
    read: tuple[Node, ...]
    node: Node
    label: str

    @property
    def codes(self) -> float:
        return abs(self.value) / self.scale

    @property
    def stored(self) -> float:
        """Its absolute value after quantization."""
        return round(self.codes) * self.scale

    @property
    def lost(self) -> float:
        """How far quantization moves it."""
        return abs(self.stored - abs(self.value))

    @property
    def error(self) -> float:
        return self.lost / abs(self.value)


class CollapsedConstant(Rule):
    code = "QP301"
    name = "collapsed-constant"
    summary = "A constant operand is only a few steps of its own scale, and the observer may not choose a smaller one."
    why = (
        "Arm's observers do not choose a scale below 2**-16 (2**-12 in A16W8), so a tiny constant keeps only a few "
        "codes, or none. From 1.3 on, DecomposeMeanDimPass turns mean into sum and a multiplication by 1/N before "
        "quantization, and 1/N over a large area is such a constant. The fault is in the quantized program: the eager "
        "program and the delegate agree, and both are off. An epsilon that is smaller than the steps of what it is "
        "added to or compared with changes no result, and is not reported."
    )
    remedy = (
        "Scale in two steps, give the configuration a smaller eps (eps=2**-30 in get_symmetric_quantization_config "
        "from 1.3 on, epsilon in the A16W8 one), or leave the operation in float. If the constant is the 1/N of a "
        "mean, write torch.nn.functional.adaptive_avg_pool2d(x, 1) instead of x.mean((2, 3)): it stays an average pool."
    )
    scope = "node"
    message = (
        "{readers} reads the constant {constant}, {value:.4g}, in steps of {scale:.4g}: it becomes {stored:.4g}, "
        "a relative error of {percent:.1f} %"
    )
    effects = EffectsTable(
        [
            EffectRow("*", "*", "*", Effect.QUALITY, reference="observer eps; DecomposeMeanDimPass, #19242"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #19242",)
    refused = False
    in_program = True

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.calls():
            constant = _filled_constant(view, node) if view.is_q(node) else _factor(view, node)
            if constant is None or constant.codes >= _FEW_CODES or constant.error < _NEGLIGIBLE:
                continue
            readers = [reader for dq in constant.read for reader in view.users(dq) if reader.op == "call"]
            if readers and all(_is_below_rounding(view, reader, constant, target) for reader in readers):
                continue
            yield self.finding(
                view,
                target,
                (constant.node,),
                case="zero" if constant.stored == 0 else "few-codes",
                readers=" and ".join(dict.fromkeys(reader.name for reader in readers)) or constant.node.name,
                constant=constant.label,
                value=constant.value,
                scale=constant.scale,
                stored=constant.stored,
                percent=100 * constant.error,
            )


def _filled_constant(view: View, q: Node) -> _Constant | None:
    """A literal in the graph (full, scalar_tensor) that is quantized at the observer's smallest scale."""
    producer, qparams = view.owner(q), view.qparams(q)
    if producer is None or producer.kind != "full" or qparams is None or qparams.per_channel:
        return None
    if qparams.scale not in OBSERVER_FLOORS:
        return None
    position = 0 if "scalar_tensor" in producer.target else 1
    value = producer.arg(position, "fill_value" if position else "s")
    if not producer.target.startswith(("aten.full", "aten.scalar_tensor")) or not isinstance(value, int | float):
        return None
    if not 0 < abs(value) < 1:
        return None
    read = tuple(user for user in view.users(q) if view.is_dq(user))
    return _Constant(float(value), qparams.scale, read, producer, producer.name)


def _is_below_rounding(view: View, reader: Node, constant: _Constant, target: Target) -> bool:
    """Whether what the constant loses moves the result by no more than half a step: the epsilon of a batch norm."""
    results = [view.qparams(q) for q in view.out_q(reader)]
    if not results or any(out is None or not out.usable for out in results):
        return False
    step = min(out.scale for out in results if out is not None)
    others = [node for node in view.graph.inputs(reader) if node not in constant.read]
    if reader.kind in ("add", "sub", "maximum", "minimum") and not reader.kwargs:
        return constant.lost <= step / 2
    if reader.kind == "mul" and len(others) == 1:
        return max(map(abs, reach_on(view, target).of(others[0]))) * constant.lost <= step / 2
    return False


def _factor(view: View, node: Node) -> _Constant | None:
    """A single stored number that a quantized tensor is multiplied by.

    No weight is read. Multiplying by a number scales the range of the tensor by it, so the two observed scales
    state its value; where the product shares a wider range with other tensors they only bound it from above.
    """
    if node.kind != "mul" or len(node.args) < 2:
        return None
    out = view.out_qp(node)
    for position in (0, 1):
        stored, data = view.in_dq(node, position), view.in_qp(node, 1 - position)
        if stored is None or data is None or out is None:
            continue
        source, qparams = view.producer(stored), view.qparams(stored)
        if source is None or source.op == "call" or source.meta is None or qparams is None or qparams.per_channel:
            continue
        if any(size != 1 for size in source.meta.shape) or qparams.scale not in OBSERVER_FLOORS:
            continue
        if not (data.usable and out.usable) or (out.qmin, out.qmax) != (data.qmin, data.qmax):
            continue
        if out.scale < min(OBSERVER_FLOORS):
            continue  # written by hand: no observer chooses it, and it does not depend on the factor
        return _Constant(out.scale / data.scale, qparams.scale, (stored,), node, source.name)
    return None
