"""What a result depends on besides the program: the code of fuseguard and its rule packs, and all installed packages.

A version alone does not identify code in a checkout, so that code is hashed. Needs no torch.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import platform
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

import fuseguard
from fuseguard.engine.registry import GROUP

_CHUNK = 1 << 20  # bytes
_SKIPPED = "__pycache__"
#: Distributions whose code is hashed file by file, so that an editable installation of them is identified as well.
_HASHED = ("fuseguard",)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def key_of(*parts: object) -> str:
    """One key for JSON-ready ``parts``: the SHA-256 of their JSON text."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, allow_nan=True)
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def code_digest() -> str:
    """Identifies the code and data of fuseguard and of all installed rule packs, by their content."""
    digest = hashlib.sha256(platform.python_version().encode())
    for name, path in sorted(set(_code_files())):
        digest.update(f"{name}\0{file_digest(path)}\0".encode())
    packs = sorted(f"{entry.name}={entry.value}" for entry in metadata.entry_points(group=GROUP))
    for name in ("click", "msgspec", "networkx", "packaging"):
        packs.append(f"{name}=={_version(name)}")
    digest.update("\n".join(packs).encode())
    return digest.hexdigest()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _code_files() -> Iterator[tuple[str, Path]]:
    """Each file with its name in the package, which does not depend on where that is installed."""
    yield from _files_under(Path(fuseguard.__file__).parent)
    for entry in metadata.entry_points(group=GROUP):
        spec = importlib.util.find_spec(entry.module.partition(".")[0])
        if spec is None:
            continue  # load_registry raises for it
        if spec.submodule_search_locations is None:
            yield from ((entry.module, Path(spec.origin)),) if spec.origin else ()
            continue
        for folder in spec.submodule_search_locations:
            yield from _files_under(Path(folder))


def _files_under(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*"):
        if _SKIPPED not in path.parts and path.is_file():
            yield path.relative_to(folder.parent).as_posix(), path


@functools.cache
def installed() -> dict[str, str]:
    """The version of every installed distribution by its name, those of Python and of the processor included.

    A result of torch may depend on the instructions that the processor has.
    """
    found = {(dist.metadata["Name"] or "?").lower(): dist.version for dist in metadata.distributions() if dist.metadata}
    return {**found, " python": platform.python_version(), " processor": f"{platform.machine()} {_processor()}"}


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


@functools.cache
def unidentified() -> str:
    """The names of distributions whose version does not identify their code, because their installation is editable.

    "" if there are none. fuseguard is left out, since its code is hashed.
    """
    return ", ".join(sorted(set(_editable(metadata.distributions()))))


def _editable(distributions: Iterable[metadata.Distribution]) -> Iterator[str]:
    for dist in distributions:
        text = dist.read_text("direct_url.json")
        if text and '"editable": true' in text:
            name = str(dist.metadata["Name"]).lower()
            if name not in _HASHED:
                yield name


def environment_key() -> str:
    """Identifies everything that is installed, and the code of fuseguard and its rule packs."""
    return key_of(code_digest(), installed(), unidentified())


def described() -> dict[str, str]:
    """What another process wants to know of this environment, as JSON-ready data."""
    return {
        "fuseguard": fuseguard.__version__,
        "executorch": _version("executorch"),
        "code": code_digest(),
        "environment": environment_key(),
    }
