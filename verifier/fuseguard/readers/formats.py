"""What a zip archive is, from the names of its records: so that only the reader of its format is imported."""

from __future__ import annotations

from fuseguard.readers.archive import Archive

#: What ExecuTorch's generate_etrecord writes first (executorch/devtools/etrecord).
ETRECORD_IDENTIFIER = "ETRECORD_V0"
#: The program in what executorch.exir.serde.save and torch.export.save up to torch 2.6 wrote.
ARTIFACT_PROGRAM = "serialized_exported_program.json"


def is_record(archive: Archive) -> bool:
    """Whether the archive is an ETRecord."""
    return ETRECORD_IDENTIFIER in archive.names


def is_artifact(archive: Archive) -> bool:
    """Whether the archive has a program of executorch.exir.serde or of an older torch."""
    return ARTIFACT_PROGRAM in archive.names
