"""Files in which two readers may find two programs: in one of these, the op is relu, in the other it is neg."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable

from fuseguard_testkit.forging import MODEL, ROOT, records
from fuseguard_testkit.zip_by_hand import Item, archive, archive64, end, end64, local, locator, parts

NAME = f"{ROOT}/{MODEL}"


def program(op: str) -> bytes:
    value = json.loads(records()[NAME])
    for node in value["graph_module"]["graph"]["nodes"]:
        if node["target"].endswith("relu.default"):
            node["target"] = f"torch.ops.aten.{op}.default"
    return json.dumps(value).encode()


def _items(*more: Item) -> list[Item]:
    return [*(Item(name, data) for name, data in records().items() if name != NAME), *more]


def _named(name: str, *, first: bool = False) -> Callable[[], bytes]:
    """A second program under another name, after or before the one that is called model.json."""

    def make() -> bytes:
        both = [Item(NAME, program("neg")), Item(name, program("relu"))]
        return archive(_items(*(reversed(both) if first else both)))

    return make


def _end_to_end() -> bytes:
    longest = max(len(program(op)) for op in ("neg", "relu"))
    return b"".join(archive(_items(Item(NAME, program(op).ljust(longest)))) for op in ("relu", "neg"))


def _gap(before: int) -> bytes:
    """Another program between two records, in a header that no directory lists."""
    items = _items(Item(NAME, program("neg")))
    items[before].here = {"after": local(NAME.encode(), program("relu"))}
    return archive(items)


def _hidden_before_directory() -> bytes:
    body, directory, count = parts(_items(Item(NAME, program("neg"))))
    extra = local(NAME.encode(), program("relu"))
    return body + extra + directory + end(count, len(directory), len(body) + len(extra))


def _two_directories(inner: str) -> bytes:
    """The end record counts from the start, and a reader that counts from the end finds the other directory."""
    items = _items(Item(NAME, program("neg")), Item(f"{ROOT}/x", program("relu")))
    body, directory, count = parts(items)
    swapped = [Item(NAME if item.name == f"{ROOT}/x" else f"{ROOT}/x" if item.raw == NAME.encode() else item.name,
                    item.data) for item in items]  # fmt: skip
    _, other, _ = parts(swapped)
    if inner == "end":
        return body + other + directory + end(count, len(directory), len(body))
    at = len(body) + len(other) + len(directory)
    real = end64(count, len(directory), len(body) + len(other))
    fake = end64(count, len(other), len(body))
    return body + other + directory + fake + real + locator(at) + end(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)


def _prefix() -> bytes:
    return local(b"a", b"") + archive(_items(Item(NAME, program("neg"))))


def _two_names(name: bytes) -> Callable[[], bytes]:
    """The record's own header calls it something else."""
    return lambda: archive(
        _items(Item(name, program("relu"), other_name=NAME.encode()), Item(f"{ROOT}/x", program("neg")))
    )


def _nul(first: bool) -> bytes:
    both = [Item(f"{NAME}\0x", program("neg")), Item(f"{NAME}\0y", program("relu"))]
    return archive(_items(*(reversed(both) if first else both)))


def _other_sizes() -> bytes:
    data = program("neg")
    return archive(_items(Item(NAME, data, here={"packed": 10, "size": 10, "crc": 0})))


def _deflated_here_only() -> bytes:
    return archive(_items(Item(NAME, program("neg"), here={"method": 8})))


def _wide_size_ignored() -> bytes:
    """A zip64 field whose sizes nobody asked for."""
    field = struct.pack("<2H2Q", 1, 16, 10, 10)
    return archive(_items(Item(NAME, program("neg"), there={"extra": field}, here={"extra": field})))


def _marked_as_folder() -> bytes:
    """torch reads nothing then, and takes what its memory held before: found by fuzzing."""
    return archive(_items(Item(NAME, program("neg"), there={"attributes": 0x10})))


def _comment() -> bytes:
    body, directory, count = parts(_items(Item(NAME, program("neg"))))
    inner = archive(_items(Item(NAME, program("relu"))))
    return body + directory + end(count, len(directory), len(body), inner[-22:] + inner[:60000])


def _older_format() -> bytes:
    """torch falls back to the format of torch 2.6 where its reader of archives raises."""
    old = [Item("version", b"8.1"), Item("serialized_exported_program.json", program("relu"))]
    old += [Item(f"serialized_{part}.pt", b"x") for part in ("state_dict", "constants", "example_inputs")]
    return archive([*_items(Item(NAME, program("neg"))), *old])


def _duplicate_key() -> bytes:
    first = json.dumps(json.loads(program("relu"))["graph_module"]).encode()
    return archive(_items(Item(NAME, b'{"graph_module":' + first + b"," + program("neg")[1:])))


def _good() -> bytes:
    return archive64(_items(Item(NAME, program("neg"))))


MODELS = f"{ROOT}/models/"
#: Those in which no reader may see the relu are accepted; all others have to be refused.
ACCEPTED: dict[str, Callable[[], bytes]] = {
    "good": _good,
    "another program": _named(f"{MODELS}a.json"),
    "another program first": _named(f"{MODELS}a.json", first=True),
    "a folder of programs": _named(f"{MODELS}model.json/x.json"),
    "duplicate key": _duplicate_key,
}
REFUSED: dict[str, Callable[[], bytes]] = {
    "case": _named(f"{MODELS}MODEL.JSON"),
    "case first": _named(f"{MODELS}MODEL.JSON", first=True),
    "case of the root": _named(f"{ROOT.upper()}/{MODEL}"),
    "five characters": _named(f"{MODELS}model.text"),
    "backslash": _named(f"{MODELS[:-1]}\\model.json"),
    "empty folder": _named(f"{ROOT}//{MODEL}"),
    "two roots": _named(f"other/{MODEL}", first=True),
    "no root": _named(MODEL, first=True),
    "long name": _named(f"{NAME}{'x' * 600}"),
    "end to end": _end_to_end,
    "gap": lambda: _gap(3),
    "gap before the directory": lambda: _gap(-1),
    "hidden before the directory": _hidden_before_directory,
    "two directories": lambda: _two_directories("end"),
    "two zip64 directories": lambda: _two_directories("zip64"),
    "prefix": _prefix,
    "another name in the header": _two_names(f"{ROOT}/q".encode()),
    "NUL": lambda: _nul(first=False),
    "NUL first": lambda: _nul(first=True),
    "other sizes in the header": _other_sizes,
    "other method in the header": _deflated_here_only,
    "zip64 field that nobody asked for": _wide_size_ignored,
    "marked as a folder": _marked_as_folder,
    "comment": _comment,
    "older format beside it": _older_format,
    "zeros at the end": lambda: _good() + b"\0" * 100,
    "byte at the end": lambda: _good() + b"x",
}
