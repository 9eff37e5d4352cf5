"""What the backend does with the activation after an anchor. The FU rules share it.

Source: ``FuseQuantizedActivationPass`` and ``RewriteConvPass._get_effective_output_qparams`` of ExecuTorch 1.2.0,
1.3.1, 1.4.1 and 1.5.1 (backends/arm/_passes).

Rules that depend on it: FU101, FU102, FU103, OP701, OP702, OP705, OP727, PL401, PL406, and those of fold_scalar_mul
and proper_quantization.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from fuseguard.backend.anchor_forms import anchor_form
from fuseguard.backend.per_view import once_per_view
from fuseguard.backend.releases import FUSES_ANY_ZERO_POINT
from fuseguard.engine import Finding, Insert, Pair, Rewrite
from fuseguard.ir.activations import activation_bounds
from fuseguard.ir.graph import Node
from fuseguard.ir.ops import Trait
from fuseguard.ir.qparams import QParams
from fuseguard.ir.value import Value
from fuseguard.ir.view import Island, View
from fuseguard.target import Target


class FusedActivation(Value, frozen=True):
    """An anchor whose output qparams sit on its activation.

    ``low`` and ``high`` are the codes of the activation's bounds before saturation (infinite where it has
    none); ``fused`` says whether the target's backend folds the activation into the anchor's rescale, and
    ``chained`` whether data movement ends up between the two when it does not.
    """

    island: Island
    qparams: QParams
    low: float
    high: float
    fused: bool
    chained: bool

    @property
    def low_fits(self) -> bool:
        """Whether saturation at qmin does what the lower bound would."""
        return self.low <= self.qparams.qmin

    @property
    def high_fits(self) -> bool:
        return self.high >= self.qparams.qmax

    @property
    def expressible(self) -> bool:
        """Whether saturating to [qmin, qmax] is the activation, to the bit."""
        return self.low_fits and self.high_fits


@once_per_view
def fused_activations(view: View, target: Target) -> tuple[FusedActivation, ...]:
    """Every island whose activation owns the anchor's output qparams, per tensor and readable."""
    return tuple(_fused_activations(view, target))


def _fused_activations(view: View, target: Target) -> Iterator[FusedActivation]:
    for island in view.islands:
        if not is_quantized_anchor(view, island) or island.activation is None or island.output_q is None:
            continue
        qparams = view.qparams(island.output_q)
        if qparams is None or not qparams.usable:
            continue
        minimum, maximum = activation_bounds(island.activation)
        if math.isnan(minimum) or math.isnan(maximum):
            continue  # a tensor bound: not a constant clamp
        low, high = _code(qparams, minimum), _code(qparams, maximum)
        fused = is_fuseable_activation(view, island.activation, target)
        yield FusedActivation(island, qparams, low, high, fused, is_chained(view, island.anchor, target))


def is_chained(view: View, anchor: Node, target: Target) -> bool:
    """Whether decomposition puts data movement after the anchor that RewriteConvPass does not look through."""
    form = anchor_form(view, anchor)
    return form in ("linear", "grouped") or (form == "conv1d" and not FUSES_ANY_ZERO_POINT.in_force(target))


def is_quantized_anchor(view: View, island: Island) -> bool:
    """Whether the backend takes the anchor for a quantized convolution or linear: DQ on data and weight,
    annotated, and of a form it delegates at all (it refuses transposed convolutions other than 2-D).
    """
    anchor = island.anchor
    if anchor.kind not in ("conv", "linear") or view.in_dq(anchor, 0) is None or view.in_dq(anchor, 1) is None:
        return False
    if not anchor.annotated:
        return False
    data = view.in_dq(anchor, 0)
    rank = data.meta.rank if data is not None and data.meta is not None else 4
    return not (view.transposed(anchor) and rank != 4)


def is_fuseable_activation(view: View, node: Node, target: Target) -> bool:
    """``FuseQuantizedActivationPass._is_fuseable_quantized_activation``: a clamp from 0 that saturation can replace."""
    users = view.users(node)
    if node.kind not in ("relu", "hardtanh") or len(users) != 1 or not view.is_q(users[0]):
        return False
    low, high = activation_bounds(node)
    qparams = view.qparams(users[0])
    if low != 0 or math.isnan(high) or qparams is None or not qparams.usable:
        return False
    if FUSES_ANY_ZERO_POINT.in_force(target):
        return node.kind == "relu" or qparams.quantize(high) == qparams.qmax
    return qparams.zero_point == qparams.qmin


def is_fuseable_anchor(view: View, node: Node) -> bool:
    """``FuseQuantizedActivationPass._is_fuseable_input``: a convolution or linear with one reader."""
    return node.kind in ("conv", "linear") and len(view.users(node)) == 1


def _code(qparams: QParams, value: float) -> float:
    """The code of ``value`` before saturation; infinite for an infinite value."""
    if math.isinf(value) or abs(value / qparams.scale) >= 2**62:
        return math.copysign(math.inf, value)
    return round(value / qparams.scale) + qparams.zero_point


def saturation_excess(fusion: FusedActivation) -> int:
    """Steps between the activation's bounds and where RESCALE saturates instead: at the dtype's limits."""
    minimum, maximum = fusion.qparams.dtype_range
    below = 0 if fusion.low_fits else min(fusion.low, fusion.qparams.qmax) - minimum
    above = 0 if fusion.high_fits else maximum - max(fusion.high, fusion.qparams.qmin)
    return int(max(below, above))


def pair_on_anchor(view: View, finding: Finding) -> Rewrite | None:
    """A Q/DQ pair with the activations' own qparams after the anchor, which then owns its output qparams.

    Q(clamp(DQ(Q(x)))) = Q(clamp(x)) for every x: both sides are the same monotone map.
    """
    anchor = view.graph[finding.nodes[0]]
    activations = view.users(anchor)
    found = set()
    for activation in activations:
        if not activation.info.has(Trait.ACTIVATION) or any(map(math.isnan, activation_bounds(activation))):
            return None
        found |= {view.qparams(user) if view.is_q(user) else None for user in view.users(activation)}
    qparams = found.pop() if len(found) == 1 else None
    if qparams is None or not qparams.usable:
        return None
    return Rewrite((Insert(anchor.name, tuple(user.name for user in activations), (Pair(qparams),)),))


def labelled_qparams(view: View, island: Island) -> tuple[tuple[str, str], ...]:
    """The qparams at an island's boundary, in reading order, for the report."""
    labelled = []
    for position, label in enumerate(("input", "weight", "bias")):
        qparams = view.in_qp(island.anchor, position)
        if qparams is not None:
            labelled.append((label, str(qparams)))
    out = view.qparams(island.output_q) if island.output_q is not None else None
    if out is not None:
        labelled.append((f"output (owned by {island.owner.name})", str(out)))
    return tuple(labelled)
