"""Corrupts one thing of a right lowering: what the judge must notice (tests/lockstep/test_mutants.py)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from typing import Any

import numpy as np
import torch
from torch import nn

from fuseguard.executorch.all_inputs.lowering_forms import Lowering
from fuseguard.executorch.all_inputs.tosa_file import DTYPES, TosaFile, encode, encoded


class Network(nn.Module):
    """Has every operator that is corrupted: convolutions, rescales, a clamp, a table, pools, a transpose, sub, cat."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, stride=2, groups=4)
        self.linear = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value = nn.functional.relu6(self.conv(x))
        value = torch.sigmoid(self.depthwise(value)) - nn.functional.max_pool2d(value, 3, 2, 1)
        value = torch.cat([value, value.transpose(2, 3)], 1)
        result: torch.Tensor = self.linear(value[:, 2:6].mean((2, 3)))
        return result


class Residual(nn.Module):
    """Has more of them: groups and dilation, an addition, an average pool, a product, a permute, tanh."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.wide = nn.Conv2d(3, 4, 1)
        self.grouped = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2)
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value = nn.functional.hardtanh(self.wide(x), -0.5, 0.75)
        value = value + self.grouped(value)
        value = nn.functional.avg_pool2d(value, 3, 1, 1) * value
        result: torch.Tensor = torch.tanh(self.linear(value.permute(0, 2, 3, 1)))
        return torch.cat([result, result.flip(1)], 3)


@dataclass(frozen=True)
class Mutant:
    """``kind``: what was corrupted (``weight``). ``output``: of the operator that it belongs to. ``what``: how.

    ``root``: the corrupted graph, as ``tosa_file.py`` has it.
    """

    kind: str
    delegate: str
    output: str
    what: str
    root: Mapping[str, Any] = field(repr=False)

    @cached_property
    def serialized(self) -> bytes:
        return encode(self.root)

    def __str__(self) -> str:
        return f"{self.kind} of {self.output}: {self.what}"


class _Changes:
    """One graph that is changed in place."""

    def __init__(self, file: TosaFile) -> None:
        self.root: dict[str, Any] = copy.deepcopy(dict(file.root))
        self.file = TosaFile(self.root)

    def replace(self, op: dict[str, Any], place: int, values: np.ndarray[Any, Any]) -> None:
        """Gives ``op`` a constant of its own: others may share it."""
        block = self.file.block
        old = self.file.tensors[op["inputs"][place]]
        name = f"{old['name']}_mutated"
        block["tensors"].append({**old, "name": name, "data": encoded(values, old["type"])})
        constant = {"op": "CONST", "attribute_type": "ConstAttribute", "attribute": {}, "inputs": [], "outputs": [name]}
        block["operators"].insert(0, constant)
        op["inputs"][place] = name


Change = Callable[[_Changes, dict[str, Any], Random], str]


def _element(place: int, deltas: tuple[int, ...]) -> Change:
    """Changes one element of the constant operand at ``place``."""

    def change(graph: _Changes, op: dict[str, Any], random: Random) -> str:
        name = op["inputs"][place]
        values = graph.file.constant(name).copy()
        dtype = graph.file.tensors[name]["type"]
        limits = np.iinfo(DTYPES[dtype])
        at = random.randrange(values.size)
        delta = random.choice(deltas)
        old = int(values.reshape(-1)[at])
        new = old + delta if limits.min <= old + delta <= limits.max else old - delta
        values.reshape(-1)[at] = new
        graph.replace(op, place, values)
        return f"[{at}] {old} -> {new}"

    return change


def _multiplier(graph: _Changes, op: dict[str, Any], random: Random) -> str:
    values = graph.file.constant(op["inputs"][1]).copy()
    at = random.randrange(values.size)
    old = int(values.reshape(-1)[at])
    factor = random.choice((1 + 2**-5, 1 - 2**-5, 1 + 2**-9, 1 - 2**-13))
    limits = np.iinfo(values.dtype)
    new = min(max(int(old * factor), 1), int(limits.max))
    values.reshape(-1)[at] = new
    graph.replace(op, 1, values)
    return f"[{at}] {old} -> {new}"


def _clamp(graph: _Changes, op: dict[str, Any], random: Random) -> str:
    bound = random.choice(("min_val", "max_val"))
    dtype = DTYPES[graph.file.tensors[op["outputs"][0]]["type"]]
    data = np.array(op["attribute"][bound], np.uint8)
    count = np.dtype(dtype).itemsize
    value = data[:count].view(dtype)[0]
    new = int(value) + (1 if bound == "min_val" else -1)
    op["attribute"][bound] = [*np.array([new], dtype).tobytes(), *op["attribute"][bound][count:]]
    return f"{bound} {value} -> {new}"


def _permutation(graph: _Changes, op: dict[str, Any], random: Random) -> str:
    shape = graph.file.tensors[op["outputs"][0]]["shape"]
    pairs = [(i, j) for i in range(len(shape)) for j in range(i) if shape[i] == shape[j] > 1]
    if not pairs:
        return ""
    i, j = random.choice(pairs)
    perms = op["attribute"]["perms"]
    perms[i], perms[j] = perms[j], perms[i]
    return f"dimensions {i} and {j}"


def _pad(graph: _Changes, op: dict[str, Any], random: Random) -> str:
    pad = op["attribute"]["pad"]
    first = random.choice((0, 2))
    if not pad[first] and not pad[first + 1]:
        return ""
    if not pad[first]:
        first, second = first + 1, first
    else:
        second = first + 1
    pad[first], pad[second] = pad[first] - 1, pad[second] + 1
    return f"now {pad}"


def _order(graph: _Changes, op: dict[str, Any], random: Random) -> str:
    tensors = [graph.file.tensors[name] for name in op["inputs"][:2]]
    if len(op["inputs"]) < 2 or tensors[0]["shape"] != tensors[1]["shape"] or op["inputs"][0] == op["inputs"][1]:
        return ""
    op["inputs"][:2] = op["inputs"][1], op["inputs"][0]
    return "swapped"


_SMALL = (1, -1, 3, -17, 64)
_CONVOLUTIONS = ("CONV2D", "DEPTHWISE_CONV2D")
#: By kind: the operators that have it, and the change. ``""`` as its text means that there is nothing to change.
CHANGES: dict[str, tuple[tuple[str, ...], Change]] = {
    "weight": (_CONVOLUTIONS, _element(1, _SMALL)),
    "bias": (_CONVOLUTIONS, _element(2, (64, -64, 1000, -9999))),
    "multiplier": (("RESCALE",), _multiplier),
    "shift": (("RESCALE",), _element(2, (1, -1))),
    "output zero point": (("RESCALE",), _element(4, (1, -1))),
    "input zero point": (("RESCALE",), _element(3, (1, -1))),
    "clamp bound": (("CLAMP",), _clamp),
    "permutation": (("TRANSPOSE",), _permutation),
    "table entry": (("TABLE",), _element(1, _SMALL)),
    "pad": ((*_CONVOLUTIONS, "MAX_POOL2D", "AVG_POOL2D"), _pad),
    "operand order": (("SUB", "CONCAT", "ADD"), _order),
}


def mutants(lowering: Lowering, seed: int = 0) -> Iterator[Mutant]:
    """Mutants without end, the kinds by turns as long as they have new ones; the same for one lowering and seed."""
    random = Random(seed)
    seen: set[str] = set()
    files = {f"delegate {number}": lowering.file(f"delegate {number}") for number in range(len(lowering.calls))}
    places = {
        kind: [(name, at) for name, file in files.items()
               for at, op in enumerate(file.block["operators"]) if op["op"] in ops and _has(file, kind, op)]
        for kind, (ops, _) in CHANGES.items()
    }  # fmt: skip
    while True:
        for kind, (_, change) in CHANGES.items():
            if not places[kind]:
                continue
            name, at = random.choice(places[kind])
            graph = _Changes(files[name])
            op = graph.file.block["operators"][at]
            what = change(graph, op, random)
            if what:
                mutant = Mutant(kind, name, op["outputs"][0], f"{op['op']} {what}", graph.root)
                if str(mutant) not in seen:
                    seen.add(str(mutant))
                    yield mutant


def rescaled(lowering: Lowering, factor: float) -> Iterator[Mutant]:
    """For each RESCALE, a mutant whose multipliers are ``factor`` times as large."""
    for number in range(len(lowering.calls)):
        name = f"delegate {number}"
        file = lowering.file(name)
        for at, op in enumerate(file.block["operators"]):
            if op["op"] == "RESCALE":
                graph = _Changes(file)
                own = graph.file.block["operators"][at]
                values = graph.file.constant(own["inputs"][1])
                graph.replace(own, 1, np.rint(values * factor).astype(values.dtype))
                yield Mutant("multiplier", name, op["outputs"][0], f"RESCALE {values} * {factor}", graph.root)


def _has(file: TosaFile, kind: str, op: dict[str, Any]) -> bool:
    """TOSA allows zero points of 8-bit tensors only."""
    place = {"output zero point": op["outputs"][0], "input zero point": op["inputs"][0]}.get(kind)
    return place is None or file.tensors[place]["type"] == "INT8"


@contextmanager
def lowered_to(lowering: Lowering, mutant: Mutant) -> Iterator[None]:
    """The lowered program with the mutant for a delegate, while it lasts."""
    module = lowering.module(mutant.delegate)
    right = module._processed_bytes
    module._processed_bytes = mutant.serialized
    try:
        yield
    finally:
        module._processed_bytes = right
