"""The programs that the engines judge by the hundred: the rules' examples, and what ``make zoo`` has built."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fuseguard.engine.example_cases import PROFILES, Case
from fuseguard.engine.registry import load_registry
from fuseguard.engine.rule import Example
from fuseguard_testkit.paths import ROOT

#: Where ``make zoo`` keeps programs and inputs.
ZOO = ROOT / "examples" / "zoo" / "out"
#: Of the order in which the examples are judged.
SEED = 20


def examples() -> list[tuple[Case, Example]]:
    """Every example of every rule once, shuffled: as a quantized program where it has one, else as a graph."""
    found: dict[str, tuple[Case, Example]] = {}
    for rule in load_registry().rules:
        for good, group in ((False, rule.bad), (True, rule.good)):
            for example in group:
                form = "graph" if example.program is None else "program"
                case = Case(rule.code, example.title, good, form, PROFILES[0])
                found.setdefault(example.title, (case, example))  # rules share examples
    drawn = list(found.values())
    random.Random(SEED).shuffle(drawn)
    return drawn


class ZooProgram(NamedTuple):
    """A built program.

    Attributes:
        key: its name and quantization, as in ``digits_dense.int8``.
        path: the quantized program.
        dims: the sizes for which a program with dynamic shapes is judged.
    """

    key: str
    path: Path
    dims: dict[str, int]

    def inputs(self) -> Any:
        """The first input set that the program is judged on."""
        import torch

        return torch.load(self.path.with_name(f"{self.key.partition('.')[0]}.inputs-0.pt"))


def zoo() -> Iterator[ZooProgram]:
    """What is built, the smallest files first."""
    for path in sorted(ZOO.glob("*.pt2"), key=lambda item: item.stat().st_size):
        if not path.name.endswith(".float.pt2"):
            dims = path.with_name(f"{path.name.partition('.')[0]}.dims.json")
            yield ZooProgram(path.stem, path, json.loads(dims.read_text(encoding="utf-8")))
