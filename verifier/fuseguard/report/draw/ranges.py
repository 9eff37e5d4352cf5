"""The range of codes after an activation and the bounds of the activation, for a plot."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fuseguard.engine.finding import Finding
from fuseguard.ir.activations import activation_bounds
from fuseguard.ir.graph import Node
from fuseguard.ir.ops import Trait
from fuseguard.ir.qparams import QParams
from fuseguard.ir.view import View


@dataclass(frozen=True, slots=True)
class CodeRange:
    """``minimum`` and ``maximum`` are the bounds of ``activation`` in real units, infinite where it has none.

    ``qparams`` are those of the quantize op that reads the activation: per tensor, and usable.
    """

    activation: str
    minimum: float
    maximum: float
    qparams: QParams

    @property
    def dtype_low(self) -> float:
        """The real value of the smallest code of the dtype."""
        return self.qparams.dequantize(self.qparams.dtype_range[0])

    @property
    def dtype_high(self) -> float:
        """The real value of the largest code of the dtype."""
        return self.qparams.dequantize(self.qparams.dtype_range[1])


def code_range(view: View, finding: Finding) -> CodeRange | None:
    """The range after the first activation that the finding names; None if it names none with a bound and qparams."""
    for name in finding.nodes:
        node = view.graph.nodes.get(name)
        found = _after(view, node) if node is not None and node.info.has(Trait.ACTIVATION) else None
        if found is not None:
            return found
    return None


def _after(view: View, node: Node) -> CodeRange | None:
    qparams = view.out_qp(node)
    minimum, maximum = activation_bounds(node)
    bounded = math.isfinite(minimum) or math.isfinite(maximum)
    if qparams is None or not qparams.usable or not bounded or math.isnan(minimum) or math.isnan(maximum):
        return None
    return CodeRange(node.name, minimum, maximum, qparams)
