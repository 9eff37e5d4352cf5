"""How the backend lowers an anchor: as one TOSA convolution, or as a chain with data movement in it.

Source: ``DecomposeLinearPass``, ``DecomposeGroupedConvPass``, ``Conv1dUnsqueezePass`` and
``RewriteConvPass._is_depthwise_conv`` of ExecuTorch 1.2.0 to 1.5.1. Rules that depend on it: FU101, FU102, DT502,
DT508, OP701, PL404.
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
