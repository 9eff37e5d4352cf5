"""The largest files that are accepted, of each kind that once cost more than its size explains.

Each is checked and reported in a process that may have 1 GB of address space. The processor's time is limited to
several times what it takes where nothing else runs. What grows with the square of the size takes minutes at this size.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from fuseguard.readers import budget
from fuseguard.readers.budget import MAX_JSON_BYTES, MAX_NAME, MAX_NODES, MAX_QPARAM_VALUES, MAX_TENSOR_BYTES, MAX_USES
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.open import read_file
from fuseguard_testkit import costly
from fuseguard_testkit.forging import MODEL, ROOT, graph_of, pack, records
from fuseguard_testkit.limited_process import SECONDS, Checked, check

pytestmark = pytest.mark.slow

#: In the ordinary run, at a fifth of the size: those that took minutes, wrote 71 MB, or took more than 5 s.
ONCE_WORST = (
    "shared_dequantize", "cats_of_all_before", "not_quantized_between", "zigzag", "branches", "number_minus_value",
    "float_functions",
)  # fmt: skip
NAME = f"{ROOT}/{MODEL}"
WEIGHTS = f"{ROOT}/data/weights/model_weights_config.json"


def written(path: Path, value: dict[str, Any]) -> Path:
    return pack(path, records() | {NAME: json.dumps(value, separators=(",", ":")).encode()})


def accepted(path: Path, *options: str) -> Checked:
    """A check under the rules of every profile. The file is not refused, and what is printed has a limit."""
    done = check(path, "--target", "TOSA-1.0+INT+FP+int16+cf", *options)
    assert done.code in (0, 1, 2)
    assert len(done.stdout) < 32 * 2**20
    return done


@pytest.mark.parametrize("kind", ONCE_WORST)
def test_a_large_program_of_what_was_worst(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costly, "NODES", MAX_NODES // 5)
    assert accepted(written(tmp_path / "m.pt2", costly.KINDS[kind]())).seconds < SECONDS / 3


@pytest.mark.campaign
@pytest.mark.parametrize("kind", costly.KINDS)
def test_the_largest_program_of_each_kind(kind: str, tmp_path: Path) -> None:
    accepted(written(tmp_path / "m.pt2", costly.KINDS[kind]()))


@pytest.mark.campaign
@pytest.mark.parametrize("kind", ["shared_dequantize", "cats_of_all_before", "zigzag", "impossible"])
@pytest.mark.parametrize("report", ["concise", "json", "json-lines", "sarif", "junit", "github", "gitlab"])
def test_every_format_of_the_largest_reports(kind: str, report: str, tmp_path: Path) -> None:
    accepted(written(tmp_path / "m.pt2", costly.KINDS[kind]()), "--output-format", report)


def largest() -> dict[str, bytes]:
    """JSON of exactly as many bytes as are accepted, and scales in exactly as many bytes of tensors: 128 MiB."""
    value = costly.per_channel()
    scales = graph_of(value)["tensor_values"]["s"]["sizes"][0]["as_int"]
    dtypes = {"w": 2, "s": 7, "z": 5}
    left = MAX_TENSOR_BYTES - 8 * scales
    content = {"w": b"\1" * scales, "s": struct.pack("<f", 1) * (left // 4), "z": b"\0" * (8 * scales)}
    config = {
        name: {
            "path_name": f"weight_{name}", "is_param": False, "use_pickle": False,
            "tensor_meta": {
                **costly.meta((scales,), dtype), "requires_grad": False, "device": {"type": "cpu", "index": None},
                "strides": [{"as_int": 1}], "storage_offset": {"as_int": 0}, "layout": 7,
            },
        }
        for name, dtype in dtypes.items()
    }  # fmt: skip
    value["guards_code"] = []
    value["filler"] = ""
    text = json.dumps(value).encode()
    value["filler"] = "x" * (MAX_JSON_BYTES - len(text))
    folder = f"{ROOT}/data/weights"
    return records() | {
        NAME: json.dumps(value).encode(), WEIGHTS: json.dumps({"config": config}).encode(),
        **{f"{folder}/weight_{name}": data for name, data in content.items()},
    }  # fmt: skip


def test_a_file_of_exactly_the_largest_accepted_size(tmp_path: Path) -> None:
    contents = largest()
    assert len(contents[NAME]) == MAX_JSON_BYTES
    path = pack(tmp_path / "m.pt2", contents)
    assert path.stat().st_size > 128 * 2**20
    done = accepted(path)
    assert b"QP3" in done.stdout or done.code == 0, done.stdout[-300:]
    assert done.seconds < SECONDS / 2
    contents[NAME] += b" "
    with pytest.raises(UnreadableInput, match=f"more than {MAX_JSON_BYTES}"):
        read_file(pack(path, contents))


def test_one_node_more_than_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is lowered, so that the test is short."""
    limit = 1_000
    monkeypatch.setattr(budget, "MAX_NODES", limit)

    def chain(number: int) -> Path:
        nodes = [costly.call(f"n{i}", "aten.neg.default", f"n{i - 1}" if i else "x") for i in range(number)]
        return written(tmp_path / "m.pt2", costly.program(nodes, [f"n{number - 1}"], ("x",)))

    number = limit - 2  # an input and the output
    assert len(read_file(chain(number))) == limit
    with pytest.raises(UnreadableInput, match=f"{limit} nodes"):
        read_file(chain(number + 1))


def test_one_use_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    def joined(number: int) -> Path:
        cat = costly.call("cat", "aten.cat.default", costly.tensors("x" for _ in range(number)))
        return written(tmp_path / "m.pt2", costly.program([cat], ["cat"], ("x",)))

    assert len(read_file(joined(MAX_USES - 1))) == 3  # the output is a use
    with pytest.raises(UnreadableInput, match=f"{MAX_USES} arguments that are nodes"):
        read_file(joined(MAX_USES))


def test_one_character_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    def named(length: int) -> Path:
        nodes = [costly.call("n" * length, "aten.neg.default", "x")]
        return written(tmp_path / "m.pt2", costly.program(nodes, ["n" * length], ("x",)))

    assert "n" * MAX_NAME in read_file(named(MAX_NAME))
    with pytest.raises(UnreadableInput, match="more than 1024 characters"):
        read_file(named(MAX_NAME + 1))


def test_qparam_values_are_counted_over_all_tensors() -> None:
    """The largest file above has two tensors of nearly half the limit each."""
    size = graph_of(costly.per_channel())["tensor_values"]["s"]["sizes"][0]["as_int"]
    assert 2 * size <= MAX_QPARAM_VALUES < 2 * size + 1000
