"""Fuzzed .pt2 files that fuseguard accepts: torch reads the same program from them, or refuses them.

The inputs are those of tools/fuzz.py. torch.export.load runs code of a file. So only files are loaded in which
fuseguard finds nothing that would run.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from test_same_as_torch import calls

from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.pt2 import read_pt2
from fuseguard_testkit.forging import forge, graph_of
from fuzzing import corpus
from fuzzing.inputs import Maker

pytestmark = pytest.mark.torch

SEED = 5
SHORT, LONG = 20, 2000


@pytest.fixture(autouse=True)
def _registered() -> None:
    """The quantized ops, and torch's complaints about damaged files left out."""
    import logging

    import torch.ao.quantization.fx._decomposed  # noqa: F401

    logging.getLogger("torch.export").setLevel(logging.CRITICAL)


def compared(number: int, path: Path) -> Counter[str]:
    """What became of the files that fuseguard accepts, until so many programs are compared."""
    import torch

    from fuseguard.readers.fx import read_program

    maker = Maker({"pt2": corpus.load()["pt2"]}, SEED)
    outcomes: Counter[str] = Counter()
    index = -1
    while number:
        index += 1
        path.write_bytes(maker.make(index).data)
        try:
            found = read_pt2(path)
        except UnreadableInput:
            continue
        if found.hazards or found.dialect == "edge":
            continue  # torch would run code, or has no such operators
        try:
            loaded = torch.export.load(path)
        except Exception:  # whatever torch raises on a file that is damaged
            outcomes["refused by torch"] += 1
            continue
        number -= 1
        outcomes["read by both"] += 1
        assert repr(calls(read_program(loaded))) == repr(calls(found)), f"input {SEED}:{index}"
    return outcomes


def test_some_accepted_files(tmp_path: Path) -> None:
    assert compared(SHORT, tmp_path / "m.pt2")["read by both"] == SHORT


@pytest.mark.campaign
def test_thousands_of_accepted_files(tmp_path: Path) -> None:
    outcomes = compared(LONG, tmp_path / "m.pt2")
    print(dict(outcomes))
    assert outcomes["read by both"] == LONG


@pytest.mark.parametrize("custom", ["[1]", '"text"', "7", '{"_arm_annotation_info": [1]}'])
def test_custom_metadata_of_any_kind_marks_nothing_as_quantized(custom: str, tmp_path: Path) -> None:
    """A campaign found a list, on which the reader of live programs raised."""
    import torch

    from fuseguard.readers.fx import read_program

    def edit(program: dict[str, Any]) -> None:
        for node in graph_of(program)["nodes"]:
            node["metadata"]["custom"] = custom

    path = forge(tmp_path / "m.pt2", edit=edit)
    live = read_program(torch.export.load(path))
    assert not any(node.annotated for node in live)
    assert calls(live) == calls(read_pt2(path))
