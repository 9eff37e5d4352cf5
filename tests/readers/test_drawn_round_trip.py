"""Randomly drawn programs: torch's reader, ours and the live program give the same graph.

The programs are those of the differential campaign's grammar, quantized, some with a hand edit, and not lowered.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_pt2_against_live import comparable

from differential.grammar import program_of
from fuseguard.ir import Graph
from fuseguard.readers.pt2 import read_pt2

pytestmark = pytest.mark.torch

SEED = 21
SHORT, LONG = 40, 1000


def drawn(number: int) -> Iterator[Any]:
    """As many programs that can be quantized."""
    from differential.building import NotAProgram, build

    index = 0
    while number:
        try:
            program, _, _ = build(program_of(SEED, index))
        except NotAProgram:
            continue
        finally:
            index += 1
        number -= 1
        yield program


def as_compared(graph: Graph) -> list[Any]:
    """All of a graph and of those below it; NaN is equal to itself."""
    return [
        (body.name, body.dialect, repr(dict(body.buffers)), dict(body.mutations), body.functionalized,
         [repr(comparable(node)) for node in body])
        for body in graph.walk()
    ]  # fmt: skip


def round_trip(number: int, path: Path) -> int:
    """How many nodes were compared."""
    import torch

    from fuseguard.readers.fx import read_program

    nodes = 0
    for program in drawn(number):
        torch.export.save(program, path)
        live, saved, loaded = read_program(program), read_pt2(path), read_program(torch.export.load(path))
        assert as_compared(saved) == as_compared(live)
        assert as_compared(loaded) == as_compared(live)
        nodes += sum(map(len, live.walk()))
    return nodes


def test_some_drawn_programs(tmp_path: Path) -> None:
    assert round_trip(SHORT, tmp_path / "m.pt2") > 10 * SHORT


@pytest.mark.campaign
def test_a_thousand_drawn_programs(tmp_path: Path) -> None:
    nodes = round_trip(LONG, tmp_path / "m.pt2")
    print(f"{LONG} programs, {nodes} nodes")
    assert nodes > 10 * LONG
