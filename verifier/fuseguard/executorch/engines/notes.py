"""What the TOSA reference model does not show of a VGF, told from the TOSA alone."""

from __future__ import annotations

from collections.abc import Iterator

from torch.export import ExportedProgram

from fuseguard.executorch.engines.lowering import delegates_of
from fuseguard.readers.budget import Budget, OverBudget
from fuseguard.readers.flatbuffer import MalformedBuffer
from fuseguard.readers.tosa import read_tosa


def notes_on_vgf(program: ExportedProgram) -> Iterator[str]:
    """Sentences about outputs of a lowered program's delegates that a VGF has one tensor for (rule BO606)."""
    for number, delegate in enumerate(delegates_of(program.graph_module)):
        try:
            groups = read_tosa(delegate.processed_bytes, Budget()).same_outputs
        except (MalformedBuffer, OverBudget):
            continue
        for group in groups:
            outputs = ", ".join(map(str, group[:-1])) + f" and {group[-1]}"
            yield (
                f"outputs {outputs} of delegate {number} are one value. On Vulkan, only the last of them is written "
                f"(BO606), which the TOSA reference model does not show: prove it with the engine vgf."
            )
