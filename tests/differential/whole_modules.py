"""The torch side of the fourth grammar: state, twin outputs, and arguments around a base program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .whole_grammar import State, WholeProgram

#: Twins that are not in the table: "relu twice", "relu clone" and "input" replace the result too, or ignore it.
_TWINS: dict[str, Callable[[Tensor], Tensor]] = {
    "same": lambda v: v,
    "dropout": lambda v: F.dropout(v, 0.5, False),
    "clone": torch.clone,
    "contiguous": lambda v: v.contiguous(),
    "view": lambda v: v.view(v.shape) if v.is_contiguous() else v.reshape(v.shape),
    "reshaped": lambda v: v.flatten().reshape(v.shape),
    "detach": lambda v: v.detach(),
    "to": lambda v: v.to(v.dtype),
    "transposed twice": lambda v: v.transpose(0, -1).transpose(0, -1),
}


class Held(nn.Module):
    """A buffer as large as a result of the base program, which each call reads and writes."""

    memory: Tensor
    count: Tensor
    places: Tensor

    def __init__(self, state: State, value: Tensor) -> None:
        super().__init__()
        self.state = state
        self.rows = max(1, value.shape[1] // 2)
        self.register_buffer("memory", torch.zeros(value.shape))
        self.register_buffer("places", torch.arange(self.rows))
        if state.way == "counter":
            self.register_buffer("count", torch.zeros(1, dtype=torch.int64))

    def forward(self, value: Tensor) -> list[Tensor]:
        read, found = self.state.read, []
        if read in ("before", "both"):
            found.append(value + self.memory)
        if read == "matmul":
            found.append(torch.matmul(value, self.memory.transpose(-1, -2)))
        self._write(value)
        if read in ("after", "both"):
            found.append(self.memory * 1.5)
        if self.state.way == "counter":
            found.append(value + self.count)
        return found

    def _write(self, value: Tensor) -> None:
        way, rows = self.state.way, self.rows
        if way == "copy_":
            self.memory.copy_(value)
        elif way == "add_":
            self.memory.add_(value)
        elif way == "decay":
            self.memory.mul_(0.5).add_(value)
        elif way == "slice":
            self.memory[:, :rows] = value[:, :rows]
        elif way == "index_copy_":
            self.memory.index_copy_(1, self.places, value[:, :rows])
        elif way == "index_put_":
            self.memory[:, self.places] = value[:, :rows]
        elif way == "slice_scatter":
            self.memory.copy_(torch.slice_scatter(self.memory, value[:, :rows], 1, 0, rows))
        elif way == "shift":
            self.memory.copy_(torch.cat([self.memory[:, rows:], value[:, :rows]], 1))
        else:
            self.count.add_(1)


class WholeModule(nn.Module):
    """The base program's module with the features of a :class:`WholeProgram`.

    ``inputs``: what the base program takes, with which it is run once, for the shapes of its results.
    """

    def __init__(self, program: WholeProgram, base: nn.Module, inputs: Sequence[Tensor]) -> None:
        super().__init__()
        self.base = base
        self.program = program
        self.taken = len(inputs)
        with torch.no_grad():
            results = [*base(*inputs), *inputs]
        self.written = -1
        if program.state is not None:
            places = [number for number, value in enumerate(results) if value.is_floating_point() and value.dim() > 1]
            self.written = places[program.state.value % len(places)]
            self.held = Held(program.state, results[self.written])
        #: What arguments add to: the first result that is float, or an input.
        self.changed = next(number for number, value in enumerate(results) if value.is_floating_point())
        self.shape = results[self.changed].shape

    def forward(self, *inputs: Any, **options: Any) -> tuple[Any, ...]:
        own, extras = inputs[: self.taken], list(inputs[self.taken :])
        results = list(self.base(*own))
        values = [*results, *own]
        after = self.held(values[self.written]) if self.program.state is not None else []
        outputs = self._with_twin(results, own)
        for name in self.program.arguments:
            outputs += self._argument(name, values[self.changed], extras, options)
        return (*outputs, *after)

    def _with_twin(self, results: list[Tensor], inputs: Sequence[Tensor]) -> list[Any]:
        twin = self.program.twin
        if not twin:
            return results
        place = self.program.twin_value % len(results)
        value = results[place]
        if twin == "input":
            return [*results, inputs[0]]
        if twin.startswith("relu"):
            first = torch.relu(value)
            return [*results, first, torch.relu(value) if twin == "relu twice" else first.clone()]
        return [*results, _TWINS[twin](value)]

    def _argument(self, name: str, value: Tensor, extras: list[Any], options: dict[str, Any]) -> list[Any]:
        """The results that an argument adds; it takes its own from ``extras``."""
        if name == "none output":
            return [None]
        if name == "int output":
            return [7]
        if name.startswith("keyword"):
            return [_with_option(value, options[_KEYWORDS[name]])]
        given = extras.pop(0)
        if name == "unread":
            return []
        if name == "none":
            return [value * 2.0 if given is None else value + given]
        if name == "bool":
            return [torch.relu(value) if given else value]
        if name == "nested":
            return [value + given["first"] * given["rest"][0]]
        if name == "indices":
            return [torch.index_select(value if value.dim() else value.reshape(1), -1, given)]
        if name == "mask":
            return [value.masked_fill(given, -1.0)]
        return [value * given]


_KEYWORDS = {"keyword tensor": "bias", "keyword none": "extra", "keyword number": "factor"}


def _with_option(value: Tensor, given: Any) -> Tensor:
    if given is None:
        return value - 1.0
    return value + given if isinstance(given, Tensor) else value * given


def arguments_of(module: WholeModule) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the program takes after the inputs of its base program: positional arguments, then those by keyword."""
    shape = module.shape
    length = shape[-1] if shape else 1
    positional: dict[str, Callable[[], Any]] = {
        "none": lambda: None,
        "int": lambda: 3,
        "float": lambda: 0.5,
        "bool": lambda: True,
        "nested": lambda: {"first": torch.randn(shape), "rest": [torch.randn(shape)]},
        "indices": lambda: torch.arange(length - 1, -1, -1),
        "mask": lambda: torch.rand(shape) > 0.5,
        "unread": lambda: torch.randn(shape),
    }
    keyword: dict[str, Callable[[], Any]] = {
        "keyword tensor": lambda: torch.randn(shape),
        "keyword none": lambda: None,
        "keyword number": lambda: 1.5,
    }
    torch.manual_seed(module.program.seed + 31)
    names = module.program.arguments
    given = tuple(positional[name]() for name in names if name in positional)
    return given, {_KEYWORDS[name]: keyword[name]() for name in names if name in keyword}
