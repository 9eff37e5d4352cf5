"""Reads a program from a file that ``torch.export.save`` wrote, without torch and without running any of it.

``torch.export.load`` runs code that the file brings along: pickles, but also symbolic expressions, placeholder
names, tree specs and native libraries. This reader knows zip, JSON and raw tensors alone, and opens only the
records it needs. ``data/sample_inputs``, pickled constants and ``data/aotinductor`` are never opened.
"""

from __future__ import annotations

import gc
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from fuseguard.ir.graph import Graph, Node, constants_to_read
from fuseguard.readers.archive import Archive
from fuseguard.readers.budget import MAX_JSON_BYTES, MAX_QPARAM_VALUES, MAX_TENSOR_BYTES, Budget, OverBudget
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.schema import (
    DTYPES,
    SCHEMA_MAJOR,
    InputSpec,
    MalformedProgram,
    SerializedProgram,
    TensorValue,
)
from fuseguard.readers.serde import GraphReader

# struct's characters. bfloat16 is the upper half of a float32.
_STRUCT_CODES = {
    "uint8": "B", "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint16": "H", "uint32": "I", "uint64": "Q",
    "float16": "e", "float32": "f", "float64": "d", "bool": "B", "bfloat16": "H",
}  # fmt: skip
T = TypeVar("T")
_SAVE_AGAIN = "save it again with torch.export.save"


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
    """The graph of the program in a .pt2 file, control-flow bodies included.

    Per-channel scales and zero points are read from the archive; no other weight is. The file is opened read-only.
    Raises UnreadableInput, and nothing else, for whatever is wrong with the file.
    Source: torch/export/pt2_archive/_package.py and torch/_export/serde/schema.py of torch 2.13.
    """
    with Archive(path) as archive, _collector_paused():
        try:
            budget = Budget()
            model = _choose_model(archive)
            program = _decode_program(archive, model, budget)
            signature = program.graph_module.signature
            tensors = _Tensors(archive, model, signature.input_specs, budget)
            reader = GraphReader(
                program.graph_module.graph, signature.input_specs, budget, mutations=signature.mutations()
            )
            return reader.read(tensors.values)
        except OverBudget as error:
            raise UnreadableInput(
                f"{path}: the program has more than {error}, which are refused to protect memory and time; check a "
                f"smaller program"
            ) from error
        except MalformedProgram as error:
            raise UnreadableInput(
                f"{path}: the program does not follow torch.export's schema ({str(error)[:400]}), so the file is "
                f"damaged or forged; {_SAVE_AGAIN}"
            ) from error
        except (RecursionError, MemoryError) as error:
            raise UnreadableInput(
                f"{path}: the program is nested too deeply or needs too much memory to be read safely; if it is "
                f"genuine, {_SAVE_AGAIN} in smaller parts"
            ) from error


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No collector runs while many objects that all live are made; they cost a third of the time otherwise."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _choose_model(archive: Archive) -> str:
    prefix = f"{archive.root}/models/" if archive.root else "models/"
    records = [name for name in archive.names if name.startswith(prefix)]
    models = [
        name[len(prefix) : -len(".json")]
        for name in records
        if name.endswith(".json") and "/" not in name[len(prefix) :]
    ]
    if models:
        archive.require_one_root()
        for name in records:
            if not name.endswith(".json"):
                # torch cuts off the last five characters of whatever is there (_load_exported_programs).
                raise UnreadableInput(
                    f"{archive.path}: the record {name[:80]!r} is no .json, and torch would load it as a program "
                    f"all the same. torch never writes this, so the file may be forged; {_SAVE_AGAIN}"
                )
    if "model" in models:
        return "model"
    if len(models) == 1:
        return models[0]
    if models:
        raise UnreadableInput(
            f"{archive.path}: the archive holds {len(models)} programs ({', '.join(map(repr, sorted(models)[:8]))}) "
            f"and none is called 'model', so it is not clear which to check; save one program per file"
        )
    raise UnreadableInput(f"{archive.path}: {_why_no_model(archive)}")


