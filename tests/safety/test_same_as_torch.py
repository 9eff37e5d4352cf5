"""Whatever fuseguard accepts, torch reads the same program from: forged and fuzzed files, by torch's own reader."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fuseguard.ir.graph import Graph, Ref
from fuseguard.readers.archive import Archive
from fuseguard.readers.budget import MAX_JSON_BYTES, MAX_TENSOR_BYTES
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.pt2 import read_pt2
from fuseguard_testkit import twins
from fuseguard_testkit.forging import DATA, MODEL, ROOT, listing_of, pack, places, records

pytestmark = pytest.mark.torch

Outcome = tuple[tuple[str, bytes], ...]


def ours(path: Path) -> Outcome | None:
    """Every record below the root by name, or None where the file is refused."""
    try:
        read_pt2(path)
        with Archive(path) as archive:
            names = [name.removeprefix(f"{archive.root}/") for name in archive.names]
            return tuple((name, archive.read(name, max(MAX_JSON_BYTES, MAX_TENSOR_BYTES))) for name in names)
    except UnreadableInput:
        return None


def by_torch(path: Path) -> Outcome | None:
    """The same by the reader that torch.export.load uses, or None where that raises."""
    import torch

    try:
        reader = torch._C.PyTorchFileReader(str(path))
        return tuple((name, reader.get_record(name)) for name in reader.get_all_records())
    except (RuntimeError, UnicodeDecodeError):
        return None


def compare(path: Path) -> bool:
    """Whether fuseguard accepts the file. If so, torch must find the same records in it, or refuse it."""
    found = ours(path)
    if found is None:
        return False
    theirs = by_torch(path)
    assert theirs is None or theirs == found, path
    return True


def calls(program: Graph) -> list[tuple[Any, ...]]:
    """What is called with what. FX may name a node otherwise than the file does, so that numbers stand for names."""
    number = {name: position for position, name in enumerate(program.nodes)}

    def numbered(arg: Any) -> Any:
        if isinstance(arg, Ref):
            return Ref(str(number[arg.name]))
        return tuple(map(numbered, arg)) if isinstance(arg, tuple) else arg

    return [
        (node.target, numbered(node.args), sorted((key, repr(numbered(value))) for key, value in node.kwargs.items()))
        for node in program
        if node.op == "call"
    ]


def compare_graphs(path: Path) -> bool:
    """The same for the graphs. torch.export.load runs code of the file; these files were made here."""
    import torch

    from fuseguard.readers.fx import read_program

    try:
        found = read_pt2(path)
    except UnreadableInput:
        return False
    try:
        loaded = torch.export.load(path)
    except Exception:  # whatever torch raises on a file that is damaged
        return False
    assert repr(calls(read_program(loaded))) == repr(calls(found)), path  # NaN is equal to nothing
    return True


@pytest.fixture(autouse=True)
def _registered() -> None:
    """The quantized ops, and torch's complaints about damaged files left out."""
    import logging

    import torch.ao.quantization.fx._decomposed  # noqa: F401

    logging.getLogger("torch.export").setLevel(logging.CRITICAL)


@pytest.mark.parametrize("twin", [*twins.ACCEPTED, *twins.REFUSED])
def test_twins(twin: str, tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    path.write_bytes((twins.ACCEPTED | twins.REFUSED)[twin]())
    assert compare(path) is (twin in twins.ACCEPTED)
    compare_graphs(path)


def test_some_twins_are_live(tmp_path: Path) -> None:
    """The refusals prove something only if torch does read another program from some of the files."""
    import torch

    read = {}
    for twin, make in twins.REFUSED.items():
        path = tmp_path / "m.pt2"
        path.write_bytes(make())
        try:
            graph = torch.export.load(path).graph
        except Exception:
            continue
        read[twin] = any("relu" in str(node.target) for node in graph.nodes)
    assert {"end to end", "NUL first", "case first", "five characters"} & {twin for twin, relu in read.items() if relu}


def structural(data: bytes, rng: random.Random) -> bytes:
    """The archive with some bytes of its headers and directory changed: what its data says stays plausible."""
    changed = bytearray(data)
    marks = [at for mark in (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7") for at in _all(data, mark)]
    for _ in range(rng.randint(1, 3)):
        at = rng.choice(marks) + rng.randrange(4, 56)
        kind = rng.randrange(5)
        if kind == 0 and at < len(changed):
            changed[at] = rng.choice((0, 1, 8, 0xFF, changed[at] ^ 1, changed[at] ^ 0x20))
        elif kind == 1 and at + 4 <= len(changed):
            value = struct.unpack_from("<L", changed, at)[0]
            struct.pack_into("<L", changed, at, (value + rng.choice((1, -1, 22, 46, 76))) % 2**32)
        elif kind == 2:
            changed[at:at] = rng.randbytes(rng.randint(1, 30))
        elif kind == 3:
            del changed[at : at + rng.randint(1, 30)]
        else:
            other = rng.choice(marks)
            changed[at : at + 30] = data[other : other + 30]
    return bytes(changed)


def _all(data: bytes, mark: bytes) -> Iterator[int]:
    at = data.find(mark)
    while at >= 0:
        yield at
        at = data.find(mark, at + 1)


def test_changed_headers(tmp_path: Path) -> None:
    rng = random.Random(4)
    bases = [(DATA / "loop.pt2").read_bytes(), twins.ACCEPTED["good"]()]
    path = tmp_path / "m.pt2"
    accepted = 0
    for _ in range(3000):
        path.write_bytes(structural(rng.choice(bases), rng))
        accepted += compare(path)
    assert 50 < accepted < 2500  # changed dates and unknown names are harmless; most changes are not


def test_changed_bytes_of_the_listing(tmp_path: Path) -> None:
    rng = random.Random(5)
    data = (DATA / "loop.pt2").read_bytes()
    listing = listing_of(DATA / "loop.pt2")
    path = tmp_path / "m.pt2"
    for _ in range(1500):
        changed = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            changed[rng.randrange(listing, len(data))] = rng.randrange(256)
        path.write_bytes(changed)
        compare(path)


def _drop(container: Any, key: Any, rng: random.Random) -> None:
    del container[key]


def _swap(container: Any, key: Any, rng: random.Random) -> None:
    other = rng.choice(list(container)) if isinstance(container, dict) else rng.randrange(len(container))
    container[key], container[other] = container[other], container[key]


def _replace(container: Any, key: Any, rng: random.Random) -> None:
    container[key] = rng.choice([None, True, 0, -1, 3, 1.5, "NaN", "x", "relu", "torch.ops.aten.neg.default", [], {}])


@pytest.mark.parametrize("change", [_drop, _swap, _replace])
def test_changed_json(change: Callable[[Any, Any, random.Random], None], tmp_path: Path) -> None:
    rng = random.Random(change.__name__)
    contents = records("linear")
    text = contents[f"{ROOT}/{MODEL}"]
    both = 0
    for _ in range(250):
        program = json.loads(text)
        change(*rng.choice(list(places(program["graph_module"]["graph"]))), rng)
        contents[f"{ROOT}/{MODEL}"] = json.dumps(program).encode()
        both += compare_graphs(pack(tmp_path / "m.pt2", contents))
    assert both > 10
