"""Reads a program from a file that ``torch.export.save`` wrote, without torch and without running any of it.

``torch.export.load`` runs code from the file: pickles, but also symbolic expressions, placeholder names, tree specs and
native libraries. This reader supports only zip, JSON and raw tensors, and opens only the records that it needs.
``hazards`` looks for what loading would run, and runs none of it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from fuseguard.ir.graph import Graph, Node
from fuseguard.readers.archive import Archive
from fuseguard.readers.budget import MAX_JSON_BYTES, MAX_TENSOR_BYTES, Budget
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.hazards import find_hazards
from fuseguard.readers.reading import SAVE_AGAIN, decoded, reading
from fuseguard.readers.schema import (
    SCHEMA_MAJOR,
    InputSpec,
    MalformedProgram,
    PiecewiseProgram,
    TensorValue,
)
from fuseguard.readers.serde import GraphReader
from fuseguard.readers.tensors import constant_values, tensor_values


class _Version(msgspec.Struct):
    major: int
    minor: int = 0


class _Header(msgspec.Struct):
    schema_version: _Version
    torch_version: str = "unknown"


class _Payload(msgspec.Struct):
    path_name: str
    use_pickle: bool = True
    tensor_meta: TensorValue | None = None


class _PayloadConfig(msgspec.Struct):
    config: dict[str, _Payload]


def read_pt2(path: Path) -> Graph:
    """The graph of the program that torch.export.load takes from a .pt2 file: that called "model", or the only one.

    Raises UnreadableInput, and nothing else, for whatever is wrong with the file, or if it holds several programs.
    """
    with Archive(path) as archive, reading(path):
        found = models(archive)
        if "model" not in found and len(found) > 1:
            raise UnreadableInput(f"{path}: the archive holds {len(found)} programs ({listed(found)}); choose one")
        graph = read_model(archive, "model" if "model" in found else found[0], Budget())
        graph.hazards = find_hazards(archive)
        return graph


def read_model(archive: Archive, model: str, budget: Budget, name: str = "") -> Graph:
    """The graph of one program of an archive, called ``name``.

    Per-channel scales and zero points are read from the archive; no other weight is. The file is opened read-only.
    Raises UnreadableInput, MalformedProgram, OverBudget.
    Source: torch/export/pt2_archive/_package.py and torch/_export/serde/schema.py of torch 2.13.
    """
    program = _decode_program(archive, model, budget)
    signature = program.graph_module.signature
    tensors = _Tensors(archive, model, signature.input_specs, budget)
    reader = GraphReader(
        program.graph_module.graph, signature.input_specs, budget, name, mutations=signature.mutations()
    )
    return reader.read(tensors.values)


def models(archive: Archive) -> list[str]:
    """The names of all programs in an archive, sorted; at least one. Raises UnreadableInput."""
    prefix = f"{archive.root}/models/" if archive.root else "models/"
    records = [name for name in archive.names if name.startswith(prefix)]
    found = [
        name[len(prefix) : -len(".json")]
        for name in records
        if name.endswith(".json") and "/" not in name[len(prefix) :]
    ]
    if found:
        archive.require_one_root()
        for name in records:
            if not name.endswith(".json"):
                # torch cuts off the last five characters of whatever is there (_load_exported_programs).
                raise UnreadableInput(
                    f"{archive.path}: the record {name[:80]!r} is not a .json file, but torch would still load it "
                    f"as a program. torch never writes this, so the file may be forged; {SAVE_AGAIN}"
                )
    if not found:
        raise UnreadableInput(f"{archive.path}: {_why_no_model(archive)}")
    return sorted(found)


def listed(names: list[str]) -> str:
    """At most eight of them, quoted."""
    more = f" and {len(names) - 8:,} more" if len(names) > 8 else ""
    return ", ".join(repr(name[:80]) for name in names[:8]) + more


def _why_no_model(archive: Archive) -> str:
    names = set(archive.names)
    if any(name.endswith("data.pkl") for name in names):
        return (
            "is a pickled checkpoint or TorchScript file, which holds no exported graph and could run code when "
            "loaded; export the model with torch.export and save it with torch.export.save"
        )
    if any("/data/aotinductor/" in name for name in names):
        return "is an AOTInductor package, native code without a graph; pass the program saved with torch.export.save"
    return (
        "the archive has no models/*.json, so there is no program in it. This is what torch.export.save leaves behind "
        "when it fails on a lowered program or on one with an operator that it cannot serialize; save the program "
        "before it is lowered, and make sure that torch.export.save raises no error"
    )


def _decode_program(archive: Archive, model: str, budget: Budget) -> PiecewiseProgram:
    data = archive.read(f"models/{model}.json", MAX_JSON_BYTES)
    budget.json(data)
    # First, because another major version may have another form and must not be called malformed.
    header = decoded(data, _Header)
    version = header.schema_version
    if version.major != SCHEMA_MAJOR:
        raise UnreadableInput(
            f"{archive.path}: has schema version {version.major}.{version.minor} (torch "
            f"{header.torch_version[:40]}), but only version {SCHEMA_MAJOR} can be read reliably; "
            f"{SAVE_AGAIN} of torch 2.7 to 2.13, or look for a newer fuseguard"
        )
    return decoded(data, PiecewiseProgram)


class _Tensors:
    """The raw tensors of one model; each config and record is read when asked for."""

    def __init__(self, archive: Archive, model: str, specs: list[InputSpec], budget: Budget) -> None:
        self._archive = archive
        self._budget = budget
        self._records: dict[str, bytes] = {}
        self._model = model
        self._qualified = dict(tensor for spec in specs if (tensor := spec.tensor()))
        self._configs: dict[str, dict[str, _Payload]] = {}
        self._little = True

    def values(self, nodes: list[Node]) -> dict[str, tuple[float, ...]]:
        """Values of the constants that rules ask for, by placeholder; unknown ones are left out.

        Raises UnreadableInput and MalformedProgram if the archive contradicts itself.
        """
        return constant_values(nodes, self._values)

    def _values(self, placeholder: str) -> tuple[float, ...] | None:
        qualified = self._qualified.get(placeholder)
        if qualified is None:
            return None  # computed in the graph, or an input of the program
        for folder in ("weights", "constants"):
            payload = self._config(folder).get(qualified)
            if payload is not None:
                break
        else:
            return None
        if payload.use_pickle or payload.tensor_meta is None:
            return None  # a pickle is code; the values stay unknown
        if "/" in payload.path_name or "\\" in payload.path_name:
            raise MalformedProgram(f"the tensor {qualified!r} has the record name {payload.path_name[:80]!r}")
        data = self._record(f"data/{folder}/{payload.path_name}")
        return tensor_values(qualified, payload.tensor_meta, data, self._little, self._budget)

    def _record(self, name: str) -> bytes:
        data = self._records.get(name)
        if data is None:
            data = self._records[name] = self._archive.read(name, MAX_TENSOR_BYTES)
            self._budget.tensor(data)
        return data

    def _config(self, folder: str) -> dict[str, _Payload]:
        if folder not in self._configs:
            if not self._configs:
                self._little = self._byte_order() == "little"
            name = f"data/{folder}/{self._model}_{folder}_config.json"
            config: dict[str, _Payload] = {}
            if name in self._archive:
                data = self._archive.read(name, MAX_JSON_BYTES)
                self._budget.json(data)
                try:
                    config = decoded(data, _PayloadConfig).config
                except MalformedProgram as error:
                    raise MalformedProgram(f"{name}: {error}") from error
            self._configs[folder] = config
        return self._configs[folder]

    def _byte_order(self) -> str:
        order = self._archive.read("byteorder", 64).decode("ascii", "replace") if "byteorder" in self._archive else ""
        if order not in ("", "little", "big"):
            raise MalformedProgram(f"the byte order {order[:16]!r} is neither 'little' nor 'big'")
        return order or "little"
