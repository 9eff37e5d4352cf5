"""Programs with dynamic sizes, made for fixed ones: the TOSA reference model runs nothing else.

Source: ``torch.export.ExportedProgram.range_constraints``. torch names a dynamic size by a symbol (``s77``) and does
not keep the name that ``torch.export.Dim`` was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import ExportedProgram

from fuseguard.executorch.inputs import InputsError, call_arguments, input_metas


@dataclass(frozen=True, slots=True)
class DynamicSize:
    """A dynamic size of a program's inputs: where it is (``x[0]``), and the sizes that the program allows."""

    name: str
    places: tuple[str, ...]
    smallest: int
    largest: float

    def __str__(self) -> str:
        most = f" to {int(self.largest)}" if self.largest < _UNBOUNDED else " or more"
        return f"{self.name} ({', '.join(self.places)}: {self.smallest}{most})"


#: torch's bounds are sys.maxsize, or an infinity of sympy's, where there is none.
_UNBOUNDED = 2**31


def dynamic_sizes(program: ExportedProgram) -> dict[str, DynamicSize]:
    """The dynamic sizes of the program's inputs, by the name of the symbol."""
    places: dict[str, list[str]] = {}
    for name, meta in input_metas(program).items():
        for dim, size in enumerate(meta.shape if isinstance(meta, torch.Tensor) else ()):
            for symbol in _symbols(size):
                places.setdefault(symbol, []).append(f"{name}[{dim}]")
    ranges = {str(symbol): bounds for symbol, bounds in program.range_constraints.items()}
    found = {}
    for symbol, where in places.items():
        bounds = ranges.get(symbol)
        low, high = (bounds.lower, bounds.upper) if bounds is not None else (0, _UNBOUNDED)
        found[symbol] = DynamicSize(symbol, tuple(where), max(int(low), 0), min(float(high), float(_UNBOUNDED)))
    return found


def with_sizes(program: ExportedProgram, sizes: Mapping[str, int]) -> ExportedProgram:
    """The program for fixed sizes; itself if it has no dynamic ones and none are given. Nodes keep their names.

    Args:
        program: is not changed. The result shares its weights.
        sizes: one for each of :func:`dynamic_sizes`, by the symbol (``s77``) or by a place (``x[0]``).

    Raises InputsError: a name is unknown, a size is missing or outside of what the program allows, or the program
    cannot be exported for these sizes.
    """
    known = dynamic_sizes(program)
    if not known and not sizes:
        return program
    fixed = _by_symbol(known, sizes)
    values = [_value(meta, fixed) for meta in input_metas(program).values()]
    args, kwargs = call_arguments(program, values)
    try:
        made: ExportedProgram = torch.export.export(program.module(check_guards=False), args, kwargs)
    except Exception as error:  # torch raises many kinds for sizes that an op does not take
        text = str(error).partition("\n")[0]
        raise InputsError(f"the program cannot be exported for {_said(fixed)}: {text}") from error
    return made


def _by_symbol(known: Mapping[str, DynamicSize], sizes: Mapping[str, int]) -> dict[str, int]:
    symbols = {place: size.name for size in known.values() for place in (size.name, *size.places)}
    listed = "; ".join(map(str, known.values())) or "none"
    fixed: dict[str, int] = {}
    for name, value in sizes.items():
        symbol = symbols.get(name)
        if symbol is None:
            raise InputsError(f"the program has no dynamic size {name!r}; it has {listed}")
        if not known[symbol].smallest <= value <= known[symbol].largest:
            raise InputsError(f"{name} cannot be {value}; the program allows {known[symbol]}")
        if fixed.setdefault(symbol, value) != value:
            raise InputsError(f"{name} is given as {value}, and as {fixed[symbol]} by another name")
    missing = [str(size) for size in known.values() if size.name not in fixed]
    if missing:
        raise InputsError(f"sizes are missing: {'; '.join(missing)}")
    return fixed


def _symbols(size: Any) -> list[str]:
    """The symbols in a size of a fake tensor: ``s77`` or ``2*s77``; none in a number."""
    return [] if isinstance(size, int) else sorted(map(str, size.node.expr.free_symbols))


def _value(meta: Any, fixed: Mapping[str, int]) -> Any:
    if not isinstance(meta, torch.Tensor):
        return meta
    return torch.zeros([_fixed(size, fixed) for size in meta.shape], dtype=meta.dtype)


def _fixed(size: Any, fixed: Mapping[str, int]) -> int:
    if isinstance(size, int):
        return size
    expression = size.node.expr
    value = expression.subs({symbol: fixed[str(symbol)] for symbol in expression.free_symbols})
    if not value.is_integer:
        raise InputsError(f"the size {expression} is {value} for {_said(fixed)}, and must be a whole number")
    return int(value)


def _said(fixed: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in fixed.items())
