"""Selects the reader: a file by what is in it, a live program by its type."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from fuseguard.ir.graph import Graph

if TYPE_CHECKING:
    import torch
    from executorch.exir import EdgeProgramManager
    from torch.export import ExportedProgram

    from fuseguard.ir.hazard import Hazard
    from fuseguard.readers.archive import Archive
    from fuseguard.readers.budget import Budget

#: Reads one program of a file; the graph gets the name that it is given.
Reader: TypeAlias = "Callable[[str], Graph]"


def read(
    program: ExportedProgram | EdgeProgramManager | torch.fx.GraphModule | Graph | str | os.PathLike[str],
    methods: Sequence[str] = (),
) -> tuple[Graph, str]:
    """The graph of a program and its file name ("" for a live one). ``methods`` are those of :func:`read_file`.

    Raises UnreadableInput, TypeError, and ValueError for methods of what is not a file.
    """
    if isinstance(program, str | os.PathLike):
        if os.fspath(program) == "":  # Path takes it for the current directory
            from fuseguard.readers.errors import UnreadableInput

            raise UnreadableInput("'': the path is empty; pass the path of a .pt2 file")
        return read_file(Path(program), methods), str(program)
    if methods:
        raise ValueError("method= selects a program from a file with several; this is already a single program")
    if isinstance(program, Graph):
        return program, ""
    from fuseguard.readers.fx import read_program  # imports torch, which a caller with a live program has

    return read_program(program), ""


def read_file(path: Path, methods: Sequence[str] = ()) -> Graph:
    """The graph of the program in a file: a .pt2 file, an ETRecord, or what executorch.exir.serde or torch 2.6 wrote.

    Of several programs each is a subgraph of an empty graph, by its name; with ``methods``, only those of these names
    are read. Raises UnreadableInput, and nothing else, for whatever is wrong with the file.
    """
    from fuseguard.readers.archive import Archive
    from fuseguard.readers.budget import Budget
    from fuseguard.readers.reading import reading

    with Archive(path) as archive, reading(path):
        found = _programs(archive, Budget())
        chosen = _chosen(path, found, methods)
        if len(found) == 1:
            [reader] = chosen.values()
            graph = reader("")
        else:
            graph = Graph([], subgraphs={name: reader(name) for name, reader in chosen.items()})
        graph.hazards = _hazards(archive)
        return graph


def _programs(archive: Archive, budget: Budget) -> Mapping[str, Reader]:
    """The programs of a file by name; at least one."""
    from fuseguard.readers.formats import is_artifact, is_record

    _check_one_format(archive)
    if is_record(archive):
        from fuseguard.readers import etrecord

        return etrecord.programs(archive, budget)
    if is_artifact(archive):
        from fuseguard.readers import legacy

        return legacy.programs(archive, budget)
    from fuseguard.readers import pt2

    def reader(model: str) -> Reader:
        return lambda name: pt2.read_model(archive, model, budget, name)

    return {model: reader(model) for model in pt2.models(archive)}


def _hazards(archive: Archive) -> tuple[Hazard, ...]:
    """What loading the file would run. All of its programs are loaded, whichever were chosen here."""
    from fuseguard.readers.formats import is_artifact, is_record

    if is_record(archive):
        from fuseguard.readers import etrecord

        return etrecord.hazards(archive)
    if is_artifact(archive):
        from fuseguard.readers import legacy

        return legacy.hazards(archive)
    from fuseguard.readers.hazards import find_hazards

    return find_hazards(archive)


def _check_one_format(archive: Archive) -> None:
    """Raises UnreadableInput for an archive in which torch or executorch may read another program."""
    from fuseguard.readers.errors import UnreadableInput
    from fuseguard.readers.formats import is_artifact, is_record

    models = any("models" in name.split("/")[:-1] for name in archive.names)
    if is_record(archive) + is_artifact(archive) + models > 1:
        raise UnreadableInput(
            f"{archive.path}: has the records of two formats, so other tools may read another program from it. "
            f"No tool writes such a file, so it may be forged; save the program again with torch.export.save"
        )


def _chosen(path: Path, found: Mapping[str, Reader], methods: Sequence[str]) -> Mapping[str, Reader]:
    if not methods:
        return found
    from fuseguard.readers.errors import UnreadableInput
    from fuseguard.readers.pt2 import listed

    wanted = set(methods)
    chosen = {name: reader for name, reader in found.items() if wanted & {name, name.rpartition("/")[2]}}
    missing = [name for name in methods if not any(name in (key, key.rpartition("/")[2]) for key in found)]
    if missing:
        raise UnreadableInput(f"{path}: has no program {missing[0]!r}; it has {listed(list(found))}")
    return chosen
