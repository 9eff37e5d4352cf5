"""No damage to a file may surface as anything but UnreadableInput. Seeds are fixed, so that a failure repeats."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.pt2 import read_pt2
from fuseguard_testkit.forging import DATA, MODEL, ROOT, listing_of, pack, places, records

LONGEST_READ = 5.0  # seconds; the fixtures take milliseconds
CONFIG = "data/weights/model_weights_config.json"
bounded = settings(
    max_examples=150, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip

byte_edits = st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=6))  # place, new bytes
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(2**80), 2**80), st.floats(allow_nan=False),
    st.text(max_size=8),
    st.sampled_from(["x", "cat", "Infinity", "NaN", "as_int", "../x", "\0", "torch.ops.aten.add.Tensor"]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["as_int", "as_tensor", "as_graph", "name", "x"]), inner, max_size=2)
    ),
    max_leaves=6,
)


def survives(path: Path) -> None:
    had_torch = "torch" in sys.modules  # other tests of the session may have imported it
    started = time.perf_counter()
    with contextlib.suppress(UnreadableInput):
        read_pt2(path)
    assert time.perf_counter() - started < LONGEST_READ
    assert ("torch" in sys.modules) == had_torch


@pytest.mark.parametrize("fixture", ["conv_cat", "loop"])
@bounded
@given(edits=st.lists(byte_edits, max_size=4),
       cut=st.none() | st.floats(0, 1))  # fmt: skip
def test_changed_bytes(fixture: str, tmp_path: Path, edits: list[tuple[float, bytes]], cut: float | None) -> None:
    data = bytearray((DATA / f"{fixture}.pt2").read_bytes())
    for place, change in edits:
        at = int(place * len(data))
        data[at : at + len(change)] = change
    path = tmp_path / "m.pt2"
    path.write_bytes(bytes(data) if cut is None else bytes(data[: int(cut * len(data))]))
    survives(path)


@bounded
@given(
    edits=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), min_size=1, max_size=4
    )
)
def test_changed_listing(tmp_path: Path, edits: list[tuple[float, bytes]]) -> None:
    """The table of contents is small, so that random places in the file seldom hit it."""
    data = bytearray((DATA / "loop.pt2").read_bytes())
    listing = listing_of(DATA / "loop.pt2")
    for place, change in edits:
        at = listing + int(place * (len(data) - listing))
        data[at : at + len(change)] = change
    path = tmp_path / "m.pt2"
    path.write_bytes(bytes(data))
    survives(path)


@pytest.mark.parametrize(
    ("fixture", "record"), [("conv_cat", MODEL), ("cond", MODEL), ("split", MODEL), ("conv_cat", CONFIG)]
)
@bounded
@given(edits=st.lists(st.tuples(st.integers(0, 2**30), values), min_size=1, max_size=3), drop=st.booleans())
def test_changed_json(fixture: str, record: str, tmp_path: Path, edits: list[tuple[int, Any]], drop: bool) -> None:
    contents = records(fixture)
    program = json.loads(contents[f"{ROOT}/{record}"])
    for place, value in edits:
        found = list(places(program))
        if not found:
            break
        container, key = found[place % len(found)]
        if drop:
            del container[key]
        else:
            container[key] = value
    contents[f"{ROOT}/{record}"] = json.dumps(program).encode("utf-8", "replace")
    survives(pack(tmp_path / "m.pt2", contents))
