"""Lowered programs and those of the older schema give the graph of the live program, delegates and TOSA included."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from make_fixtures import programs
from make_lowered_fixtures import etrecord, exir_file, lowered, torch26_file

from fuseguard.ir import Graph, Node
from fuseguard.readers.budget import Budget
from fuseguard.readers.open import read_file
from fuseguard.readers.pt2 import read_pt2
from fuseguard.readers.tosa import read_tosa
from fuseguard_testkit.paths import DATA

pytestmark = [pytest.mark.torch, pytest.mark.slow]


@pytest.fixture(scope="module")
def live_programs() -> dict[str, Any]:
    return programs()


@pytest.fixture(scope="module")
def lowered_programs(live_programs: dict[str, Any]) -> dict[str, Any]:
    """Fully delegated, and with the convolution on the CPU."""
    return {
        "all": lowered(live_programs["conv_cat"]).exported_program(),
        "guarded": lowered(live_programs["conv_cat"], guarded=True).exported_program(),
        "linear": lowered(live_programs["linear"]).exported_program(),
        "split_add": lowered(live_programs["split_add"]).exported_program(),
    }


def comparable(node: Node) -> dict[str, Any]:
    """What the older schema keeps."""
    fields: dict[str, Any] = {
        "name": node.name, "op": node.op, "target": node.target, "args": node.args, "kwargs": dict(node.kwargs),
        "outputs": node.outputs, "constant": node.constant, "subgraphs": node.subgraphs, "annotated": node.annotated,
    }  # fmt: skip
    if node.op == "call" and not node.target.endswith(("getitem", "executorch_call_delegate")):
        fields |= {"stack": node.stack, "module": node.module}
    return fields


def assert_same(found: Graph, live: Graph) -> None:
    assert [(graph.name, graph.dialect) for graph in found.walk()] == [
        (graph.name, graph.dialect) for graph in live.walk()
    ]
    for ours, theirs in zip(found.walk(), live.walk(), strict=True):
        assert {name: comparable(node) for name, node in ours.nodes.items()} == {
            name: comparable(node) for name, node in theirs.nodes.items()
        }
        assert ours.buffers == theirs.buffers
        assert ours.delegate == theirs.delegate


@pytest.mark.parametrize("name", ["all", "guarded", "linear", "split_add"])
def test_a_lowered_program(name: str, lowered_programs: dict[str, Any], tmp_path: Path) -> None:
    from fuseguard.readers.fx import read_program

    path = tmp_path / "m.exir"
    path.write_bytes(exir_file(lowered_programs[name]))
    found, live = read_file(path), read_program(lowered_programs[name])
    assert_same(found, live)
    assert any(graph.delegate is not None and graph.delegate.tosa for graph in found.walk())


def test_a_live_lowered_program_has_the_findings_of_its_file(lowered_programs: dict[str, Any], tmp_path: Path) -> None:
    """It used to be reported as not quantized, or of a crash of what runs on the CPU."""
    import fuseguard

    for name, codes in (("all", ["FU101", "PG807"]), ("guarded", [])):
        path = tmp_path / f"{name}.exir"
        path.write_bytes(exir_file(lowered_programs[name]))
        reports = [fuseguard.check(item, "TOSA-1.0+INT", "1.5.1") for item in (lowered_programs[name], path)]
        for report in reports:
            assert sorted(finding.code for finding in report.findings) == codes
            assert report.quantized
        assert [item.fingerprint for item in reports[0].findings] == [item.fingerprint for item in reports[1].findings]


def test_an_edge_program_and_that_of_an_etrecord(live_programs: dict[str, Any], tmp_path: Path) -> None:
    from fuseguard.readers.fx import read_program

    path = tmp_path / "m.exir"
    path.write_bytes(exir_file(live_programs["conv_cat_edge"]))
    assert_same(read_file(path), read_program(live_programs["conv_cat_edge"]))
    record = tmp_path / "m.etrecord"
    record.write_bytes(etrecord({"forward": live_programs["linear"]}))
    aten, edge = read_file(record).subgraphs.values()
    assert [node.target for node in aten] == [node.target for node in read_program(live_programs["linear"])]
    assert [node.name for node in aten if node.annotated] == [
        node.name for node in read_program(live_programs["linear"]) if node.annotated
    ]
    assert edge.dialect == "edge"


def test_a_program_of_torch_2_6(live_programs: dict[str, Any], tmp_path: Path) -> None:
    """torch still loads it, so both read one program."""
    import torch

    from fuseguard.readers.fx import read_program

    path = tmp_path / "m.pt2"
    path.write_bytes(torch26_file(live_programs["conv_cat"]))
    assert_same(read_file(path), read_program(torch.export.load(path)))


def test_torch_cannot_load_an_edge_program_that_is_read_here() -> None:
    import torch

    with pytest.raises(Exception, match=r"\w"):
        torch.export.load(DATA / "conv_cat_edge.pt2")
    assert read_pt2(DATA / "conv_cat_edge.pt2").dialect == "edge"


def test_the_tosa_is_what_the_classes_of_tosa_tools_read(lowered_programs: dict[str, Any]) -> None:
    from tosa.DType import DType
    from tosa.Op import Op
    from tosa.TosaGraph import TosaGraph

    ops = {value: name for name, value in vars(Op).items() if isinstance(value, int)}
    dtypes = {value: name for name, value in vars(DType).items() if isinstance(value, int)}
    compared = 0
    for name in ("all", "split_add"):
        program = lowered_programs[name]
        for attribute in ("lowered_module_0",):
            data = bytes(getattr(program.graph_module, attribute).processed_bytes)
            ours, graph = read_tosa(data, Budget()), TosaGraph.GetRootAs(data, 0)
            block = graph.Regions(0).Blocks(0)
            assert ours.version == (graph.Version()._Major(), graph.Version()._Minor())
            assert list(ours.inputs) == [block.Inputs(i).decode() for i in range(block.InputsLength())]
            assert list(ours.outputs) == [block.Outputs(i).decode() for i in range(block.OutputsLength())]
            theirs = [block.Operators(i) for i in range(block.OperatorsLength())]
            assert [(op.kind, list(op.inputs), list(op.outputs)) for op in ours.ops] == [
                (
                    ops[op.Op()],
                    [op.Inputs(i).decode() for i in range(op.InputsLength())],
                    [op.Outputs(i).decode() for i in range(op.OutputsLength())],
                )
                for op in theirs
            ]
            tensors = [block.Tensors(i) for i in range(block.TensorsLength())]
            assert {item.name: (item.dtype, item.shape) for item in ours.tensors.values()} == {
                item.Name().decode(): (dtypes[item.Type()], tuple(item.Shape(i) for i in range(item.ShapeLength())))
                for item in tensors
            }
            for item in tensors:
                values = ours.tensors[item.Name().decode()].values
                if values is not None:
                    raw = bytes(item.Data(i) for i in range(item.DataLength()))
                    width = len(raw) // len(values)
                    assert values == tuple(
                        int.from_bytes(raw[i : i + width], "little", signed=True) for i in range(0, len(raw), width)
                    )
                    compared += 1
    assert compared > 5


def test_the_names_of_operators_and_dtypes_are_those_of_tosa_tools() -> None:
    from tosa.Attribute import Attribute
    from tosa.DType import DType
    from tosa.Op import Op

    from fuseguard.readers import tosa

    for ours, theirs in ((tosa._OPS, Op), (tosa._DTYPES, DType)):
        known = {value: name for name, value in vars(theirs).items() if isinstance(value, int)}
        assert [known[number] for number in range(min(len(ours), len(known)))] == ours[: len(known)]
    assert Attribute.ClampAttribute == tosa._CLAMP_ATTRIBUTE


def test_the_committed_files_are_of_the_schemas_that_are_spoken_of() -> None:
    versions = {}
    for name in ("conv_cat_edge.exir", "conv_cat_edge_1.2.0.exir"):
        with zipfile.ZipFile(DATA / name) as archive:
            version = json.loads(archive.read("serialized_exported_program.json"))["schema_version"]
            versions[name] = (version["major"], version["minor"])
    assert versions == {"conv_cat_edge.exir": (5, 4), "conv_cat_edge_1.2.0.exir": (5, 3)}
