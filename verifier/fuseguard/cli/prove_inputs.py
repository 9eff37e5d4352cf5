"""What ``fuseguard prove`` runs a program on: tensors from a file that is not trusted, or random ones. Needs torch."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from fuseguard.cli.early import check_inputs, random_seed
from fuseguard.cli.exits import Failure, Refused
from fuseguard.executorch.inputs import InputsError, flat_inputs, input_metas
from fuseguard.ir.qparams import QParams
from fuseguard.ir.view import View
from fuseguard.readers.fx import read_program


def read_inputs(text: str, program: ExportedProgram) -> tuple[Any, ...]:
    """The inputs of ``program``, flat and in order, as ``--inputs`` asks for them.

    Raises Failure: with 3 for a file that cannot be read, with 2 for inputs that do not fit the program.
    """
    metas = _placeholders(program)
    seed = random_seed(text)
    if seed is not None:
        tensors = _random(program, metas, seed)
    else:
        tensors = _in_order(_read(Path(text)), list(metas))
    try:
        return flat_inputs(program, tensors)
    except InputsError as error:
        raise Failure(f"--inputs {text!r}: {error}.") from error


def _placeholders(program: ExportedProgram) -> dict[str, torch.Tensor]:
    """User inputs by name, each with its fake tensor, in order."""
    metas: dict[str, torch.Tensor] = {}
    for name, value in input_metas(program).items():
        if not isinstance(value, torch.Tensor):
            raise Failure(f"input {name!r} of the program is not a tensor; prove it with fuseguard.executorch.prove.")
        metas[name] = value
    return metas


def _random(program: ExportedProgram, metas: Mapping[str, torch.Tensor], seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ranges = _quantized_ranges(program)
    return [_draw(name, meta, ranges.get(name), generator) for name, meta in metas.items()]


def _quantized_ranges(program: ExportedProgram) -> dict[str, QParams]:
    """The qparams that each input is quantized with at once, if it is."""
    view = View(read_program(program))
    found = {}
    for node in view.graph:
        for quantize in view.out_q(node) if node.op == "placeholder" else ():
            qparams = view.qparams(quantize)
            if qparams is not None and qparams.known and not qparams.per_channel:
                found[node.name] = qparams
    return found


def _draw(name: str, meta: torch.Tensor, qparams: QParams | None, generator: torch.Generator) -> torch.Tensor:
    shape = [_size(name, size) for size in meta.shape]
    if meta.dtype == torch.bool:
        return torch.randint(0, 2, shape, generator=generator).bool()
    if not meta.dtype.is_floating_point:
        return torch.randint(0, 2, shape, generator=generator).to(meta.dtype)
    if qparams is None:
        return torch.randn(shape, generator=generator).to(meta.dtype)
    # A little beyond the range on both sides, so that saturation at the input is tried as well.
    margin = 0.05 * (qparams.high - qparams.low)
    low, high = qparams.low - margin, qparams.high + margin
    return (torch.rand(shape, generator=generator) * (high - low) + low).to(meta.dtype)


def _size(name: str, size: Any) -> int:
    if isinstance(size, int):
        return size
    hint = getattr(getattr(size, "node", None), "hint", None)
    if isinstance(hint, int):
        return hint
    raise Failure(f"input {name!r} has a size that is not fixed; give --inputs a file.")


def _read(path: Path) -> Mapping[str, torch.Tensor] | Sequence[torch.Tensor]:
    """Tensors by name or in order, read without running anything in the file."""
    check_inputs([str(path)])
    try:
        return _read_npz(path) if path.suffix == ".npz" else _read_pt(path)
    except Failure:
        raise
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, TypeError, pickle.UnpicklingError,
            zipfile.BadZipFile) as error:  # fmt: skip
        text = "no such file" if isinstance(error, FileNotFoundError) else str(error).partition("\n")[0]
        raise Refused(f"--inputs {str(path)!r} cannot be read: {text}") from error


def _read_npz(path: Path) -> dict[str, torch.Tensor]:
    import numpy as np

    with np.load(path, allow_pickle=False) as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive.files}


def _read_pt(path: Path) -> Mapping[str, torch.Tensor] | Sequence[torch.Tensor]:
    value: Any = torch.load(path, weights_only=True)
    if isinstance(value, torch.Tensor):
        return (value,)
    items = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list | tuple) or not all(isinstance(item, torch.Tensor) for item in items):
        raise Refused(f"--inputs {str(path)!r} holds no tensor, sequence or dict of tensors.")
    return value


def _in_order(found: Mapping[str, torch.Tensor] | Sequence[torch.Tensor], names: list[str]) -> list[torch.Tensor]:
    """By name where the names are the program's, else in the order of the file."""
    if isinstance(found, Mapping):
        if set(found) == set(names):
            return [found[name] for name in names]
        found = list(found.values())
    if len(found) != len(names):
        raise Failure(f"--inputs holds {len(found)} tensors, the program takes {len(names)}: {', '.join(names)}.")
    return list(found)
