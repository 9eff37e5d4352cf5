"""The rule packs and the packages that are installed, found without importlib.metadata where that is possible.

importlib.metadata imports some seventy modules, and parses a file of every installed package: a tenth of the time that
a check of a small file takes. In nearly every environment, the names of the ``.dist-info`` folders and one file in them
tell as much. Whatever is not as pip leaves it (another finder of packages, a zip on ``sys.path``, several packs) goes
to importlib.metadata.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.machinery import PathFinder
from typing import Any, TypeAlias

#: The entry point group in which every rule pack registers.
GROUP = "fuseguard.rules"
#: The entry point of fuseguard's own pack.
OWN = ("fuseguard", "fuseguard_rules")
#: Name and value of an entry point, the version of its distribution ("?" for none), and what loads it.
Pack: TypeAlias = "tuple[str, str, str, Callable[[], Any]]"


class _CannotTell(Exception):
    """Only importlib.metadata knows what is installed here."""


def rule_packs() -> list[Pack]:
    """The entry points of all rule packs, sorted by name and value."""
    try:
        version = _version_of_own_alone()
    except _CannotTell:
        from importlib import metadata

        entries = sorted(metadata.entry_points(group=GROUP), key=lambda item: (item.name, item.value))
        return [
            (entry.name, entry.value, entry.dist.version if entry.dist is not None else "?", entry.load)
            for entry in entries
        ]
    name, value = OWN
    return [(name, value, version, lambda: importlib.import_module(value))]


def version_of(name: str) -> str:
    """The version of an installed package, whose ``name`` has no special characters; "" if it is not installed."""
    try:
        for folder, info in _infos():
            package, _, version = info.rpartition(".")[0].partition("-")
            if package.lower() == name:
                if not version or not info.endswith(".dist-info") or not _has_metadata(folder, info):
                    raise _CannotTell
                return version
    except _CannotTell:
        from importlib import metadata

        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return ""
    return ""


def _version_of_own_alone() -> str:
    """The version of fuseguard, if its own pack is the only one. Raises _CannotTell otherwise."""
    return _version_among(tuple(_infos()))


@lru_cache(maxsize=8)
def _version_among(infos: tuple[tuple[str, str], ...]) -> str:
    found = []
    for folder, info in infos:
        try:
            with open(os.path.join(folder, info, "entry_points.txt"), "rb") as file:
                text = file.read()
        except OSError:  # most packages have none
            continue
        if GROUP.encode() in text:
            found.append((folder, info, text.decode("utf-8", "replace")))
    if len(found) != 1:
        raise _CannotTell
    [(folder, info, entries)] = found
    package, _, version = info.removesuffix(".dist-info").partition("-")
    if package != OWN[0] or not version or not _has_metadata(folder, info) or _group_of(entries) != [" = ".join(OWN)]:
        raise _CannotTell
    return version


def _infos() -> Iterator[tuple[str, str]]:
    """Each ``.dist-info`` and ``.egg-info``, after the folder that it is in, in the order of ``sys.path``."""
    if any(hasattr(finder, "find_distributions") and finder is not PathFinder for finder in sys.meta_path):
        raise _CannotTell
    for entry in sys.path:
        folder = entry or "."
        try:
            changed = os.stat(folder).st_mtime_ns
        except FileNotFoundError:
            continue
        except OSError:
            raise _CannotTell from None
        yield from ((folder, name) for name in _infos_in(folder, changed))


@lru_cache(maxsize=64)
def _infos_in(folder: str, changed: int) -> tuple[str, ...]:
    """Those in one folder, which is looked into again when it has changed."""
    del changed
    try:
        names = os.listdir(folder)
    except OSError:  # a zip archive, or a folder that may not be looked into
        raise _CannotTell from None
    if "EGG-INFO" in names:
        raise _CannotTell
    return tuple(name for name in names if name.endswith((".dist-info", ".egg-info")))


def _has_metadata(folder: str, info: str) -> bool:
    return os.path.isfile(os.path.join(folder, info, "METADATA"))


def _group_of(text: str) -> list[str]:
    """The entries of the group, with one space around the equals sign."""
    found, inside = [], False
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            inside = line == f"[{GROUP}]"
        elif inside and line and not line.startswith("#"):
            found.append(re.sub(r"\s*=\s*", " = ", line))
    return found
