"""TOSA flatbuffers as JSON-like dicts, to be cut, changed and written again.

Written with flatc and Arm's schema, both of which come with executorch. ``lockstep/tosa_graph.py`` only reads, and
needs neither.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: numpy's dtype for what the specification names; INT48 is given to the reference model, and taken from it, as int64.
DTYPES: dict[str, Any] = {
    "BOOL": np.bool_, "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT48": np.int64,
    "FP32": np.float32, "FP16": np.float16, "INT64": np.int64,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class TosaFile:
    """One decoded graph. ``block`` is its main block, in the schema's own names."""

    root: Mapping[str, Any]

    @property
    def block(self) -> dict[str, Any]:
        block: dict[str, Any] = self.root["regions"][0]["blocks"][0]
        return block

    @cached_property
    def producers(self) -> dict[str, dict[str, Any]]:
        return {name: op for op in self.block.get("operators", []) for name in op.get("outputs", [])}

    @cached_property
    def tensors(self) -> dict[str, dict[str, Any]]:
        return {tensor["name"]: tensor for tensor in self.block.get("tensors", [])}

    @cached_property
    def shapes(self) -> dict[str, dict[str, Any]]:
        return {shape["name"]: shape for shape in self.block.get("shapes", [])}

    @cached_property
    def _constants(self) -> dict[str, Array]:
        return {}

    def is_constant(self, name: str) -> bool:
        return name in self.shapes or self.producers.get(name, {}).get("op") == "CONST"

    def constant(self, name: str) -> Array:
        """The value of a CONST or CONST_SHAPE. Raises KeyError if ``name`` is none."""
        if name not in self._constants:
            self._constants[name] = self._decoded(name)
        return self._constants[name]

    def _decoded(self, name: str) -> Array:
        if name in self.shapes:
            data = bytes(self.shapes[name].get("data", []))
            return np.frombuffer(data, np.int64)[: self.shapes[name].get("rank", 0)]
        if not self.is_constant(name):
            raise KeyError(name)
        tensor = self.tensors[name]
        shape = tuple(tensor.get("shape", []))
        count = int(np.prod(shape, dtype=np.int64))
        raw = np.array(tensor["data"], np.uint8)
        dtype = tensor["type"]
        if dtype == "INT4":
            nibbles = np.stack([raw & 15, raw >> 4], -1).reshape(-1)[:count].astype(np.int8)
            return np.where(nibbles > 7, nibbles - 16, nibbles).astype(np.int8).reshape(shape)
        if dtype == "INT48":
            wide = np.zeros((count, 8), np.uint8)
            wide[:, :6] = raw[: 6 * count].reshape(count, 6)
            wide[:, 6:] = np.where(wide[:, 5:6] > 127, 255, 0)
            return wide.reshape(-1).view(np.int64).reshape(shape)
        kind = np.dtype(DTYPES[dtype])
        return raw[: count * kind.itemsize].view(kind).reshape(shape)

    def cut(self, inputs: Iterable[str], outputs: Iterable[str]) -> TosaFile:
        """What computes ``outputs`` from ``inputs``. Raises KeyError where something else is needed, too."""
        given, wanted = list(dict.fromkeys(inputs)), list(dict.fromkeys(outputs))
        needed: set[int] = set()
        seen = set(given)
        pending = [name for name in wanted if name not in seen]
        while pending:
            name = pending.pop()
            if name in seen:
                continue
            seen.add(name)
            op = self.producers[name]
            needed.add(id(op))
            pending += op.get("inputs", [])
        block = self.block
        operators = [op for op in block["operators"] if id(op) in needed]
        named = {name for op in operators for name in (*op.get("inputs", []), *op.get("outputs", []))}
        named |= set(given) | set(wanted)
        # An input that nothing reads is still one: the caller gives arrays in this order.
        return self._with_block({
            **block,
            "operators": operators,
            "inputs": given,
            "outputs": wanted,
            "tensors": [tensor for tensor in block["tensors"] if tensor["name"] in named],
            "shapes": [shape for shape in block.get("shapes", []) if shape["name"] in named],
        })  # fmt: skip

    def _with_block(self, block: dict[str, Any]) -> TosaFile:
        region = self.root["regions"][0]
        return TosaFile({**self.root, "regions": [{**region, "blocks": [block]}]})


