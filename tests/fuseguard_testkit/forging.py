"""Forged copies of a good .pt2 file: one record, name or byte changed at a time."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fuseguard_testkit.paths import DATA

ROOT = "archive"
MODEL = "models/model.json"


def records(fixture: str = "conv_cat") -> dict[str, bytes]:
    """Every record of a fixture by its full name."""
    with zipfile.ZipFile(DATA / f"{fixture}.pt2") as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def pack(path: Path, contents: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in contents.items():
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return path


def forge(
    path: Path,
    fixture: str = "conv_cat",
    add: Mapping[str, bytes] | None = None,
    remove: tuple[str, ...] = (),
    edit: Callable[[dict[str, Any]], object] | None = None,
    record: str = MODEL,
) -> Path:
    """A copy of a fixture with records added or removed and the JSON of ``record`` edited in place."""
    contents = {name: data for name, data in records(fixture).items() if name.removeprefix(f"{ROOT}/") not in remove}
    for name, data in (add or {}).items():
        contents[f"{ROOT}/{name}"] = data
    if edit:
        value = json.loads(contents[f"{ROOT}/{record}"])
        edit(value)
        contents[f"{ROOT}/{record}"] = json.dumps(value).encode()
    return pack(path, contents)


def listing_of(path: Path) -> int:
    """Where the table of contents starts. A search would find that of the archive inside sample_inputs."""
    with zipfile.ZipFile(path) as archive:
        return archive.start_dir


def graph_of(program: dict[str, Any]) -> dict[str, Any]:
    graph: dict[str, Any] = program["graph_module"]["graph"]
    return graph


def node_of(program: dict[str, Any], target: str) -> dict[str, Any]:
    """The first node whose target ends with ``target``."""
    return next(node for node in graph_of(program)["nodes"] if node["target"].endswith(target))


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a JSON value, outermost first."""
    keys: Any = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])
