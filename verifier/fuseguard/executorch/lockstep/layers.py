"""How far each value is from the eager program's and from the float program's, in the whole program and not by cell.

Errors add up here as they do on a device. The eager program beside the float one shows what quantizing has lost, the
lowering beside the eager program what lowering has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from fuseguard.executorch.comparing import sqnr
from fuseguard.executorch.lockstep.float_layers import FloatLayers
from fuseguard.executorch.lockstep.layouts import Array
from fuseguard.executorch.lockstep.walking import Walked, Walks

if TYPE_CHECKING:
    from fuseguard.executorch.lockstep.cells import Cell


def with_ratios(cells: Sequence[Cell], walks: Walks, walked: Walked, layers: FloatLayers | None) -> tuple[Cell, ...]:
    """The cells with their ratios of signal to error. ``layers``: a run of the float program on the same inputs."""
    codes, outputs = walks.eager
    nodes = {node.name: node for node in walks.program.graph.nodes}
    found = []
    for cell, meeting in zip(cells, walked.meetings, strict=False):
        quantizer = nodes[meeting.name]
        owner = quantizer.args[0]
        partner = layers.of(owner.name) if layers is not None and isinstance(owner, torch.fx.Node) else None
        lowered = None if meeting.kept_actual is None else _real(quantizer, meeting.kept_actual.load())
        found.append(_with_ratios(cell, _real(quantizer, codes[meeting.name]), lowered, partner))
    results = layers.results if layers is not None else ()
    for number, (cell, eager) in enumerate(zip(cells[len(found) :], outputs, strict=True)):
        partner = results[number] if number < len(results) else None
        found.append(_with_ratios(cell, eager, walks.observed.outputs[number], partner))
    return tuple(found)


def _with_ratios(
    cell: Cell, eager: torch.Tensor, lowered: torch.Tensor | None, partner: tuple[str, torch.Tensor] | None
) -> Cell:
    cell = replace(cell, sqnr_db=None if lowered is None else sqnr([eager], [lowered]))
    if partner is None or partner[1].shape != eager.shape:
        return cell
    name, wanted = partner
    from_float = None if lowered is None else sqnr([wanted], [lowered])
    return replace(cell, float_node=name, float_sqnr_db=from_float, quantization_sqnr_db=sqnr([wanted], [eager]))


def _real(quantizer: Any, codes: Array) -> torch.Tensor:
    """What codes of a quantize op stand for."""
    _, scale, zero_point = quantizer.args[:3]
    values: torch.Tensor = (torch.from_numpy(codes.copy()).to(torch.float64) - zero_point) * scale
    return values
