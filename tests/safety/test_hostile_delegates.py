"""Forged ETRecords, exir.serde files and delegates: one error or a report, within a gigabyte and a few seconds."""

from __future__ import annotations

import base64
import io
import json
import pickle
import pickletools
import random
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fuseguard.readers import etrecord, torch_zip
from fuseguard.readers.budget import MAX_PICKLE_STEPS, MAX_TOSA_BYTES, Budget, OverBudget
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.flatbuffer import MalformedBuffer
from fuseguard.readers.open import read_file
from fuseguard.readers.tosa import read_tosa
from fuseguard_testkit.forging import pack
from fuseguard_testkit.limited_process import check
from fuseguard_testkit.paths import DATA

MIB = 2**20
PROGRAM = "serialized_exported_program.json"
LOWERED = DATA / "conv_cat_lowered.exir"


def contents(path: Path = LOWERED) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def argument_of(program: dict[str, Any]) -> dict[str, Any]:
    """The argument that is the delegate's module."""
    nodes = program["graph_module"]["graph"]["nodes"]
    [node] = [node for node in nodes if node["target"].endswith("executorch_call_delegate")]
    argument: dict[str, Any] = node["inputs"][0]["arg"]
    return argument


def blob() -> bytes:
    """The TOSA flatbuffer of the fixture's delegate."""
    module = json.loads(argument_of(json.loads(contents()[PROGRAM]))["as_string"])
    return base64.b64decode(module["processed_bytes"])


def forged(
    tmp_path: Path, edit: Callable[[dict[str, Any]], object], compression: int = zipfile.ZIP_DEFLATED
) -> Path:
    """The fixture with its delegate's module edited."""
    records = contents()
    program = json.loads(records[PROGRAM])
    argument = argument_of(program)
    module = json.loads(argument["as_string"])
    edit(module)
    argument["as_string"] = json.dumps(module)
    return pack(tmp_path / "forged.exir", records | {PROGRAM: json.dumps(program).encode()}, compression)


def refused(path: Path, *words: str) -> None:
    with pytest.raises(UnreadableInput) as told:
        read_file(path)
    assert all(word in str(told.value) for word in words), told.value
    assert len(str(told.value)) < 1000


def stays_within(path: Path) -> int:
    done = check(path)
    assert done.code in (0, 1, 3)
    assert done.seconds < 20
    return done.code


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda module: module.update(processed_bytes="!"), ("base64",)),
        (lambda module: module.update(processed_bytes=base64.b64encode(blob()[:40]).decode()), ("TOSA flatbuffer",)),
        (lambda module: module.pop("original_module"), ("original_module",)),
        (lambda module: module.update(original_module=[]), ("lowered_module_0",)),
        (lambda module: module.update(backend_id=7), ("backend_id",)),
        (lambda module: module.update(original_state_dict=base64.b64encode(b"PK\3\4").decode()), ("truncated",)),
        (lambda module: module["original_module"]["graph_module"]["graph"]["nodes"].reverse(), ("not defined before",)),
    ],
)
def test_a_forged_delegate_is_refused(
    edit: Callable[[dict[str, Any]], object], words: tuple[str, ...], tmp_path: Path
) -> None:
    refused(forged(tmp_path, edit), *words)


def test_a_delegate_of_text_that_is_no_json(tmp_path: Path) -> None:
    records = contents()
    program = json.loads(records[PROGRAM])
    argument_of(program)["as_string"] = "{" * 100
    refused(pack(tmp_path / "m.exir", records | {PROGRAM: json.dumps(program).encode()}), "lowered_module_0")


