"""Whatever is wrong with the archive, the user gets one UnreadableInput that says what, why and what to do."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path

import pytest

from fuseguard.readers import archive, zip_layout
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.open import read_file
from fuseguard.readers.pt2 import read_pt2
from fuseguard_testkit.forging import DATA, MODEL, ROOT, forge, listing_of, pack, records

GOOD = DATA / "conv_cat.pt2"


def refused(path: Path, *words: str) -> str:
    with pytest.raises(UnreadableInput) as caught:
        read_pt2(path)
    message = str(caught.value)
    assert "\n" not in message
    assert not [word for word in words if word not in message], message
    return message


def test_missing_file(tmp_path: Path) -> None:
    refused(tmp_path / "none.pt2", "no such file")
    refused(tmp_path / "*.pt2", "no file fits this pattern")


def test_directory(tmp_path: Path) -> None:
    refused(tmp_path, "is a directory")


def test_path_below_a_file_and_path_with_a_null_byte(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    refused(tmp_path / "file" / "model.pt2", "cannot be opened")
    refused(Path("a\0b"), "cannot be opened")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = forge(tmp_path / "m.pt2")
    path.chmod(0)
    refused(path, "permission denied")


def test_permission_error_is_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(archive, "open", deny, raising=False)
    refused(GOOD, "permission denied")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "not a regular file")


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b"hello", "not a zip archive"),
        (b"\x80\x02}q\x00.", "is a pickle"),
        (b"\x1c\0\0\0ET12\0\0\0\0", "ExecuTorch program"),
        (b"PK\x03\x04", "truncated or damaged"),
        (b"PK\x05\x06" + b"\0" * 18, "models/*.json"),
    ],
)
def test_not_an_archive(tmp_path: Path, data: bytes, word: str) -> None:
    path = tmp_path / "m.pt2"
    path.write_bytes(data)
    refused(path, word)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_truncated_archive(tmp_path: Path, kept: float) -> None:
    data = GOOD.read_bytes()
    path = tmp_path / "m.pt2"
    path.write_bytes(data[: int(len(data) * kept)])
    refused(path, "truncated or damaged", "save the program again")


def test_something_in_front_of_the_archive(tmp_path: Path) -> None:
    """Another program may read the front part; only the archive would have been checked."""
    path = tmp_path / "m.pt2"
    path.write_bytes(b"#!/bin/sh\n" + GOOD.read_bytes())
    refused(path, "not a zip archive")


def test_damaged_record(tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    path.write_bytes(GOOD.read_bytes().replace(b'"major": 8', b'"major": 9', 1))
    refused(path, "damaged", "CRC")


@pytest.mark.parametrize("name", ["/etc/passwd", "../evil", "archive/../../evil", "archive\\..\\evil", "C:/evil"])
def test_names_that_leave_the_archive(tmp_path: Path, name: str) -> None:
    refused(pack(tmp_path / "m.pt2", records() | {name: b""}), "may be forged")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_names(tmp_path: Path) -> None:
    path = forge(tmp_path / "m.pt2")
    with zipfile.ZipFile(path, "a") as target:
        target.writestr(f"{ROOT}/{MODEL}", "{}")
    refused(path, "occurs twice")


def test_symbolic_link(tmp_path: Path) -> None:
    path = forge(tmp_path / "m.pt2")
    link = zipfile.ZipInfo(f"{ROOT}/link")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(path, "a") as target:
        target.writestr(link, "/etc/passwd")
    refused(path, "symbolic link")


def test_encrypted_record(tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    data = bytearray(GOOD.read_bytes())
    data[listing_of(GOOD) + 8] |= 1  # general purpose flag of the first entry
    path.write_bytes(bytes(data))
    refused(path, "encrypted")


def test_unusual_compression(tmp_path: Path) -> None:
    refused(pack(tmp_path / "m.pt2", records(), zipfile.ZIP_BZIP2), "compressed with method 12")


def test_deflated_archive_is_read(tmp_path: Path) -> None:
    assert len(read_pt2(pack(tmp_path / "m.pt2", records(), zipfile.ZIP_DEFLATED))) == len(read_pt2(GOOD))


def test_decompression_bomb(tmp_path: Path) -> None:
    bomb = records() | {f"{ROOT}/{MODEL}": b" " * (4 * 2**20)}
    refused(pack(tmp_path / "m.pt2", bomb, zipfile.ZIP_DEFLATED), "expands more than", "decompression bomb")


def test_a_record_that_inflates_to_more_than_it_says(tmp_path: Path) -> None:
    """The size in the header is what the limits were checked against."""
    bomb = records() | {f"{ROOT}/{MODEL}": b"[" * (4 * 2**20)}
    path = pack(tmp_path / "m.pt2", bomb, zipfile.ZIP_DEFLATED)
    data = path.read_bytes().replace(struct.pack("<L", 4 * 2**20), struct.pack("<L", 1000))
    path.write_bytes(data)
    refused(path, "damaged")


def test_too_large_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuseguard.readers.pt2.MAX_JSON_BYTES", 1000)
    refused(GOOD, "bytes", "protect memory")


def test_too_many_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_RECORDS", 10)
    refused(GOOD, "more than 10 records")


def test_huge_listing_is_refused_before_it_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_DIRECTORY_BYTES", 100)
    monkeypatch.setattr(zip_layout, "_entries", None)
    refused(GOOD, "refused to protect memory")


def test_long_name(tmp_path: Path) -> None:
    message = refused(pack(tmp_path / "m.pt2", records() | {"n" * 5000: b""}), "more than 511 bytes")
    assert len(message) < 500


def test_failed_save_is_named(tmp_path: Path) -> None:
    refused(forge(tmp_path / "m.pt2", remove=(MODEL,)), "models/*.json", "lowered program")


def test_several_programs_without_a_choice_are_listed(tmp_path: Path) -> None:
    model = records()[f"{ROOT}/{MODEL}"]
    path = forge(tmp_path / "m.pt2", remove=(MODEL,), add={"models/encoder.json": model, "models/decoder.json": model})
    refused(path, "2 programs", "'decoder', 'encoder'")


def test_all_programs_or_the_only_one_are_read(tmp_path: Path) -> None:
    model = records()[f"{ROOT}/{MODEL}"]
    both = read_file(forge(tmp_path / "a.pt2", add={"models/other.json": model}))
    assert [(name, len(graph)) for name, graph in both.subgraphs.items()] == [
        ("model", len(read_pt2(GOOD))), ("other", len(read_pt2(GOOD))),
    ]  # fmt: skip
    with pytest.raises(UnreadableInput, match="does not follow"):
        read_file(forge(tmp_path / "c.pt2", add={"models/other.json": b"{}"}))
    assert len(read_pt2(forge(tmp_path / "b.pt2", remove=(MODEL,), add={"models/only.json": model}))) == len(
        read_pt2(GOOD)
    )


@pytest.mark.parametrize(
    ("names", "word"),
    [
        ({"m/data.pkl": b"cposix\nsystem\n."}, "pickled checkpoint"),
        ({"m/data/aotinductor/model/x.so": b"\x7fELF"}, "AOTInductor"),
    ],
)
def test_other_formats_are_named(tmp_path: Path, names: dict[str, bytes], word: str) -> None:
    refused(pack(tmp_path / "m.pt2", names), word)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\x1c\0\0\0TOSA" + b"\0" * 56, "TOSA flatbuffer"),
        (b"VGF1" + b"\0" * 60, "VGF file"),
        (b"\x08\x07\x12\x07pytorch" + b"\0" * 40, "ONNX"),
        (b'\x40\0\0\0\0\0\0\0{"__metadata__":{}}', "safetensors"),
        (b"\x80\x02}q\x00.", "pickle"),
        (b"\x1f\x8b\x08", "gzip"),
    ],
)
def test_other_kinds_of_file_are_named(tmp_path: Path, data: bytes, word: str) -> None:
    path = tmp_path / "m.pt2"
    path.write_bytes(data)
    refused(path, word)


def test_stdin_is_named() -> None:
    refused(Path("-"), "stdin")
