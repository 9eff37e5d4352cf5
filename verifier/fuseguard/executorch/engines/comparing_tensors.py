"""Compares tensors that an engine yields with the reference model's, and finds the operator where they part."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fuseguard.executorch.comparing import FLOAT_TOLERANCE
from fuseguard.executorch.engines.difference import EngineOp
from fuseguard.executorch.lockstep.tosa_graph import CONSTANTS, TosaGraph, TosaOp

#: By numpy's name of a dtype, how much of a tensor's largest value a float may be off from the reference model's:
#: both round, and the digits of a transcendental function's last places are nobody's to promise.
TOLERANCE: Mapping[str, float] = {"float32": FLOAT_TOLERANCE, "float16": 2.0**-9}


@dataclass(frozen=True, slots=True)
class Apart:
    """How far one tensor is from the reference model's, where it is beyond the tolerance."""

    differing: int
    elements: int
    largest: float
    at: tuple[int, ...]
    expected: float
    actual: float


def compared(result: np.ndarray[Any, Any], want: np.ndarray[Any, Any]) -> Apart | None:
    """None if both are equal: integers to the bit, floats within the tolerance. They have one shape."""
    errors = _errors(result, want)
    differing = errors > _tolerance(want)
    if not differing.any():
        return None
    at = np.unravel_index(int(errors.argmax()), errors.shape) if errors.shape else ()
    return Apart(
        int(differing.sum()),
        errors.size,
        float(errors.max()),
        tuple(map(int, at)),
        float(want[at]),
        float(result[at]),
    )


def _errors(result: np.ndarray[Any, Any], want: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    left, right = result.astype(np.float64), want.astype(np.float64)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(np.where(same, 0.0, np.abs(left - right)), nan=math.inf)


def _tolerance(want: np.ndarray[Any, Any]) -> float:
    """What elements may be off by: nothing for integers."""
    part = TOLERANCE.get(want.dtype.name)
    if part is None:
        return 0.0
    finite = want[np.isfinite(want)]
    return part * float(np.abs(finite.astype(np.float64)).max()) if finite.size else 0.0


def first_apart(graph: TosaGraph, seen: Mapping[str, Apart | None], outputs: Collection[str]) -> Iterator[EngineOp]:
    """The operators whose result differs while their operands agree, in execution order.

    ``seen``: by its name, what the comparison of a tensor says, None if it agrees. Constants and the inputs of the
    graph agree; other tensors are unknown and looked through. ``outputs``: only what one of these is computed from
    counts, and nothing above a tensor that agrees. If a tensor differs and all that is computed from it is right, the
    engine has the right value there and does not write it out.
    """
    makers = {name: op for op in graph.ops for name in op.outputs}
    concerned = _upstream(makers, outputs, {name for name, apart in seen.items() if apart is None})
    for op in graph.ops:
        for name in op.outputs:
            apart = seen.get(name)
            if apart is None or name not in concerned:
                continue
            through, operands = _operands(graph, makers, op, seen)
            if all(seen.get(operand) is None for operand in operands):
                yield EngineOp(
                    (*through, op.name), name, operands, apart.differing, apart.elements, apart.largest, apart.at,
                    apart.expected, apart.actual,
                )  # fmt: skip


def _operands(
    graph: TosaGraph, makers: Mapping[str, TosaOp], op: TosaOp, seen: Mapping[str, Apart | None]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The operators between ``op`` and the tensors above it that were compared, in order, and these tensors."""
    between: set[TosaOp] = set()
    found: dict[str, None] = {}
    pending = list(reversed(op.inputs))
    while pending:
        name = pending.pop()
        maker = makers.get(name)
        if name in seen or maker is None:
            found[name] = None
        elif maker.name not in CONSTANTS and maker not in between:
            between.add(maker)
            pending += reversed(maker.inputs)
    return tuple(item.name for item in graph.ops if item in between), tuple(found)


def _upstream(makers: Mapping[str, TosaOp], names: Collection[str], agreeing: Collection[str]) -> set[str]:
    found: set[str] = set()
    pending: list[str] = list(names)
    while pending:
        name = pending.pop()
        if name not in found and name not in agreeing:
            found.add(name)
            pending += makers[name].inputs if name in makers else ()
    return found
