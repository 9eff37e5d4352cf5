"""Reads an ETRecord: the exported program and the edge programs, one for each method, that a lowering started from.

The records are named in executorch/devtools/etrecord/_etrecord.py. What is for debugging, such as delegate maps, is not
opened, and pickles are looked through for what loading them would run (``artifact_hazards``).
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
from fuseguard.readers.formats import ETRECORD_IDENTIFIER
from fuseguard.readers.torch_zip import opened

_PARTS = ("_state_dict", "_constants", "_example_inputs")
_INPUTS = ("reference_outputs", "representative_inputs")
_OTHERS = (
    ETRECORD_IDENTIFIER, "export_graph_id", "debug_handle_map", "delegate_map", "instruction_id_to_num_outs_map",
    *_INPUTS,
)  # fmt: skip
_EDGE = "edge_dialect_exported_program"
_BEFORE = (
    "This ETRecord holds the programs as they were before lowering. Findings say what a lowering without the guard "
    "does. The file does not say whether its own lowering was guarded."
)
# Each is a program, and programs are read one after the other.
MAX_PROGRAMS = 64


def programs(archive: Archive, budget: Budget) -> Mapping[str, Callable[[str], Graph]]:
    """All programs by the names of their records and methods, as ``edge_dialect_exported_program/forward``.

    Raises UnreadableInput.
    """
    names = _programs_of(archive)
    if not names:
        raise UnreadableInput(
            f"{archive.path}: is an ETRecord without a program; make it with generate_etrecord=True, or check the "
            f".pt2 file that torch.export.save wrote"
        )
    if len(names) > MAX_PROGRAMS:
        raise UnreadableInput(
            f"{archive.path}: the ETRecord has {len(names)} programs, and more than {MAX_PROGRAMS} are refused to "
            f"protect memory and time; check the program saved with torch.export.save"
        )

    def reader(record: str) -> Callable[[str], Graph]:
        return lambda name: _program(archive, record, budget, name)

    # The first one is that of the method "forward", as are programs of records from before there were several methods.
    return {record if "/" in record else f"{record}/forward": reader(record) for record in names}


def hazards(archive: Archive) -> tuple[Hazard, ...]:
    """What ``parse_etrecord`` would run, which loads all programs. Raises as :func:`find_hazards` does."""
    return find_hazards(
        archive,
        programs=_programs_of(archive),
        tensors=[name for name in archive.names if name.endswith(_PARTS[:2])],
        inputs=[name for name in archive.names if name in _INPUTS or name.endswith(_PARTS[2])],
    )


def _programs_of(archive: Archive) -> list[str]:
    return [name for name in archive.names if name not in _OTHERS and not name.endswith(_PARTS)]


def _program(archive: Archive, record: str, budget: Budget, name: str) -> Graph:
    data = archive.read(record, MAX_JSON_BYTES)
    parts = [
        opened(archive.path, archive.window(f"{record}{suffix}", MAX_TENSOR_BYTES), budget) for suffix in _PARTS[:2]
    ]
    try:
        graph = read_artifact(data, State(*parts), archive.path, budget, name)
    except WrongVersion as error:
        raise UnreadableInput(
            f"{archive.path}: the program {record[:80]!r} has schema {error}, which this version does not read; make "
            f"the ETRecord again with ExecuTorch 1.2 to 1.5"
        ) from error
    if record.startswith(_EDGE) and all(body.delegate is None for body in graph.walk()):
        graph.notes = (*graph.notes, _BEFORE)
    return graph