def test_delegates_inside_of_delegates_end(tmp_path: Path) -> None:
    """Each level doubles the backslashes of the one inside, so that a file cannot hold many."""
    records = contents()
    program = json.loads(records[PROGRAM])
    for _ in range(5):
        outer = json.loads(records[PROGRAM])
        argument = argument_of(outer)
        module = json.loads(argument["as_string"])
        module["original_module"] = program
        argument["as_string"] = json.dumps(module)
        program = outer
    path = pack(tmp_path / "m.exir", records | {PROGRAM: json.dumps(program).encode()}, zipfile.ZIP_DEFLATED)
    graph = read_file(path)
    depth = 0
    while graph.subgraphs:
        graph, depth = graph.subgraphs["lowered_module_0"], depth + 1
    assert depth == 6
    assert stays_within(path) in (0, 1)


def test_json_bombs_inside_of_delegates(tmp_path: Path) -> None:
    path = forged(tmp_path, lambda module: module.update(extra=[[]] * (6 * MIB)), zipfile.ZIP_STORED)
    refused(path, "JSON values")
    assert stays_within(path) == 3


def test_all_json_of_a_record_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many methods, each a program that is read: what one may have is not for each of them."""
    monkeypatch.setattr("fuseguard.readers.budget.MAX_ALL_JSON_BYTES", 5 * MIB)
    source = contents(DATA / "several.etrecord")
    name = "edge_dialect_exported_program/second"
    padded = source[name][:-1] + b" " * MIB + b"}"
    records = dict(source)
    for number in range(8):
        for suffix in ("", "_state_dict", "_constants", "_example_inputs"):
            record = f"edge_dialect_exported_program/m{number}{suffix}"
            records[record] = source[name + suffix] if suffix else padded
    path = pack(tmp_path / "m.etrecord", records, zipfile.ZIP_STORED)
    refused(path, "bytes of JSON")


def test_too_many_methods_are_refused(tmp_path: Path) -> None:
    records = contents(DATA / "several.etrecord")
    records |= {f"edge_dialect_exported_program/m{number}": b"{}" for number in range(etrecord.MAX_PROGRAMS)}
    refused(pack(tmp_path / "m.etrecord", records), "programs")


@pytest.mark.parametrize("missing", ["_state_dict", "_constants"])
def test_a_record_without_the_state_of_a_program(missing: str, tmp_path: Path) -> None:
    records = contents(DATA / "several.etrecord")
    del records[f"edge_dialect_exported_program/second{missing}"]
    refused(pack(tmp_path / "m.etrecord", records), "is missing")


def test_a_record_without_a_program(tmp_path: Path) -> None:
    refused(pack(tmp_path / "m.etrecord", {"ETRECORD_V0": b"", "debug_handle_map": b"{}"}), "without a program")


def test_a_pickle_runs_nothing(tmp_path: Path) -> None:
    """A state dict whose pickle would call print, and ends in a tensor that is read all the same."""
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (open, (str(marker), "w"))

    records = contents(DATA / "conv_cat_edge.exir")
    with zipfile.ZipFile(io.BytesIO(records["serialized_state_dict.pt"])) as inner:
        state = {info.filename: inner.read(info) for info in inner.infolist()}
    [name] = [item for item in state if item.endswith("data.pkl")]
    evil = pickle.dumps(Evil(), 2)
    # An item of the dictionary that is the evil object, before those that are there.
    body = pickletools.optimize(evil)[2:-1]
    state[name] = state[name][:3] + b"X\x01\0\0\0e" + body + b"s" + state[name][3:]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for item, data in state.items():
            archive.writestr(zipfile.ZipInfo(item), data)
    path = pack(tmp_path / "m.exir", records | {"serialized_state_dict.pt": packed.getvalue()})
    graph = read_file(path)
    assert not marker.exists()
    assert graph.buffers == read_file(DATA / "conv_cat_edge.exir").buffers
    pickle.loads(evil).close()
    assert marker.exists(), "the pickle does run something where it is loaded"


def test_a_long_pickle_is_refused() -> None:
    with pytest.raises(OverBudget, match="operations in pickles"):
        torch_zip._followed(b"\x80\x02" + b"N" * (MAX_PICKLE_STEPS + 1) + b".", Budget())


@pytest.mark.parametrize(
    "data", [b"", b".", b"\x80\x02", b"0.", b"u.", b"R.", b"\x80\x02}(K\x01u.", b"\x80\x02(", b"h\x05."]
)
def test_a_pickle_that_is_none_says_nothing(data: bytes) -> None:
    assert torch_zip._followed(data, Budget()) in (None, {})


def test_every_truncation_of_a_flatbuffer() -> None:
    whole = blob()
    read = read_tosa(whole, Budget())
    refusals = 0
    for size in range(len(whole)):
        try:
            assert read_tosa(whole[:size], Budget()) == read, "only padding may be missing"
        except MalformedBuffer:
            refusals += 1
    assert refusals > 0.99 * len(whole)


def test_changed_flatbuffers_are_read_or_refused() -> None:
    whole, chance = blob(), random.Random(1)
    ends: dict[str, int] = {"read": 0, "refused": 0}
    slowest = 0.0
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(8, len(data) - 4)
            value = chance.choice([0, 1, 2**16, 2**31, 2**32 - 1, chance.getrandbits(32)])
            data[at : at + 4] = struct.pack("<I", value)
        started = time.process_time()
        try:
            read_tosa(bytes(data), Budget())
            ends["read"] += 1
        except (MalformedBuffer, OverBudget):
            ends["refused"] += 1
        slowest = max(slowest, time.process_time() - started)
    assert min(ends.values()) > 100, ends
    assert slowest < 5


def amplified(operators: int) -> bytes:
    """The fixture's flatbuffer with a vector of ``operators`` in the place of its own, all of them one table."""
    whole = bytearray(blob())
    block = read_block(whole)
    at = field(whole, block, 1)
    vector = at + u32(whole, at)
    one = vector + 4 + u32(whole, vector + 4)
    whole += b"\0" * (-len(whole) % 4)
    start = len(whole)
    whole += struct.pack("<I", operators)
    # Offsets are unsigned and point forwards, so the table is copied after them with all that it points to.
    copied = bytes(whole[:start])
    base = start + 4 + 4 * operators
    for index in range(operators):
        place = start + 4 + 4 * index
        whole += struct.pack("<I", base + one - place)
    whole += copied
    whole[at : at + 4] = struct.pack("<I", start - at)
    return bytes(whole)


