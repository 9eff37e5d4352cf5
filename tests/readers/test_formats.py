"""Files that are no .pt2 of torch.export.save, as the releases wrote them: make_lowered_fixtures.py made these."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from fuseguard.ir import Graph
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.open import read, read_file
from fuseguard.readers.pt2 import read_pt2
from fuseguard_testkit.forging import pack
from fuseguard_testkit.paths import DATA


def kinds(graph: Graph) -> list[str]:
    return [node.kind for node in graph if node.op == "call"]


def annotated(graph: Graph) -> list[str]:
    return [node.name for node in graph if node.annotated]


def test_an_edge_program_of_exir_serde_is_that_of_torch_export_save() -> None:
    """Of one release and one program: only what the older schema leaves out may differ."""
    exir, saved = read_file(DATA / "conv_cat_edge.exir"), read_pt2(DATA / "conv_cat_edge.pt2")
    assert exir.dialect == saved.dialect == "edge"
    assert list(exir.nodes) == list(saved.nodes)
    for ours, theirs in zip(exir, saved, strict=True):
        assert (ours.op, ours.target, ours.args, ours.kwargs, ours.outputs, ours.module, ours.constant) == (
            theirs.op, theirs.target, theirs.args, theirs.kwargs, theirs.outputs, theirs.module, theirs.constant,
        )  # fmt: skip
        assert [(line.line, line.code) for line in ours.stack] == [(line.line, line.code) for line in theirs.stack]
    assert exir.buffers == saved.buffers != {}
    assert annotated(exir) == annotated(saved) != []
    assert "annotation of Arm's quantizer" in exir.notes[0]
    assert saved.notes == ()


@pytest.mark.parametrize("name", ["conv_cat_edge_1.2.0.exir", "conv_cat_torch26.pt2"])
def test_older_schemas(name: str) -> None:
    graph = read_file(DATA / name)
    assert len(graph.buffers) == 4
    assert {"quantize", "dequantize", "relu", "cat"} <= set(kinds(graph))
    assert annotated(graph)


def test_a_program_of_torch_2_6_is_that_of_torch_2_13() -> None:
    old, new = read_file(DATA / "conv_cat_torch26.pt2"), read_pt2(DATA / "conv_cat.pt2")
    assert [(node.name, node.target, node.args, node.kwargs) for node in old] == [
        (node.name, node.target, node.args, node.kwargs) for node in new
    ]
    assert old.buffers == new.buffers
    assert annotated(old) == annotated(new)


@pytest.mark.parametrize("name", ["conv_cat_lowered.exir", "lowered.etrecord", "conv_cat_lowered_1.2.0.exir"])
def test_a_lowered_program_has_the_subgraph_and_the_tosa_of_its_delegate(name: str) -> None:
    graph = read_file(DATA / name)
    [inside] = graph.subgraphs.values()
    assert inside.name == "lowered_module_0"
    delegate = inside.delegate
    assert delegate is not None
    assert (delegate.backend, delegate.tosa_spec, delegate.fault) == ("TOSABackend", "TOSA-1.0+INT", "")
    assert delegate.tosa is not None
    assert delegate.tosa.version == (1, 0)
    assert "CONCAT" in [op.kind for op in delegate.tosa.ops]
    assert len(delegate.tosa.inputs) == 2
    assert "cat" in kinds(inside)
    [call] = [node for node in graph if node.target.endswith("executorch_call_delegate")]
    assert call.args[0] == "lowered_module_0"
    assert call.subgraphs == ("lowered_module_0",)


def test_the_qparams_inside_of_a_delegate_are_read() -> None:
    inside = read_file(DATA / "conv_cat_lowered.exir").subgraphs["lowered_module_0"]
    whole = read_file(DATA / "conv_cat_edge.exir")
    assert inside.buffers == whole.buffers != {}


def test_each_program_of_an_etrecord_is_read() -> None:
    graph = read_file(DATA / "several.etrecord")
    edge = "edge_dialect_exported_program"
    names = ["exported_program/forward", f"{edge}/forward", f"{edge}/second"]
    assert list(graph.subgraphs) == names
    assert [body.name for body in graph.walk()] == ["", *names]
    assert [body.dialect for body in graph.subgraphs.values()] == ["aten", "edge", "edge"]
    assert "before lowering" in " ".join(graph.subgraphs[names[1]].notes)
    assert kinds(graph.subgraphs[names[2]]).count("dequantize") > 1


def test_each_program_of_a_pt2_is_read() -> None:
    graph = read_file(DATA / "several.pt2")
    assert list(graph.subgraphs) == ["decode", "encode"]
    assert graph.subgraphs["encode"].buffers
    assert "split" in " ".join(node.target for node in graph.subgraphs["decode"])


@pytest.mark.parametrize(
    ("file", "method", "names"),
    [
        ("several.pt2", "encode", ["encode"]),
        ("several.etrecord", "second", ["edge_dialect_exported_program/second"]),
        ("several.etrecord", "forward", ["exported_program/forward", "edge_dialect_exported_program/forward"]),
        ("several.etrecord", "exported_program/forward", ["exported_program/forward"]),
    ],
)
def test_a_method_is_chosen(file: str, method: str, names: list[str]) -> None:
    assert list(read_file(DATA / file, (method,)).subgraphs) == names


def test_a_method_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(UnreadableInput, match=r"no program 'other'; it has 'decode', 'encode'"):
        read_file(DATA / "several.pt2", ("encode", "other"))
    with pytest.raises(UnreadableInput, match="no program 'other'; it has 'forward'"):
        read_file(DATA / "conv_cat_edge.exir", ("other",))
    assert len(read_file(DATA / "conv_cat_edge.exir", ("forward",))) > 1


def test_a_method_of_what_is_no_file() -> None:
    with pytest.raises(ValueError, match="method"):
        read(read_pt2(DATA / "linear.pt2"), ("forward",))


def test_an_etrecord_of_older_releases_has_one_edge_program_without_a_method(tmp_path: Path) -> None:
    """As parse_etrecord still reads it."""
    with zipfile.ZipFile(DATA / "lowered.etrecord") as archive:
        records = {name.replace("program/forward", "program"): archive.read(name) for name in archive.namelist()}
    assert "edge_dialect_exported_program" in records
    assert read_file(pack(tmp_path / "m.etrecord", records)).subgraphs.keys() == {"lowered_module_0"}


@pytest.mark.parametrize("version", ["6.1", "9.0"])
def test_another_schema_is_named(version: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(DATA / "conv_cat_edge.exir") as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    name, major = "serialized_exported_program.json", version.partition(".")[0]
    records[name] = records[name].replace(b'"major": 5', f'"major": {major}'.encode())
    with pytest.raises(UnreadableInput, match=f"schema {major}"):
        read_file(pack(tmp_path / "m.exir", records))


def test_the_name_of_the_file_does_not_matter(tmp_path: Path) -> None:
    shutil.copy(DATA / "several.etrecord", tmp_path / "model.bin")
    assert len(read_file(tmp_path / "model.bin").subgraphs) == 3


@pytest.mark.parametrize("other", ["archive/models/model.json", "serialized_exported_program.json"])
def test_an_archive_of_two_formats_is_refused(other: str, tmp_path: Path) -> None:
    """What is checked must be what torch or executorch loads."""
    with zipfile.ZipFile(DATA / "several.etrecord") as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with pytest.raises(UnreadableInput, match="two formats"):
        read_file(pack(tmp_path / "m.etrecord", records | {other: b"{}"}))
