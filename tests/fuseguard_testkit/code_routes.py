"""The nine routes by which torch.export.load runs code of the file, each forged with a marker file for a payload.

See torch/export/pt2_archive/_package.py, torch/_export/serde/serialize.py, torch/export/_unlift.py, torch/fx/graph.py
and torch/utils/_pytree.py for the loaders that run them.
"""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuseguard_testkit.forging import forge, graph_of, records

WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
SAMPLE_INPUTS = "data/sample_inputs/model.pt"


class Payload:
    """Makes the marker when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.marker), "w"))


@dataclass(frozen=True)
class Route:
    """``forge`` writes a file whose code makes the marker, ``code`` is the finding that says so."""

    name: str
    code: str
    forge: Callable[[Path, Path], object]


def call(marker: Path) -> str:
    return f"open({str(marker)!r}, 'w')"


def pickled(marker: Path) -> bytes:
    return pickle.dumps(Payload(marker))


def _pickled_tensor(record: str, folder: str, tensor: str, name: str) -> Callable[[Path, Path], object]:
    def make(path: Path, marker: Path) -> None:
        def edit(config: dict[str, Any]) -> None:
            known = config["config"].get(tensor, {"is_param": False, "tensor_meta": None})
            config["config"][tensor] = known | {"use_pickle": True, "path_name": name}

        forge(path, edit=edit, record=record, add={f"{folder}/{name}": pickled(marker)})

    return make


def _opaque(path: Path, marker: Path) -> None:
    _pickled_tensor(CONSTANTS, "data/constants", "thing", "opaque_obj_0")(path, marker)


def _legacy(folder: str) -> Callable[[Path, Path], object]:
    return lambda path, marker: forge(path, add={f"data/{folder}/model.pt": pickled(marker)})


def _native(path: Path, marker: Path) -> None:
    source, library = path.with_suffix(".c"), path.with_suffix(".so")
    source.write_text(
        "#include <stdio.h>\n"
        f'__attribute__((constructor)) void f(void) {{ FILE *f = fopen("{marker}", "w"); if (f) fclose(f); }}\n'
    )
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    device = json.dumps({"AOTI_DEVICE_KEY": "cpu"}).encode()
    forge(path, add={
        "data/aotinductor/model/model.wrapper.so": library.read_bytes(),
        "data/aotinductor/model/model.wrapper_metadata.json": device,
    })  # fmt: skip


def _guard(path: Path, marker: Path) -> None:
    # Torch's message for it has no line breaks, so that all after the sign is a comment there.
    code = f"1 #\n)\n{call(marker)}\ndef more():\n  (0"
    forge(path, edit=lambda program: program.update(guards_code=[code]))


def renamed(name: str, old: str = "x") -> Callable[[dict[str, Any]], None]:
    def rename(value: Any) -> Any:
        if isinstance(value, dict):
            return {name if key == old else key: rename(item) for key, item in value.items()}
        if isinstance(value, list):
            return [rename(item) for item in value]
        return name if value == old else value

    return lambda program: program.update(rename(program))


def _input_name(path: Path, marker: Path) -> None:
    forge(path, "split", edit=renamed(f"x={call(marker)}"))


def _argument_name(path: Path, marker: Path) -> None:
    """Names that only the head of the generated function has."""

    # FX pastes it twice. From the first to the second place, all is the text of another function.
    name = f"x):\n    return\n{call(marker)}\ndef more(x):\n    '''#"

    def edit(program: dict[str, Any]) -> None:
        program["graph_module"]["module_call_graph"][0]["signature"]["forward_arg_names"] = [name]

    forge(path, "split", edit=edit)


def _expression(path: Path, marker: Path) -> None:
    def edit(program: dict[str, Any]) -> None:
        graph_of(program)["tensor_values"]["x"]["sizes"][0] = {"as_expr": {"expr_str": call(marker), "hint": None}}

    forge(path, edit=edit)


_DEFAULT_DICT = "collections.defaultdict"


def _factory(module: str) -> dict[str, Any]:
    return {"default_factory_module": module, "default_factory_name": "f", "dict_context": []}


def tree_spec(marker: Path, module: str = "evil_factory", context: Any = None, kind: str = _DEFAULT_DICT) -> str:
    """A tree spec that imports ``module``, which makes the marker and is written beside it."""
    (marker.parent / f"{module}.py").write_text(f"{call(marker)}\nf = list\n")
    return json.dumps([1, {"type": kind, "context": context or _factory(module), "children_spec": []}])


def _tree_spec(module: str, context: Any, kind: str) -> Callable[[Path, Path], object]:
    def make(path: Path, marker: Path) -> None:
        spec = tree_spec(marker, module, context, kind)

        def edit(program: dict[str, Any]) -> None:
            program["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = spec

        forge(path, edit=edit)

    return make


_ENUM = json.dumps([{"__enum__": True, "fqn": "evil_enum:E", "name": "A"}])


def _sample_inputs(path: Path, marker: Path) -> None:
    forge(path, add={SAMPLE_INPUTS: pickled(marker)})


def saved_with(good: bytes, data: bytes) -> bytes:
    """A file of torch.save in which the pickle alone is another one."""
    inner = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as source, zipfile.ZipFile(inner, "w") as forged:
        for info in source.infolist():
            forged.writestr(
                zipfile.ZipInfo(info.filename), data if info.filename.endswith("data.pkl") else source.read(info)
            )
    return inner.getvalue()


def _sample_inputs_inside(path: Path, marker: Path) -> None:
    forge(path, add={SAMPLE_INPUTS: saved_with(records()[f"archive/{SAMPLE_INPUTS}"], pickled(marker))})


ROUTES = (
    Route("pickled_weight", "AR901", _pickled_tensor(WEIGHTS, "data/weights", "_scale_0", "weight_77")),
    Route("pickled_constant", "AR901", _pickled_tensor(CONSTANTS, "data/constants", "more", "tensor_77")),
    Route("opaque_object", "AR902", _opaque),
    Route("legacy_weights", "AR903", _legacy("weights")),
    Route("legacy_constants", "AR903", _legacy("constants")),
    Route("native_library", "AR904", _native),
    Route("guard", "AR905", _guard),
    Route("input_name", "AR906", _input_name),
    Route("argument_name", "AR906", _argument_name),
    Route("expression", "AR907", _expression),
    Route("tree_spec_factory", "AR908", _tree_spec("evil_factory", _factory("evil_factory"), _DEFAULT_DICT)),
    Route("tree_spec_enum", "AR908", _tree_spec("evil_enum", _ENUM, "builtins.dict")),
    Route("sample_inputs", "AR909", _sample_inputs),
    Route("sample_inputs_inside", "AR909", _sample_inputs_inside),
)  # fmt: skip