def u32(data: bytearray, at: int) -> int:
    return int(struct.unpack_from("<I", data, at)[0])


def field(data: bytearray, table: int, number: int) -> int:
    vtable = table - struct.unpack_from("<i", data, table)[0]
    return table + int(struct.unpack_from("<H", data, vtable + 4 + 2 * number)[0])


def read_block(data: bytearray) -> int:
    """Where the first block is: root, regions[0], blocks[0]."""
    table = u32(data, 0)
    for _ in range(2):
        at = field(data, table, 1)
        vector = at + u32(data, at)
        table = vector + 4 + u32(data, vector + 4)
    return table


@pytest.mark.slow
def test_one_operator_many_times() -> None:
    assert len(read_tosa(amplified(1000), Budget()).ops) == 1000
    with pytest.raises(MalformedBuffer, match="more than"):
        read_tosa(amplified(60_000), Budget())
    budget = Budget()
    started = time.process_time()
    many = amplified(40_000)

    def of_one_file() -> None:
        for _ in range(MAX_TOSA_BYTES // (200 * 40_000)):
            read_tosa(many, budget)

    with pytest.raises(OverBudget, match="TOSA"):
        of_one_file()
    assert time.process_time() - started < 20


@pytest.mark.slow
def test_a_file_of_the_most_operators(tmp_path: Path) -> None:
    data = base64.b64encode(amplified(50_000)).decode()
    assert stays_within(forged(tmp_path, lambda module: module.update(processed_bytes=data))) in (1, 3)