def _why_no_model(archive: Archive) -> str:
    names = set(archive.names)
    if "serialized_exported_program.json" in names:
        version = archive.read("version", 64).decode("ascii", "replace") if "version" in names else ""
        if version.startswith("5"):
            return (
                "was written by executorch.exir.serde (schema 5), which this version does not read yet; save the "
                "program with torch.export.save before it is lowered"
            )
        return (
            f"was written by torch.export.save of torch 2.6 or older (schema {version or 'unknown'}), which this "
            f"version does not read yet; {_SAVE_AGAIN} of torch 2.7 or newer"
        )
    if any(name.rpartition("/")[2].lower().startswith("etrecord") for name in names):
        return "is an ETRecord, which this version does not read yet; pass the program saved with torch.export.save"
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
        "before it is lowered, and see to it that torch.export.save raises nothing"
    )


def _decode_program(archive: Archive, model: str, budget: Budget) -> SerializedProgram:
    data = archive.read(f"models/{model}.json", MAX_JSON_BYTES)
    budget.json(data)
    # First, because another major version may have another form and must not be called malformed.
    header = _decode(data, _Header)
    version = header.schema_version
    if version.major != SCHEMA_MAJOR:
        raise UnreadableInput(
            f"{archive.path}: has schema version {version.major}.{version.minor} (torch "
            f"{header.torch_version[:40]}), and only version {SCHEMA_MAJOR} can be read without guessing; "
            f"{_SAVE_AGAIN} of torch 2.7 to 2.13, or look for a newer fuseguard"
        )
    return _decode(data, SerializedProgram)


def _decode(data: bytes, kind: type[T]) -> T:
    """Raises MalformedProgram."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise MalformedProgram(str(error)) from error


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
        read = ((name, self._values(name)) for name in constants_to_read(nodes))
        return {name: values for name, values in read if values is not None}

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
        return self._decode(qualified, payload.tensor_meta, self._record(f"data/{folder}/{payload.path_name}"))

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
                    config = _decode(data, _PayloadConfig).config
                except MalformedProgram as error:
                    raise MalformedProgram(f"{name}: {error}") from error
            self._configs[folder] = config
        return self._configs[folder]

    def _byte_order(self) -> str:
        order = self._archive.read("byteorder", 64).decode("ascii", "replace") if "byteorder" in self._archive else ""
        if order not in ("", "little", "big"):
            raise MalformedProgram(f"the byte order {order[:16]!r} is neither 'little' nor 'big'")
        return order or "little"

    def _decode(self, name: str, value: TensorValue, data: bytes) -> tuple[float, ...] | None:
        dtype = DTYPES.get(value.dtype, "")
        sizes = [size.as_int for size in value.sizes]
        strides = [stride.as_int for stride in value.strides]
        offset = value.storage_offset.as_int
        if not data or offset is None or None in sizes or None in strides:
            return None  # torch stores nothing for a fake tensor
        layout = [(size or 0, stride or 0) for size, stride in zip(sizes, strides, strict=False)]
        if len(sizes) != len(strides) or offset < 0 or any(size < 0 or stride < 0 for size, stride in layout):
            raise MalformedProgram(f"the tensor {name!r} has impossible sizes, strides or offset")
        code = _STRUCT_CODES.get(dtype)
        if code is None:
            return None  # no type that scales and zero points have
        positions = self._positions(offset, layout)
        item = struct.Struct(f"{'<' if self._little else '>'}{code}")
        if positions and (max(positions) + 1) * item.size > len(data):
            raise MalformedProgram(f"the tensor {name!r} reaches beyond its record of {len(data)} bytes")
        if dtype == "bfloat16":
            wide = struct.Struct("<f")
            codes = (item.unpack_from(data, position * item.size)[0] for position in positions)
            return tuple([wide.unpack((upper << 16).to_bytes(4, "little"))[0] for upper in codes])
        return tuple([float(item.unpack_from(data, position * item.size)[0]) for position in positions])

    def _positions(self, offset: int, layout: list[tuple[int, int]]) -> list[int]:
        """Where the elements are, counted from the start of the record; as many as the budget has left."""
        positions = [offset]
        for size, stride in layout:
            # A stride of 0 would name any number of values with few bytes.
            if len(positions) * size > MAX_QPARAM_VALUES:
                raise OverBudget(f"{MAX_QPARAM_VALUES} scales, zero points and small constants")
            positions = [start + index * stride for start in positions for index in range(size)]
        self._budget.qparam_values(len(positions))
        return positions
