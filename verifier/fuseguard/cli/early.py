"""Checks what ``prove`` and ``repair`` were given before torch is imported, which takes seconds."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

from fuseguard.cli.exits import Failure, Refused

#: The first bytes of a pickle of protocol 2 and up, as torch wrote before 1.6.
_PICKLE = b"\x80"


def check_inputs(values: Iterable[str]) -> None:
    """Raises Failure (2) for a value of ``--inputs`` that is wrong, Refused (3) for a file that cannot be read."""
    for text in values:
        seed = random_seed(text)
        if seed is None:
            _check_file(Path(text))


def random_seed(text: str) -> int | None:
    """The seed of ``random`` or ``random:SEED``; None for the name of a file. Raises Failure for another seed."""
    name, _, seed = text.partition(":")
    if name != "random" or Path(text).exists():
        return None
    if seed and not (seed.isascii() and seed.isdigit()):
        raise Failure(f"--inputs {text}: the seed must be a number of at least 0.")
    return int(seed or 0) % 2**63


def _check_file(path: Path) -> None:
    if path.suffix not in (".npz", ".pt"):
        raise Failure(f"--inputs {str(path)!r}: give a .npz or .pt file, or 'random' or 'random:SEED'.")
    try:
        with open(path, "rb") as file:
            start = file.read(1)
    except OSError as error:
        text = "no such file" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        raise Refused(f"--inputs {str(path)!r} cannot be read: {text}") from error
    if not zipfile.is_zipfile(path) and (path.suffix == ".npz" or start != _PICKLE):
        wrote = "numpy.savez" if path.suffix == ".npz" else "torch.save"
        raise Refused(f"--inputs {str(path)!r} cannot be read: not what {wrote} writes, or cut off")
