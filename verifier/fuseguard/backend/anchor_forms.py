"""How the backend lowers an anchor: as one TOSA convolution, or as a chain with data movement in it.

Source: ``DecomposeLinearPass``, ``DecomposeGroupedConvPass`` and ``RewriteConvPass._is_depthwise_conv`` of ExecuTorch
1.2.0, 1.3.1, 1.4.1 and 1.5.1; Conv1dUnsqueezePass, which 1.5 does not have any more.

Rules that depend on it: DT502, DT508, FU102, and those of computed_weights and fold_scalar_mul and fused_activation
and int32_rescales.
"""

from __future__ import annotations

from typing import Literal

from fuseguard.ir import Node, View

#: ``direct``: one convolution whose direct user is the activation. The others end in data movement: ``linear`` in a
#: view, ``conv1d`` in a squeeze, ``grouped`` in a cat.
AnchorForm = Literal["direct", "conv1d", "linear", "grouped"]


def anchor_form(view: View, anchor: Node) -> AnchorForm:
    """Which decomposition the backend applies to this anchor."""
    if anchor.kind != "conv":
        return "linear"
    data = view.producer(anchor)
    rank = data.meta.rank if data is not None and data.meta is not None else 4
    groups = view.groups(anchor)
    if groups > 1 and not _is_depthwise(anchor, data, groups, rank):
        return "grouped"
    return "conv1d" if rank == 3 else "direct"


def _is_depthwise(anchor: Node, data: Node | None, groups: int, rank: int) -> bool:
    """RewriteConvPass._is_depthwise_conv: rank 3 or 4, one group per input channel."""
    if data is None or data.meta is None or anchor.meta is None or rank not in (3, 4) or anchor.meta.rank < 2:
        return False
    channels_in, channels_out = data.meta.shape[1], anchor.meta.shape[1]
    return channels_in == groups and channels_out is not None and channels_out % groups == 0
