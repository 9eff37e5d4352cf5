"""Whatever is wrong with the JSON or a tensor, the user gets one UnreadableInput and no wrong graph."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.pt2 import read_pt2
from fuseguard_testkit.forging import MODEL, ROOT, forge, graph_of, node_of, pack

WEIGHTS = "data/weights/model_weights_config.json"
QUANTIZE = "quantize_per_tensor.default"
Edit = Callable[[dict[str, Any]], object]


def refused(path: Path, word: str) -> str:
    with pytest.raises(UnreadableInput) as caught:
        read_pt2(path)
    assert word in str(caught.value), str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"null", b"[]", b"{", b"\xff\xfe", b'{"a": NaN}', b'{"schema_version": {"major": Infinity}}',
        b'{"schema_version": {"major": 8}}', b'{"schema_version": {"major": 1e400}}', b'"\\ud800"',
        b'{"schema_version": {"major": ' + b"9" * 10_000 + b"}}",
    ],
)  # fmt: skip
def test_invalid_json(tmp_path: Path, data: bytes) -> None:
    refused(forge(tmp_path / "m.pt2", add={MODEL: data}), "")


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("place", [b'"guards_code": ', b'"graph_module": {"graph": {"inputs": [{"as_graph": '])
def test_deeply_nested_json(tmp_path: Path, opening: bytes, place: bytes) -> None:
    """In a field that is skipped and in one that is decoded."""
    data = b'{"schema_version": {"major": 8}, ' + place + opening * 200_000
    refused(forge(tmp_path / "m.pt2", add={MODEL: data}), "nested too deeply")


def test_other_major_version_is_named_before_anything_is_called_malformed(tmp_path: Path) -> None:
    message = refused(
        forge(tmp_path / "m.pt2", add={MODEL: b'{"schema_version": {"major": 9, "minor": 1}}'}), "schema version 9.1"
    )
    assert "schema (" not in message


def test_unknown_minor_version_and_unknown_fields_are_accepted(tmp_path: Path) -> None:
    def edit(program: dict[str, Any]) -> None:
        program["schema_version"]["minor"] = 999
        program["new"] = {"field": [1]}
        node_of(program, QUANTIZE)["new"] = None
        graph_of(program)["tensor_values"]["x"]["dtype"] = 77

    assert read_pt2(forge(tmp_path / "m.pt2", edit=edit))["x"].outputs[0].dtype == "dtype77"


def set_argument(argument: object) -> Edit:
    def edit(program: dict[str, Any]) -> None:
        node_of(program, QUANTIZE)["inputs"][1]["arg"] = argument

    return edit


@pytest.mark.parametrize(
    "argument",
    [
        None, {}, [], {"as_int": 1, "as_float": 1.0}, {"as_int": "1"}, {"as_int": True}, {"as_int": 2**70},
        {"as_float": "nan"}, {"as_float": "0x1"}, {"as_float": []}, {"as_bool": 1}, {"as_string": 1}, {"as_ints": 3},
        {"as_ints": ["x"]}, {"as_tensor": "x"}, {"as_tensor": {"name": 1}}, {"as_tensor": {"name": []}},
        {"as_tensors": [{}]}, {"as_sym_int": 5}, {"as_sym_int": {"as_name": None}}, {"as_sym_int": {"as_graph": {}}},
        {"as_optional_tensors": [{"as_optional_tensor": {}}]}, {"as_scalar_type": "int8"}, {"as_device": 1},
        {"as_layout": {}}, {"as_memory_format": None}, {"as_complex": {"real": 1}}, {"as_graph": {}},
        {"as_graph": {"name": "g", "graph": {}}}, {"as_custom_obj": {}}, {"as_operator": 3}, {"as_evil": "x"},
        {"as_nested_tensors": [3]}, {"as_string_to_argument": {"a": 1}}, {"as_string_to_argument": []},
    ],
)  # fmt: skip
def test_malformed_argument(tmp_path: Path, argument: object) -> None:
    refused(forge(tmp_path / "m.pt2", edit=set_argument(argument)), "schema")


def test_malformed_argument_says_which_node(tmp_path: Path) -> None:
    refused(forge(tmp_path / "m.pt2", edit=set_argument({"as_evil": 1})), "node 'quantize_per_tensor'")


@pytest.mark.parametrize("key", ["target", "inputs", "outputs", "metadata"])
@pytest.mark.parametrize("value", ["missing", None, 7, [7], {"stack_trace": 7}])
def test_malformed_node(tmp_path: Path, key: str, value: object) -> None:
    def edit(program: dict[str, Any]) -> None:
        node = node_of(program, QUANTIZE)
        if value == "missing":
            del node[key]
        else:
            node[key] = value

    refused(forge(tmp_path / "m.pt2", edit=edit), "schema")


@pytest.mark.parametrize("key", ["inputs", "outputs", "nodes", "tensor_values"])
def test_malformed_graph(tmp_path: Path, key: str) -> None:
    refused(forge(tmp_path / "m.pt2", edit=lambda program: graph_of(program).pop(key)), key)


def test_node_that_uses_an_undefined_name(tmp_path: Path) -> None:
    edit = set_argument({"as_tensor": {"name": "nobody"}})
    refused(forge(tmp_path / "m.pt2", edit=edit), "'nobody', which is not defined before it")


def test_node_that_uses_a_later_node_or_itself(tmp_path: Path) -> None:
    refused(forge(tmp_path / "a.pt2", edit=set_argument({"as_tensor": {"name": "cat"}})), "not defined before it")
    edit = set_argument({"as_tensor": {"name": "quantize_per_tensor"}})
    refused(forge(tmp_path / "b.pt2", edit=edit), "not defined before it")


def test_names_that_occur_twice(tmp_path: Path) -> None:
    def edit(program: dict[str, Any]) -> None:
        graph_of(program)["nodes"].append(graph_of(program)["nodes"][0])

    refused(forge(tmp_path / "m.pt2", edit=edit), "occurs twice")


def test_result_without_a_type(tmp_path: Path) -> None:
    edit: Edit = lambda program: graph_of(program)["tensor_values"].pop("cat")  # noqa: E731
    refused(forge(tmp_path / "m.pt2", edit=edit), "no entry in tensor_values")


def test_two_bodies_under_one_name(tmp_path: Path) -> None:
    """The second would never be checked, or the first."""

    def edit(program: dict[str, Any]) -> None:
        node_of(program, "higher_order.cond")["inputs"][2]["arg"]["as_graph"]["name"] = "true_graph_0"

    refused(forge(tmp_path / "m.pt2", "cond", edit=edit), "both called 'true_graph_0'")


def test_control_flow_nested_without_end(tmp_path: Path) -> None:
    def edit(program: dict[str, Any]) -> None:
        body = json.loads(json.dumps(graph_of(program)))
        for _ in range(40):
            nested = json.loads(json.dumps(graph_of(program)))
            cond = next(node for node in nested["nodes"] if node["target"].endswith("cond"))
            cond["inputs"][1]["arg"] = {"as_graph": {"name": "g", "graph": body}}
            body = nested
        node_of(program, "higher_order.cond")["inputs"][1]["arg"] = {"as_graph": {"name": "g", "graph": body}}

    refused(forge(tmp_path / "m.pt2", "cond", edit=edit), "nested")


def test_hostile_custom_metadata_is_no_annotation(tmp_path: Path) -> None:
    for custom in ("_arm_annotation_info", '["_arm_annotation_info"]', "[" * 100_000 + "_arm_annotation_info"):

        def edit(program: dict[str, Any], custom: str = custom) -> None:
            node_of(program, "conv2d.default")["metadata"]["custom"] = custom

        assert not read_pt2(forge(tmp_path / "m.pt2", edit=edit))["conv2d"].annotated


def first_scales(config: dict[str, Any]) -> dict[str, Any]:
    payload: dict[str, Any] = config["config"]["_scale_0"]
    return payload


def forge_scales(path: Path, **changes: object) -> Path:
    def edit(config: dict[str, Any]) -> None:
        payload = first_scales(config)
        for key, value in changes.items():
            (payload if key in payload else payload["tensor_meta"])[key] = value

    return forge(path, edit=edit, record=WEIGHTS)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"sizes": [{"as_int": 4}]}, "beyond its record"),
        ({"storage_offset": {"as_int": 1}}, "beyond its record"),
        ({"strides": [{"as_int": 2**62}]}, "beyond its record"),
        ({"dtype": 8}, "beyond its record"),
        ({"sizes": [{"as_int": 2**62}], "strides": [{"as_int": 0}]}, "more than"),
        ({"sizes": [{"as_int": -3}]}, "impossible"),
        ({"storage_offset": {"as_int": -1}}, "impossible"),
        ({"strides": []}, "impossible"),
        ({"path_name": "../../../etc/passwd"}, "record name"),
        ({"path_name": "weight_99"}, "missing"),
        ({"path_name": 3}, "schema"),
        ({"sizes": 3}, "schema"),
    ],
)
def test_scales_that_contradict_the_archive(tmp_path: Path, changes: dict[str, Any], word: str) -> None:
    refused(forge_scales(tmp_path / "m.pt2", **changes), word)


@pytest.mark.parametrize("changes", [{"use_pickle": True}, {"tensor_meta": None}, {"dtype": 10}, {"dtype": 99}])
def test_scales_that_cannot_be_read_safely_stay_unknown(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert "b__scale_0" not in read_pt2(forge_scales(tmp_path / "m.pt2", **changes)).buffers


def read_scales(path: Path, data: bytes, order: bytes = b"little", **changes: object) -> tuple[float, ...]:
    forge_scales(path, **changes, path_name="weight_99")
    with zipfile.ZipFile(path) as source:
        contents = {name: source.read(name) for name in source.namelist()}
    contents |= {f"{ROOT}/data/weights/weight_99": data, f"{ROOT}/byteorder": order}
    return read_pt2(pack(path, contents)).buffers["b__scale_0"]


EVERY_SECOND = {"strides": [{"as_int": 2}], "storage_offset": {"as_int": 1}}


@pytest.mark.parametrize(
    ("form", "numbers", "order", "changes", "expected"),
    [
        (
            "<6f",
            (9, 1, 9, 2, 9, 3),
            b"little",
            {"strides": [{"as_int": 2}], "storage_offset": {"as_int": 1}},
            (1, 2, 3),
        ),
        (">3f", (1, 2, 3), b"big", {}, (1, 2, 3)),
        ("<3d", (1, 2, 3), b"little", {"dtype": 8}, (1, 2, 3)),
        ("<3e", (1, 2, 3), b"little", {"dtype": 6}, (1, 2, 3)),
        (">3e", (1, 2, 3), b"big", {"dtype": 6}, (1, 2, 3)),
        ("<3H", (0x3F80, 0x4000, 0x4040), b"little", {"dtype": 13}, (1, 2, 3)),  # bfloat16
        ("<3q", (1, -2, 3), b"little", {"dtype": 5}, (1, -2, 3)),
        ("<3B", (1, 2, 255), b"little", {"dtype": 1}, (1, 2, 255)),
    ],
)
def test_raw_scales_are_decoded_as_the_config_says(
    tmp_path: Path,
    form: str,
    numbers: tuple[int, ...],
    order: bytes,
    changes: dict[str, Any],
    expected: tuple[int, ...],
) -> None:
    assert read_scales(tmp_path / "m.pt2", struct.pack(form, *numbers), order, **changes) == expected


def test_unknown_byte_order(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match="byte order"):
        read_scales(tmp_path / "m.pt2", b"\0" * 12, b"middle")


@pytest.mark.parametrize("data", [b"", b"[]", b'{"config": 3}', b"\xff", b"[" * 200_000])
def test_malformed_tensor_config(tmp_path: Path, data: bytes) -> None:
    refused(forge(tmp_path / "m.pt2", add={WEIGHTS: data}), "")


def test_program_without_tensors_is_read_with_unknown_scales(tmp_path: Path) -> None:
    assert not read_pt2(forge(tmp_path / "m.pt2", remove=(WEIGHTS,))).buffers


def _swap_qparams(program: dict[str, Any]) -> None:
    """Rules go by positions, and torch by the names."""
    inputs = node_of(program, QUANTIZE)["inputs"]
    inputs[3], inputs[4] = inputs[4], inputs[3]


def _keyword_of_another_op(program: dict[str, Any]) -> None:
    node_of(program, "conv2d.default")["inputs"].append({"name": "x", "arg": {"as_int": 1}, "kind": 2})


def _other_kind(program: dict[str, Any]) -> None:
    node_of(program, "conv2d.default")["inputs"][0]["kind"] = 3


def _result_of_another_name(program: dict[str, Any]) -> None:
    """Read as one of several results, it would put a getitem after the convolution, which hides it from the rules."""
    node_of(program, "conv2d.default")["name"] = "convolution"


def _attribute_of_an_operator(program: dict[str, Any]) -> None:
    node_of(program, "conv2d.default")["target"] += "._op"


@pytest.mark.parametrize(
    ("edit", "word"),
    [
        (_swap_qparams, "'quant_max' is not where the operator's schema has it"),
        (_keyword_of_another_op, "'x' is not where the operator's schema has it"),
        (_other_kind, "is of kind 3"),
        (_result_of_another_name, "another name"),
        (_attribute_of_an_operator, "namespace, name and overload"),
    ],
)
def test_what_torch_would_read_otherwise_is_refused(tmp_path: Path, edit: Edit, word: str) -> None:
    refused(forge(tmp_path / "m.pt2", edit=edit), word)


def test_an_argument_without_a_kind_is_placed_as_torch_does(tmp_path: Path) -> None:
    """Files of the first minor versions have none: an argument with a default is a keyword then."""

    def edit(program: dict[str, Any]) -> None:
        for argument in node_of(program, "conv2d.default")["inputs"]:
            del argument["kind"]

    node = read_pt2(forge(tmp_path / "m.pt2", edit=edit))["conv2d"]
    assert len(node.args) == 2
    assert list(node.kwargs)[:1] == ["bias"]
