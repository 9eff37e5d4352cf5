"""The routes by which torch.export.load runs code of the file must be dead here.

Each payload would make a marker file. See torch/export/pt2_archive/_package.py, torch/_export/serde/serialize.py and
torch/utils/_pytree.py for the loaders that run them.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fuseguard_testkit.forging import forge, graph_of, node_of

SCRIPT = """
import builtins, importlib, pickle, sys
from pathlib import Path
for name in ("load", "loads", "_load", "_loads", "Unpickler", "_Unpickler"):
    setattr(pickle, name, None)  # parsing opcodes needs none of them
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.pt2 import read_pt2
try:
    print(len(read_pt2(Path(sys.argv[1]))) > 0, end=" ")
except UnreadableInput as error:
    print("refused", end=" ")
print([name for name in ("torch", "sympy", "_pytree", "ctypes", "numpy", "evil_module") if name in sys.modules])
"""


class Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.marker), "w"))


def call(marker: Path) -> str:
    return f"open({str(marker)!r}, 'w')"


def sample_inputs(path: Path, marker: Path) -> None:
    forge(path, add={"data/sample_inputs/model.pt": pickle.dumps(Payload(marker))})


def pickled_scales(path: Path, marker: Path) -> None:
    def edit(config: dict[str, Any]) -> None:
        config["config"]["_scale_0"] |= {"use_pickle": True, "path_name": "weight_77"}

    record = "data/weights/model_weights_config.json"
    forge(path, edit=edit, record=record, add={"data/weights/weight_77": pickle.dumps(Payload(marker))})


def opaque_and_custom_constants(path: Path, marker: Path) -> None:
    payload = pickle.dumps(Payload(marker))
    config = {
        name: {"path_name": f"{name}_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
        for name in ("opaque", "custom")
    }
    forge(path, add={
        "data/constants/model_constants_config.json": json.dumps({"config": config}).encode(),
        "data/constants/opaque_obj_0": payload, "data/constants/custom_obj_0": payload,
    })  # fmt: skip


def legacy_weights_and_constants(path: Path, marker: Path) -> None:
    payload = pickle.dumps(Payload(marker))
    forge(path, add={"data/weights/model.pt": payload, "data/constants/model.pt": payload})


def symbolic_expression(path: Path, marker: Path) -> None:
    def edit(program: dict[str, Any]) -> None:
        expression = {"as_expr": {"expr_str": call(marker), "hint": None}}
        graph_of(program)["tensor_values"]["x"]["sizes"][0] = expression
        graph_of(program)["sym_int_values"]["s0"] = expression
        program["range_constraints"] = {call(marker): {"min_val": 1, "max_val": 2}}

    forge(path, edit=edit)


def placeholder_name(path: Path, marker: Path) -> None:
    name = f"x={call(marker)}"

    def rename(value: Any) -> Any:
        if isinstance(value, dict):
            return {name if key == "x" else key: rename(item) for key, item in value.items()}
        if isinstance(value, list):
            return [rename(item) for item in value]
        return name if value == "x" else value

    def edit(program: dict[str, Any]) -> None:
        program.update(rename(program))

    forge(path, edit=edit)


def operator_name(path: Path, marker: Path) -> None:
    def edit(program: dict[str, Any]) -> None:
        node_of(program, "conv2d.default")["target"] = f"torch.ops.aten.__import__('os').{call(marker)}"

    forge(path, edit=edit)


def tree_spec_import(path: Path, marker: Path) -> None:
    (path.parent / "evil_module.py").write_text(f"{call(marker)}\n")
    spec = json.dumps([1, {"type": "collections.defaultdict", "context": json.dumps(
        {"default_factory_module": "evil_module", "default_factory_name": "f", "dict_context": []}
    ), "children_spec": []}])  # fmt: skip

    def edit(program: dict[str, Any]) -> None:
        program["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = spec
        program["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = spec

    forge(path, edit=edit)


def native_library(path: Path, marker: Path) -> None:
    forge(path, add={"data/aotinductor/model/model.so": b"\x7fELF", "data/aotinductor/model/model.cpp": b"int x;"})


def guards(path: Path, marker: Path) -> None:
    forge(path, edit=lambda program: program.update(guards_code=[call(marker)]))


def stack_trace_and_custom_metadata(path: Path, marker: Path) -> None:
    def edit(program: dict[str, Any]) -> None:
        metadata = node_of(program, "conv2d.default")["metadata"]
        metadata["stack_trace"] = f'File "model.py", line 1, in forward\n    {call(marker)}'
        metadata["custom"] = json.dumps({"_arm_annotation_info": call(marker)})
        metadata["torch_fn"] = metadata["source_fn_stack"] = call(marker)

    forge(path, edit=edit)


ROUTES = [
    sample_inputs, pickled_scales, opaque_and_custom_constants, legacy_weights_and_constants, symbolic_expression,
    placeholder_name, operator_name, tree_spec_import, native_library, guards, stack_trace_and_custom_metadata,
]  # fmt: skip


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.__name__)
def test_reading_runs_nothing(route: Callable[[Path, Path], None], tmp_path: Path) -> None:
    path, marker = tmp_path / "forged.pt2", tmp_path / "marker"
    route(path, marker)
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert not marker.exists()
    assert result.stdout.strip() == "True []", result.stdout + result.stderr


def test_the_payload_would_work(tmp_path: Path) -> None:
    """The marker tests prove something only if the payloads are live."""
    marker = tmp_path / "marker"
    pickle.loads(pickle.dumps(Payload(marker))).close()
    assert marker.exists()
