"""Whatever else people pass to ``fuseguard check`` is named, with what to check in its place, and exits with 3."""

from __future__ import annotations

import io
import json
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fuseguard.cli.main import cli
from fuseguard_testkit.cli_process import environment
from fuseguard_testkit.forging import forge, node_of
from fuseguard_testkit.paths import DATA


def check(*args: str) -> Result:
    return CliRunner().invoke(cli, ["check", "--no-config", *args, "--executorch", "1.5.1"])


def _safetensors() -> bytes:
    header = json.dumps({"weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(header)) + header + b"\0" * 4


def _legacy_pickle() -> bytes:
    """How torch.save began a file before 1.6: magic number, protocol version, system information, then the object."""
    parts = (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}, {"weight": 1})
    return b"".join(pickle.dumps(part, 2) for part in parts)


def _onnx() -> bytes:
    """ModelProto: ir_version 8, producer_name "pytorch", producer_version."""
    return b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\x10" + b"\0" * 16


def _checkpoint() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({"weight": 1}, 2))
        archive.writestr("model/version", "3\n")
    return buffer.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22e\nsize 12345\n"
KINDS: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "pointer.pt2": (POINTER, ("Git LFS pointer", "git lfs pull")),
    "model.tosa": (b"\x1c\0\0\0TOSA" + b"\0" * 56, ("TOSA flatbuffer", "before lowering")),
    "model.vgf": (b"VGF1" + b"\0" * 60, ("VGF file", "before lowering")),
    "model.onnx": (_onnx(), ("ONNX", ".pt2")),
    "without-producer.onnx": (b"\x08\x0a:\x10" + b"\0" * 16 + b"B\x04\n\0\x10\x11", ("ONNX", ".pt2")),
    "model.safetensors": (_safetensors(), ("safetensors", "holds weights and no program")),
    "model.pth": (_legacy_pickle(), ("is a pickle", "runs code when it is loaded", ".pt2")),
    "checkpoint.pt": (_checkpoint(), ("pickled checkpoint", "torch.export.save")),
    "model.pte": (b"\x1c\0\0\0ET12" + b"\0" * 56, ("ExecuTorch program", ".pt2")),
    "empty.pt2": (b"", ("the file is empty", "torch.export.save")),
    "text.pt2": (b"hello, world\n", ("is not a zip archive", "torch.export.save")),
}


@pytest.mark.parametrize("name", KINDS)
def test_another_kind_of_file(name: str, tmp_path: Path) -> None:
    data, words = KINDS[name]
    path = tmp_path / name
    path.write_bytes(data)
    done = check(str(path))
    assert done.exit_code == 3, done.output
    assert not [word for word in words if word not in done.stderr], done.stderr
    assert name in done.stderr
    assert len(done.stderr.splitlines()) == 1
    if name != "text.pt2":
        assert "not a zip archive" not in done.stderr


@pytest.mark.parametrize("name", ["-", ""])
def test_a_name_that_is_none(name: str) -> None:
    done = check(name)
    assert done.exit_code == 3, done.output
    assert {"-": "cannot be read from stdin", "": "the path is empty"}[name] in done.stderr
    assert ".pt2" in done.stderr


def test_stdin_is_not_waited_for() -> None:
    command = [sys.executable, "-m", "fuseguard.cli.main", "check", "--no-config", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as process:
        assert process.wait(timeout=60) == 3


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    (folder / "older").mkdir(parents=True)
    for name in ("b.pt2", "a.pt2", "notes.txt", "older/c.pt2"):
        (folder / name).write_bytes((DATA / "linear.pt2").read_bytes())
    (folder / "r.etrecord").write_bytes((DATA / "several.etrecord").read_bytes())
    return folder


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_directory_stands_for_the_programs_in_it(models: Path, slash: str) -> None:
    done = check(f"{models}{slash}", "--output-format", "json")
    assert done.exit_code in (0, 1), done.output
    files = [Path(file["file"]).relative_to(models).as_posix() for file in json.loads(done.stdout)["files"]]
    assert files == ["a.pt2", "b.pt2", "r.etrecord"]


def test_a_directory_without_a_program(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    done = check(str(tmp_path))
    assert done.exit_code == 3
    assert "is a directory without a .pt2 or .etrecord file" in done.stderr


def test_what_is_not_a_program_keeps_no_other_file_from_being_checked(models: Path) -> None:
    (models / "pointer.pt2").write_bytes(POINTER)
    done = check(str(models), "--output-format", "json")
    assert done.exit_code == 3
    entries = {Path(file["file"]).name: file for file in json.loads(done.stdout)["files"]}
    assert "Git LFS" in entries["pointer.pt2"]["error"]["message"]
    assert [name for name, entry in entries.items() if entry.get("error")] == ["pointer.pt2"]


@pytest.mark.parametrize("place", ["name", "target", "stack_trace", "nn_module_stack", "custom", "as_string", "key"])
def test_utf8_that_is_none_is_refused(place: str, tmp_path: Path) -> None:
    """In every kind of string of the JSON. Python's own decoder raises UnicodeDecodeError for it."""
    mark = "\u00ff\u00fe\u00ff"

    def edit(program: dict[str, object]) -> None:
        node = node_of(program, "linear.default")
        if place in ("stack_trace", "nn_module_stack", "custom"):
            node["metadata"][place] = mark
        elif place == "as_string":
            node["inputs"].append({"name": "x", "arg": {"as_string": mark}, "kind": 1})
        elif place == "key":
            node["inputs"][0]["arg"] = {mark: 1}
        else:
            node[place] = mark

    path = forge(tmp_path / "m.pt2", "linear", edit=edit)
    with zipfile.ZipFile(path) as archive:
        contents = {info.filename: archive.read(info) for info in archive.infolist()}
    written = json.dumps(mark).encode()[1:-1]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(zipfile.ZipInfo(name), data.replace(written, b"\xff\xfe\xff"))
    done = check(str(path))
    assert done.exit_code == 3, done.output
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
