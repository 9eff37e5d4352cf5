"""What any file may cost: less than 1 GB and a few seconds of the processor, checked and reported, or it is refused."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fuseguard.engine.effort import MAX_ITEMS
from fuseguard.readers import budget, serde
from fuseguard.readers.budget import MAX_ARGUMENTS
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.pt2 import read_pt2
from fuseguard_testkit.forging import MODEL, ROOT, graph_of, node_of, pack, records
from fuseguard_testkit.limited_process import check

pytestmark = pytest.mark.slow

MIB = 2**20
SECONDS = 20  # of the processor, several times what it takes where nothing else runs
NAME = f"{ROOT}/{MODEL}"


def program() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(records()[NAME])
    return value


def filled(place: Callable[[dict[str, Any]], None], filler: str, size: int) -> bytes:
    """The program with as many fillers in a list as make ``size`` bytes."""
    value = program()
    place(value)
    return json.dumps(value).replace('"FILLER"', f"[{','.join([filler] * (size // (len(filler) + 1)))}]").encode()


def _argument(value: dict[str, Any]) -> None:
    node_of(value, "relu.default")["inputs"][0]["arg"] = {"as_ints": "FILLER"}


def _sizes(value: dict[str, Any]) -> None:
    graph_of(value)["tensor_values"]["x"]["sizes"] = "FILLER"


def _inputs(value: dict[str, Any]) -> None:
    node_of(value, "relu.default")["inputs"] = "FILLER"


def _outputs(value: dict[str, Any]) -> None:
    graph_of(value)["outputs"] = "FILLER"


def _results(value: dict[str, Any]) -> None:
    node_of(value, "relu.default")["outputs"] = [{"as_tensors": "FILLER"}]


def _skipped(value: dict[str, Any]) -> None:
    value["guards_code"] = "FILLER"


@pytest.mark.parametrize(
    ("place", "filler"),
    [(_argument, "[]"), (_argument, '{"a":1}'), (_argument, "1e9"), (_argument, '"ab"'), (_sizes, "{}"),
     (_inputs, '{"arg":{}}'), (_skipped, "[]"), (_skipped, '"' + "x" * 1000 + '"')],
)  # fmt: skip
def test_json_of_any_kind(place: Callable[[dict[str, Any]], None], filler: str, tmp_path: Path) -> None:
    path = pack(tmp_path / "m.pt2", records() | {NAME: filled(place, filler, (60 if len(filler) > 100 else 7) * MIB)})
    stays_within(path)


def chain(number: int, unnamed: bool = False) -> bytes:
    """Convolutions that all read one DQ, and whose results leave the program as they are."""
    value = program()
    graph = graph_of(value)
    conv = node_of(value, "conv2d.default")
    for index in range(number):
        copy = json.loads(json.dumps(conv))
        copy["name"] = f"n{index}"
        copy["outputs"] = [{"as_tensor": {"name": f"n{index}"}}]
        graph["tensor_values"][f"n{index}"] = graph["tensor_values"]["conv2d"]
        graph["nodes"].append(copy)
        if unnamed:
            graph["nodes"].append({"target": "torch.ops.a.b.c", "inputs": [], "outputs": [], "metadata": {}})
    graph["outputs"] += [{"as_tensor": {"name": f"n{index}"}} for index in range(number)]
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("place", "filler"),
    [(_argument, "1e9"), (_outputs, '{"as_int":1}'), (_results, '{"name":"relu_unused_0"}')],
)
def test_more_arguments_or_results_than_nodes_have_are_refused(
    place: Callable[[dict[str, Any]], None], filler: str, tmp_path: Path
) -> None:
    """Readers, models and rules walk through them many times: 2 million numbers took as long as 40,000 nodes."""
    size = (MAX_ARGUMENTS + 1) * (len(filler) + 1)
    with pytest.raises(UnreadableInput, match=f"more than {MAX_ARGUMENTS} arguments and results of nodes"):
        read_pt2(pack(tmp_path / "m.pt2", records() | {NAME: filled(place, filler, size)}))


def test_lists_of_lists_count_by_their_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def path(rows: int) -> Path:
        value = program()
        node_of(value, "relu.default")["inputs"][0]["arg"] = {"as_int_lists": [[1] * 9] * rows}
        return pack(tmp_path / "m.pt2", records() | {NAME: json.dumps(value).encode()})

    others = sum(len(node["inputs"]) + 8 for node in graph_of(program())["nodes"])  # 8 is the most that its lists have
    monkeypatch.setattr(budget, "MAX_ARGUMENTS", 1_000 + others)
    read_pt2(path(90))
    with pytest.raises(UnreadableInput, match="arguments and results of nodes"):
        read_pt2(path(110 + others))


@pytest.mark.parametrize("report", ["text", "json", "sarif"])
def test_many_findings_in_one_cluster(report: str, tmp_path: Path) -> None:
    path = pack(tmp_path / "m.pt2", records() | {NAME: chain(3000)})
    assert stays_within(path, report) in (1, 2)  # read and checked, not refused


def stays_within(path: Path, report: str = "text") -> int:
    done = check(path, "--output-format", report)
    assert done.seconds < SECONDS
    assert len(done.stdout) < 64 * MIB
    return done.code


def test_scales_of_stride_0_count_for_the_file_and_not_for_the_tensor(tmp_path: Path) -> None:
    record = f"{ROOT}/data/weights/model_weights_config.json"
    config = json.loads(records()[record])
    for payload in config["config"].values():
        payload["tensor_meta"]["sizes"], payload["tensor_meta"]["strides"] = [{"as_int": 2**20}], [{"as_int": 0}]
        payload["tensor_meta"]["storage_offset"] = {"as_int": 0}
    path = pack(tmp_path / "m.pt2", records() | {record: json.dumps(config).encode()})
    with pytest.raises(UnreadableInput, match="scales, zero points and small constants"):
        read_pt2(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0


def test_made_up_names_take_as_many_steps_as_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each unnamed node gets the first free of c, c_1, c_2 ...: counted, not tried one after the other."""
    reads = 0

    class Counting(set):  # type: ignore[type-arg]
        def __contains__(self, item: object) -> bool:
            nonlocal reads
            reads += 1
            return super().__contains__(item)

    init = serde.GraphReader.__init__

    def counted(self: serde.GraphReader, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self._names = Counting(self._names)

    monkeypatch.setattr(serde.GraphReader, "__init__", counted)
    path = pack(tmp_path / "m.pt2", records() | {NAME: chain(500, unnamed=True)})
    read_pt2(path)
    assert reads < 3 * 500


def tables(number: int) -> bytes:
    """Sigmoids of int16, each with qparams and so with a lookup table of its own."""
    value = program()
    graph = graph_of(value)
    float_type = graph["tensor_values"]["x"]
    names = ("input", "scale", "zero_point", "quant_min", "quant_max", "dtype")

    def add(name: str, target: str, operand: str, scale: float | None = None) -> None:
        numbers = [{"as_float": scale}, {"as_int": 0}, {"as_int": -32767}, {"as_int": 32767}, {"as_scalar_type": 3}]
        arguments = [{"as_tensor": {"name": operand}}, *(numbers if scale else ())]
        called = names if scale else ("self",)
        inputs = [{"name": n, "arg": a, "kind": 1} for n, a in zip(called, arguments, strict=False)]
        graph["tensor_values"][name] = float_type
        graph["nodes"].append({
            "name": name, "target": f"torch.ops.{target}", "inputs": inputs, "outputs": [{"as_tensor": {"name": name}}],
            "metadata": {}, "is_hop_single_tensor_return": None,
        })  # fmt: skip

    for index in range(number):
        for name, operand, scale in ((f"a{index}", "x", 1e-4), (f"c{index}", f"b{index}", 3e-5)):
            own = scale + index * 1e-9
            add(name, "quantized_decomposed.quantize_per_tensor.default", operand, own)
            add(f"{name}_dq", "quantized_decomposed.dequantize_per_tensor.default", name, own)
            if name == f"a{index}":
                add(f"b{index}", "aten.sigmoid.default", f"{name}_dq")
    graph["outputs"] += [{"as_tensor": {"name": f"c{index}_dq"}} for index in range(number)]
    return json.dumps(value).encode()


@pytest.mark.slow
def test_many_different_lookup_tables(tmp_path: Path) -> None:
    """Each takes some milliseconds. A file of 9 MB took 17 s of the processor before their number was limited."""
    assert stays_within(pack(tmp_path / "few.pt2", records() | {NAME: tables(20)})) == 1
    many = tables(MAX_ITEMS * 2)  # two tables each
    assert stays_within(pack(tmp_path / "many.pt2", records() | {NAME: many})) == 2  # a rule says that it failed


@pytest.mark.slow
def test_expressions_guards_and_names_are_looked_through_in_time(tmp_path: Path) -> None:
    value = program()
    graph = graph_of(value)
    value["guards_code"] = [f"L['x'].size()[0] != {index}" for index in range(120_000)]
    graph["sym_int_values"] = {f"s{i}": {"as_expr": {"expr_str": f"2*s{i} + 1"}} for i in range(400_000)}
    path = pack(tmp_path / "m.pt2", records() | {NAME: json.dumps(value).encode()})
    stays_within(path)


def test_too_many_names_are_a_finding_and_not_looked_through(tmp_path: Path) -> None:
    """Four million names took several seconds. What is not analysed must not look harmless."""
    value = program()
    graph_of(value)["custom_obj_values"] = {f"k{index}": 1 for index in range(500_001)}
    path = pack(tmp_path / "m.pt2", records() | {NAME: json.dumps(value, separators=(",", ":")).encode()})
    found = [hazard.text for hazard in read_pt2(path).hazards if hazard.code == "AR906"]
    assert found == ["more than 500,000 names, too many to analyse"]
