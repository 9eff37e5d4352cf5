"""Routes by which loading a file of exir.serde, of torch 2.6 or an ETRecord runs code, forged with a marker file.

See torch/export/__init__.py, executorch/exir/serde and executorch/devtools/etrecord/_etrecord.py for the loaders. That
ExecuTorch refuses a pickle of more than tensors depends on its release and on torch's, so fuseguard tells every one.
"""

from __future__ import annotations

import base64
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuseguard_testkit.code_routes import call, pickled, renamed, saved_with, tree_spec
from fuseguard_testkit.forging import graph_of, pack
from fuseguard_testkit.paths import DATA

Records = dict[str, bytes]


@dataclass(frozen=True)
class Artifact:
    """A fixture of one format. ``program`` is the record of a program; the others are pickles of it."""

    fixture: str
    program: str
    state: str
    constants: str
    inputs: str


@dataclass(frozen=True)
class Way:
    """``edit`` changes the records so that loading them makes the marker. ``live`` if torch of today still does."""

    name: str
    code: str
    edit: Callable[[Records, Artifact, Path], None]
    live: bool = True


def _zip(fixture: str) -> Artifact:
    return Artifact(
        fixture, "serialized_exported_program.json", "serialized_state_dict.pt", "serialized_constants.pt",
        "serialized_example_inputs.pt",
    )  # fmt: skip


def _record(fixture: str, program: str) -> Artifact:
    return Artifact(fixture, program, f"{program}_state_dict", f"{program}_constants", f"{program}_example_inputs")


ARTIFACTS = (
    _zip("conv_cat_edge.exir"), _zip("conv_cat_edge_1.2.0.exir"), _zip("conv_cat_torch26.pt2"),
    _record("several.etrecord", "exported_program"),
    _record("several.etrecord", "edge_dialect_exported_program/second"),
)  # fmt: skip
LOWERED = (_zip("conv_cat_lowered.exir"), _record("lowered.etrecord", "edge_dialect_exported_program/forward"))


def contents(fixture: str) -> Records:
    with zipfile.ZipFile(DATA / fixture) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def forge_artifact(path: Path, artifact: Artifact, way: Way, marker: Path) -> Path:
    records = contents(artifact.fixture)
    way.edit(records, artifact, marker)
    return pack(path, records)


def _edited(records: Records, artifact: Artifact, edit: Callable[[dict[str, Any]], object]) -> None:
    program = json.loads(records[artifact.program])
    edit(program)
    records[artifact.program] = json.dumps(program).encode()


def _state(records: Records, artifact: Artifact, marker: Path) -> None:
    records[artifact.state] = saved_with(records[artifact.state], pickled(marker))


def _constants(records: Records, artifact: Artifact, marker: Path) -> None:
    records[artifact.constants] = saved_with(records[artifact.constants], pickled(marker))


def _inputs(records: Records, artifact: Artifact, marker: Path) -> None:
    records[artifact.inputs] = pickled(marker)


def _sized(marker: Path) -> Callable[[dict[str, Any]], None]:
    def edit(program: dict[str, Any]) -> None:
        tensors = graph_of(program)["tensor_values"]
        tensor = tensors.get("x") or next(iter(tensors.values()))
        tensor["sizes"][0] = {"as_expr": {"expr_str": call(marker), "hint": None}}

    return edit


def _expression(records: Records, artifact: Artifact, marker: Path) -> None:
    _edited(records, artifact, _sized(marker))


def _input_name(records: Records, artifact: Artifact, marker: Path) -> None:
    def edit(program: dict[str, Any]) -> None:
        last = "y" if "y" in graph_of(program)["tensor_values"] else "x"  # an argument with a default is the last one
        renamed(f"{last}={call(marker)}", last)(program)

    _edited(records, artifact, edit)


def _spec(records: Records, artifact: Artifact, marker: Path) -> None:
    spec = tree_spec(marker, f"evil_{marker.parent.name}")  # torch keeps what it made of a spec
    _edited(records, artifact, lambda program: calls(program).update(out_spec=spec))


def calls(program: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = program["graph_module"]["module_call_graph"][0]["signature"]
    return found


WAYS = (
    Way("state_dict", "AR901", _state, live=False), Way("constants", "AR901", _constants, live=False),
    Way("example_inputs", "AR909", _inputs, live=False), Way("expression", "AR907", _expression),
    Way("input_name", "AR906", _input_name), Way("tree_spec", "AR908", _spec),
)  # fmt: skip


def _delegates(program: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The argument that is a delegate, and what is in it."""
    for node in graph_of(program)["nodes"]:
        if node["target"].endswith("executorch_call_delegate"):
            argument = node["inputs"][0]["arg"]
            yield argument, json.loads(argument["as_string"])


def _inside(edit: Callable[[dict[str, Any], Path], object]) -> Callable[[Records, Artifact, Path], None]:
    """Edits the delegate that a program has."""

    def change(records: Records, artifact: Artifact, marker: Path) -> None:
        program = json.loads(records[artifact.program])
        for argument, lowered in _delegates(program):
            edit(lowered, marker)
            argument["as_string"] = json.dumps(lowered)
        records[artifact.program] = json.dumps(program).encode()

    return change


def _delegate_state(lowered: dict[str, Any], marker: Path) -> None:
    good = base64.b64decode(lowered["original_state_dict"])
    lowered["original_state_dict"] = base64.b64encode(saved_with(good, pickled(marker))).decode()


DELEGATE_WAYS = (
    Way("delegate_state_dict", "AR901", _inside(_delegate_state), live=False),
    Way("delegate_expression", "AR907", _inside(lambda lowered, marker: _sized(marker)(lowered["original_module"]))),
)
