"""Reads the zip of ``executorch.exir.serde.save`` and of ``torch.export.save`` up to torch 2.6.

Both have the same records (executorch/exir/serde/serialize.py; torch/export/__init__.py of torch 2.6). Edge programs
that torch cannot load back are read like any other: no operator is looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fuseguard.ir.graph import Graph
from fuseguard.ir.hazard import Hazard
from fuseguard.readers.archive import Archive
from fuseguard.readers.artifact import State, WrongVersion, read_artifact
from fuseguard.readers.artifact_hazards import find_hazards
from fuseguard.readers.budget import MAX_JSON_BYTES, MAX_TENSOR_BYTES, Budget
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.formats import ARTIFACT_PROGRAM
from fuseguard.readers.reading import SAVE_AGAIN
from fuseguard.readers.torch_zip import opened

_TENSORS = ("serialized_state_dict.pt", "serialized_constants.pt")
_INPUTS = "serialized_example_inputs.pt"
# torch reads these too, under the names of still older files, and whichever comes last counts.
_OTHER_TENSORS = ("serialized_state_dict.json", "serialized_constants.json")


def programs(archive: Archive, budget: Budget) -> Mapping[str, Callable[[str], Graph]]:
    """The only program of an archive, called ``forward``."""
    other = [name for name in archive.names if name in _OTHER_TENSORS]
    if other:
        raise UnreadableInput(
            f"{archive.path}: the record {other[0]!r} may be read instead of the tensors that are checked. No "
            f"writer makes both, so the file may be forged; {SAVE_AGAIN}"
        )

    def reader(name: str) -> Graph:
        data = archive.read(ARTIFACT_PROGRAM, MAX_JSON_BYTES)
        parts = [opened(archive.path, archive.window(record, MAX_TENSOR_BYTES), budget) for record in _TENSORS]
        try:
            return read_artifact(data, State(*parts), archive.path, budget, name)
        except WrongVersion as error:
            raise UnreadableInput(
                f"{archive.path}: was written by torch.export.save of torch 2.4 or older (schema {error}), which this "
                f"version does not read; {SAVE_AGAIN} of torch 2.7 or newer"
            ) from error

    return {"forward": reader}


def hazards(archive: Archive) -> tuple[Hazard, ...]:
    """What loading the file would run. Raises as :func:`find_hazards` does."""
    return find_hazards(
        archive,
        programs=(ARTIFACT_PROGRAM,),
        tensors=[name for name in archive.names if name in _TENSORS],
        inputs=[name for name in archive.names if name == _INPUTS],
    )
