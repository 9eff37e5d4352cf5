"""Lockstep holds the tensors of one cell at a time: what a program needs does not grow with the number of its cells."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

from fuseguard.executorch import prove  # noqa: E402
from fuseguard.executorch.keeping import LARGE, Kept  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.ir import Graph  # noqa: E402
from fuseguard.ir.builder import GraphBuilder, int8  # noqa: E402
from fuseguard_testkit.quantizing import quantize  # noqa: E402

INT = "TOSA-1.0+INT"
SHAPE = (1, 8, 64, 256)
CODES = 8 * 64 * 256


def _chain(length: int) -> Graph:
    """Sums of a value with the first one, each with a clamp that is the saturation of its quantize op."""
    b = GraphBuilder()
    first = value = b.quantized_input("x", SHAPE, int8(0.02, -128))
    for number in range(length):
        total = b.call("aten.add.Tensor", value, first)
        value = b.requantize(b.call("aten.relu.default", total), int8(0.02 + 0.001 * number, -128))
    return b.output(value)


class Chain(nn.Module):
    """A chain in floats, for Arm's quantizer."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(self.length):
            x = torch.relu(x * 0.9)
        return x


def _live_bytes(length: int, *, in_floats: bool = False) -> tuple[int, int]:
    """The most bytes of arrays and of tensors that are held when a chain's next cell is judged, and how many cells."""
    most = cells = 0

    def progress(text: str) -> None:
        nonlocal most, cells
        if text == "running the delegates":
            tracemalloc.start()
        elif text.startswith("cell "):
            cells += 1
            most = max(most, tracemalloc.get_traced_memory()[0] + _tensor_bytes())

    program, inputs = materialize(_chain(length))
    floats = None
    if in_floats:
        inputs = (torch.rand(SHAPE, generator=torch.Generator().manual_seed(0)),)
        program, floats = quantize(Chain(length), inputs, INT), torch.export.export(Chain(length), inputs)
    with _tracing():
        proof = prove(program, inputs, INT, locate=True, progress=progress, float_program=floats)
    assert proof.outcome == "exact"
    assert sum(cell.float_node != "" for cell in proof.cells) >= length * in_floats
    return most, cells


@contextmanager
def _tracing() -> Iterator[None]:
    try:
        yield
    finally:
        tracemalloc.stop()


def _tensor_bytes() -> int:
    """Of torch's own memory, which tracemalloc does not see."""
    found = {}
    for item in gc.get_objects():
        if type(item) is torch.Tensor and item.device.type == "cpu" and item.layout == torch.strided:
            storage = item.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
    return sum(found.values())


@pytest.mark.parametrize("in_floats", [False, True])
def test_what_is_held_does_not_grow_with_the_number_of_cells(in_floats: bool) -> None:
    (few, cells), (many, more_cells) = (_live_bytes(length, in_floats=in_floats) for length in (3, 9))
    assert more_cells >= cells + 6
    assert many - few < 4 * CODES, f"{(many - few) / CODES / 6:.1f} bytes for each code of a further cell"


def test_a_large_array_is_in_a_file_as_long_as_it_is_kept() -> None:
    values = np.arange(LARGE, dtype=np.int16).reshape(2, -1).T
    kept = Kept.of(values)
    path = kept._path
    assert path is not None
    assert np.array_equal(kept.load(), values)
    assert (kept.shape, kept.dtype, kept.size, kept.itemsize) == (values.shape, values.dtype, values.size, 2)
    assert kept.load() is not kept.load()
    del kept
    assert not path.exists()
    small = Kept.of(values[:3])
    assert small.load() is small.load()
