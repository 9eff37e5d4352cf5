"""Before a file is loaded with torch, which runs code from it: is it trusted, and is it there? Needs no torch."""

from __future__ import annotations

import os
from pathlib import Path

from fuseguard.readers.errors import UnreadableInput


class UntrustedFile(UnreadableInput):
    """A file is not loaded, since nobody has said that it is trusted."""


def refuse_untrusted(file: str | os.PathLike[str], doing: str, option: str) -> None:
    """Raises UntrustedFile.

    Args:
        file: the file.
        doing: what needs it, such as ``Proving a program``.
        option: what says that the file is trusted, such as ``--trust``.
    """
    raise UntrustedFile(
        f"{os.fspath(file)}: refused without {option}. {doing} needs torch.export.load, and that runs code from the "
        f"file (pickled objects, symbolic expressions, generated source, native libraries). Pass {option} for a file "
        f"that you made yourself or would run as a script; 'fuseguard check' reads any file safely."
    )


def check_loadable(file: Path) -> None:
    """Raises UnreadableInput if there is no such file or it is not an archive."""
    import zipfile  # imports shutil and tempfile, which a check does not need

    if not file.is_file():
        raise UnreadableInput(f"{file}: no such file.")
    if not zipfile.is_zipfile(file):
        raise UnreadableInput(
            f"{file}: not what torch.export.save writes, or cut off (it is not a complete zip archive), so there is no "
            f"program to load. Copy or save it again."
        )
