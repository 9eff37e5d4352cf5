"""Runs a delegate again with every tensor as an output, and says at which TOSA operator an engine parts from TOSA."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from fuseguard.executorch.delegates import NotJudged
from fuseguard.executorch.engines.comparing_tensors import Apart, compared, first_apart
from fuseguard.executorch.engines.difference import EngineLocation
from fuseguard.executorch.lockstep.tosa_graph import CONSTANTS, read_tosa, with_outputs
from fuseguard.executorch.raised import said
from fuseguard.executorch.reference_model import run_and_keep
from fuseguard.readers.budget import Budget, OverBudget
from fuseguard.readers.flatbuffer import MalformedBuffer
from fuseguard.readers.vgf import read_vgf

Arrays: TypeAlias = "Sequence[np.ndarray[Any, Any]]"

#: What Vulkan has a format for. The INT48 sums of an int16 convolution are in no VGF.
_VISIBLE = frozenset(("BOOL", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32"))

#: How often the graph is converted until no two outputs are one value. To drop an output reveals no others.
_CONVERSIONS = 4


def located(
    delegate: int,
    tosa: bytes,
    arrays: Arrays,
    outputs: Sequence[int],
    convert: Callable[[bytes], bytes],
    run: Callable[[bytes, Arrays], Arrays],
) -> EngineLocation:
    """Where the differences of ``outputs`` of one delegate on ``arrays`` begin. Raises ImportError.

    ``convert`` makes VGF of TOSA and raises RuntimeError; ``run`` runs a VGF, as VgfEngine does.
    """
    graph = read_tosa(tosa)
    computed = tuple(
        dict.fromkeys(name for op in graph.ops if op.name not in CONSTANTS for name in op.outputs)
    )  # in execution order, so that of tensors with one value the first remains
    visible = tuple(name for name in computed if graph.tensors[name].dtype in _VISIBLE)
    try:
        kept, merged, vgf = _without_twins(tosa, visible, convert)
        values = dict(zip(kept, run(vgf, arrays), strict=True)) if kept else {}
        wanted, status = run_and_keep(with_outputs(tosa, visible), arrays)
    except (RuntimeError, NotJudged, OSError, MalformedBuffer, OverBudget) as error:
        return EngineLocation(delegate, tensors=len(computed), reason=said(error).strip().partition("\n")[0])
    if status != "TOSA_VALID":
        return EngineLocation(delegate, tensors=len(computed), reason=f"the reference model says {status}")
    source = {name: group[0] for group in merged for name in group}
    seen: dict[str, Apart | None] = {}
    for name, want in zip(visible, wanted, strict=True):
        value = values.get(source.get(name, name))
        if value is not None:
            expected = np.asarray(want.load())
            seen[name] = compared(value.reshape(expected.shape).astype(expected.dtype, copy=False), expected)
    names = {number: graph.outputs[number] for number in outputs}
    passed_on = [number for number, name in names.items() if name not in seen]
    reason = f"output {passed_on[0]} is an input that the VGF passes on" if passed_on else ""
    return EngineLocation(
        delegate,
        compared=len(seen),
        tensors=len(computed),
        ops=tuple(first_apart(graph, seen, names.values())),
        reproduced=tuple(number for number, name in names.items() if seen.get(name) is not None),
        merged=tuple(group for group in merged if not set(group).isdisjoint(names.values())),
        reason=reason,
    )


def _without_twins(
    tosa: bytes, names: tuple[str, ...], convert: Callable[[bytes], bytes]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], bytes]:
    """The names that can be outputs of one VGF together, groups of names that are one value in it, and this VGF.

    Of outputs that are one value, the runtime may write the last alone, so the first name of each group is an output
    for all of them. An input that is passed on is not an output either. The VGF itself says which these are.
    """
    groups: dict[str, list[str]] = {}
    for _ in range(_CONVERSIONS):
        if not names:
            return (), _told(groups), b""
        vgf = convert(with_outputs(tosa, names))
        program = read_vgf(vgf, Budget())
        if len(program.outputs) != len(names):
            raise RuntimeError(f"the VGF has {len(program.outputs)} outputs instead of {len(names)}")
        dropped = {names[place] for place in program.passed_on}
        for value in program.shared:
            first, *others = (names[place] for place in sorted(value.outputs))
            for name in others:
                groups.setdefault(first, [first]).extend(groups.pop(name, [name]))
            dropped.update(others)
        if not dropped:
            return names, _told(groups), vgf
        names = tuple(name for name in names if name not in dropped)
    raise RuntimeError(f"after {_CONVERSIONS} conversions, outputs of the VGF still share a value")


def _told(groups: dict[str, list[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(group) for group in groups.values())