@dataclass
class Builder:
    """A new graph, put together op by op. ``version`` is copied from the graph that it belongs to."""

    version: Any
    operators: list[dict[str, Any]] = field(default_factory=list)
    tensors: list[dict[str, Any]] = field(default_factory=list)
    shapes: list[dict[str, Any]] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)

    def tensor(self, shape: Iterable[int], dtype: str, data: Array | None = None) -> str:
        name = f"t{len(self.tensors)}"
        tensor: dict[str, Any] = {"name": name, "shape": [int(size) for size in shape], "type": dtype}
        if data is not None:
            tensor["data"] = encoded(data, dtype)
            self.operators.append({
                "op": "CONST", "attribute_type": "ConstAttribute", "attribute": {}, "inputs": [], "outputs": [name],
            })  # fmt: skip
        self.tensors.append(tensor)
        return name

    def input(self, shape: Iterable[int], dtype: str) -> str:
        name = self.tensor(shape, dtype)
        self.inputs.append(name)
        return name

    def op(self, name: str, attributes: tuple[str, Any], inputs: list[str], shape: Iterable[int], dtype: str) -> str:
        """``attributes``: the type and the value of the attribute table."""
        output = self.tensor(shape, dtype)
        kind, values = attributes
        self.operators.append({
            "op": name, "attribute_type": kind, "attribute": values, "inputs": inputs, "outputs": [output],
        })  # fmt: skip
        return output

    def built(self, outputs: list[str]) -> bytes:
        block = {
            "name": "main", "operators": self.operators, "tensors": self.tensors, "inputs": self.inputs,
            "outputs": outputs, "shapes": self.shapes,
        }  # fmt: skip
        return encode({"version": self.version, "regions": [{"name": "main", "blocks": [block]}]})


def encoded(values: Array, dtype: str) -> list[int]:
    """The bytes of a constant tensor."""
    if dtype == "INT48":
        wide = np.ascontiguousarray(values.astype(np.int64)).reshape(-1)
        return [int(item) for item in wide.view(np.uint8).reshape(-1, 8)[:, :6].reshape(-1)]
    return list(np.ascontiguousarray(values.astype(DTYPES[dtype])).tobytes())


def decode(serialized: bytes) -> TosaFile:
    """Raises RuntimeError if flatc cannot read it."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "graph.tosa").write_bytes(serialized)
        _flatc("--json", "--strict-json", "--raw-binary", "-o", folder, str(_schema()), "--", f"{folder}/graph.tosa")
        return TosaFile(json.loads((work / "graph.json").read_bytes()))


def encode(root: Mapping[str, Any]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "graph.json").write_text(json.dumps(root))
        _flatc("-b", "-o", folder, str(_schema()), f"{folder}/graph.json")
        return (work / "graph.tosa").read_bytes()


def _flatc(*arguments: str) -> None:
    run = subprocess.run([_flatc_program(), *arguments], capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"flatc failed: {(run.stderr or run.stdout).strip()[:300]}")


@cache
def _flatc_program() -> str:
    """Executorch's own flatc. The command of that name which it installs starts a Python interpreter to run it."""
    found = importlib.util.find_spec("executorch.data.bin")
    folders = (found.submodule_search_locations or ()) if found is not None else ()
    own = (Path(folder) / "flatc" for folder in folders)
    return next((str(path) for path in own if path.is_file()), None) or shutil.which("flatc") or "flatc"


@cache
def _schema() -> Path:
    import executorch.backends.arm as arm

    found = sorted(path for root in arm.__path__ for path in Path(root).rglob("tosa_*.fbs"))
    if not found:
        raise RuntimeError("the installed executorch has no TOSA schema (backends/arm/tosa/schemas)")
    return next((path for path in found if path.name == "tosa_1.0.fbs"), found[0])
