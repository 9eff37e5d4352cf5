"""What is checked is what torch loads: archives that two readers may read in two ways are refused."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from fuseguard.readers.archive import Archive
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.pt2 import read_pt2
from fuseguard.readers.zip_layout import BadLayout, read_layout
from fuseguard_testkit import twins, zip_by_hand
from fuseguard_testkit.forging import DATA, MODEL, ROOT, records
from fuseguard_testkit.zip_by_hand import Item

NAME = f"{ROOT}/{MODEL}"


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("twin", twins.REFUSED)
def test_an_archive_of_two_programs_is_refused(twin: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match="again"):
        read_pt2(write(tmp_path / "m.pt2", twins.REFUSED[twin]()))


@pytest.mark.parametrize("twin", twins.ACCEPTED)
def test_the_program_that_torch_loads_is_read(twin: str, tmp_path: Path) -> None:
    targets = {node.target for node in read_pt2(write(tmp_path / "m.pt2", twins.ACCEPTED[twin]()))}
    assert "aten.neg.default" in targets
    assert "aten.relu.default" not in targets


def descriptor(item: Item, form: str) -> bytes:
    fields = zip_by_hand._fields(item.data)
    return struct.pack(form, b"PK\7\x08", fields["crc"], fields["packed"], fields["size"])


@pytest.mark.parametrize("form", ["<4s3L", "<4sL2Q"])
def test_the_layout_of_torch_is_accepted(form: str, tmp_path: Path) -> None:
    """Padding in an extra field, and sizes after the data: as miniz writes them."""
    items = []
    for name, data in records().items():
        item = Item(name, data, there={"flags": 0x808})
        padding = struct.pack("<2H", 0x4246, 9) + b"Z" * 9
        unknown = {"flags": 0x808, "crc": 0, "packed": 0, "size": 0}
        item.here = unknown | {"extra": padding, "after": descriptor(item, form)}
        items.append(item)
    items.append(Item(f"{ROOT}/extra/\u00fc", b"", there={"flags": 0x800}, here={"flags": 0x800}))
    path = write(tmp_path / "m.pt2", zip_by_hand.archive64(items))
    assert len(read_pt2(path)) == len(read_pt2(DATA / "conv_cat.pt2"))


def test_sizes_of_64_bits_are_read(tmp_path: Path) -> None:
    """A weight of 5 GB is a hole in the file, and a record after it starts beyond 4 GB."""
    path = tmp_path / "m.pt2"
    size, name = 5 * 2**30, f"{ROOT}/data/weights/weight_999".encode()
    wide = struct.pack("<2H2Q", 1, 16, size, size)
    masked = {"packed": 2**32 - 1, "size": 2**32 - 1, "crc": 0}
    body, directory, count = zip_by_hand.parts(Item(n, d) for n, d in records().items() if n != NAME)
    head = zip_by_hand.local(name, b"", **masked, extra=wide)
    last = zip_by_hand.local(NAME.encode(), records()[NAME])
    directory += zip_by_hand.central(name, b"", len(body), **masked, extra=wide)
    offset = len(body) + len(head) + size
    directory += zip_by_hand.central(
        NAME.encode(), records()[NAME], 2**32 - 1, extra=struct.pack("<2HQ", 1, 8, offset)
    )  # fmt: skip
    start = offset + len(last)
    tail = (
        zip_by_hand.end64(count + 2, len(directory), start)
        + zip_by_hand.locator(start + len(directory))
        + zip_by_hand.end(count + 2, len(directory), start)
    )
    with open(path, "wb") as out:
        out.write(body + head)
        out.seek(size, 1)
        out.write(last + directory + tail)
    with Archive(path) as archive:
        assert archive.read(MODEL, 2**20) == records()[NAME]


def test_the_directory_limit_cannot_be_bypassed_with_zip64(tmp_path: Path) -> None:
    """The locator points to a modest end record; the one right before it, which zipfile reads, is not modest."""
    head = zip_by_hand.local(NAME.encode(), b"x")
    directory = b"".join(zip_by_hand.central(f"a/{i:x}".encode(), b"", 0) for i in range(2000))
    modest = zip_by_hand.end64(1, 100, 0)
    real = zip_by_hand.end64(2000, len(directory), len(head) + len(modest))
    data = head + modest + directory + real + zip_by_hand.locator(len(head)) + zip_by_hand.end(0xFFFF, 100, 2**32 - 1)
    path = write(tmp_path / "m.pt2", data)
    with open(path, "rb") as handle, pytest.raises(BadLayout, match="locator"):
        read_layout(handle, 10, 10)
