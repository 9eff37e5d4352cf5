"""Builds and quantizes one program of the zoo and writes its files; a process of its own, so that it may fail or hang.

    PYTHONPATH=examples python -m zoo.build NAME CONFIG FOLDER

``<name>.<config>.pt2`` is the quantized program, ``<name>.inputs-<n>.pt`` what it is judged on, ``<name>.float.pt2``
and ``<name>.npz`` the float program and the test data where there is a task.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zoo.program import Built, programs
from zoo.quantizing import exported, quantized


def write(name: str, config: str, folder: Path) -> None:
    """Raises KeyError: there is no such program. What building and quantizing raise."""
    entry = programs()[name]
    built = entry.build()
    # Before it is quantized: some quantizers change the module.
    if built.test is not None:
        _saved(exported(built.module, built), folder / f"{name}.float.pt2")
        inputs, labels = built.test
        np.savez(folder / f"{name}.npz", labels=labels.numpy(), **_by_name(built, inputs))
    (folder / f"{name}.dims.json").write_text(json.dumps(dict(built.dims)) + "\n", encoding="utf-8")
    program = quantized(built, config)
    for number, values in enumerate(built.inputs):
        torch.save(values, folder / f"{name}.inputs-{number}.pt")
    _saved(program, folder / f"{name}.{config}.pt2")


def _by_name(built: Built, inputs: tuple[torch.Tensor, ...]) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    if len(inputs) == 1:
        return {"x": inputs[0].numpy()}
    names = [node.name for node in exported(built.module, built).graph.nodes if node.op == "placeholder"]
    return {name: value.numpy() for name, value in zip(names[-len(inputs) :], inputs, strict=True)}


def _saved(program: torch.export.ExportedProgram, path: Path) -> None:
    temporary = path.with_name(f"{path.stem}.tmp.pt2")
    torch.export.save(program, temporary)
    os.replace(temporary, path)


def prepare() -> Callable[[Any], Any]:
    """For a process that builds one program after another (:mod:`fuseguard.executorch.serving`)."""
    from fuseguard.executorch.hurry import hurry_alone, tidy

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    hurry_alone()

    def answer(request: tuple[str, str, str]) -> None:
        name, config, folder = request
        try:
            write(name, config, Path(folder))
        finally:
            tidy()

    return answer


if __name__ == "__main__":
    prepare()(tuple(sys.argv[1:]))
