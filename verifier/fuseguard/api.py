"""``fuseguard.check``: the Python API, with the same options as ``fuseguard check``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fuseguard.engine.registry import load_registry
from fuseguard.engine.run import Report, run
from fuseguard.ir.graph import Graph
from fuseguard.target import Target

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram


def check(
    program: ExportedProgram | torch.fx.GraphModule | Graph | str | os.PathLike[str],
    target: str | Target = "TOSA-1.0+INT+FP",
    executorch: str | None = None,
    policy: str = "consistent",
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
) -> Report:
    """Check a program for one target.

    Args:
        program: a live ``ExportedProgram`` or ``GraphModule`` in ATen or edge dialect, a :class:`Graph`, or the
            path of a ``.pt2`` file. It is never changed, and nothing in a file is executed.
        target: a TOSA specification (``TOSA-1.0+INT``) or an accelerator (``vgf``, ``ethos-u55-128``).
        executorch: the release to check for; None means the installed one, else the newest measured.
        policy: ``consistent``, ``measured`` or ``bit-exact``: which findings the plug-in would refuse.
        select, ignore: rule codes, prefixes or names.

    Raises:
        TargetError: the target or release is not valid.
        UnreadableInput: the file cannot be read or is refused.
        RulePackError: an installed rule pack is broken.
        ValueError: an unknown policy or selector.
    """
    resolved = target if isinstance(target, Target) else Target.parse(target, executorch)
    rules = load_registry().select(select, ignore)
    graph, file = read(program)
    return run(graph, resolved, rules, policy, file)


def read(program: ExportedProgram | torch.fx.GraphModule | Graph | str | os.PathLike[str]) -> tuple[Graph, str]:
    """The graph of a program and its file name ("" for a live one). Raises UnreadableInput, TypeError."""
    if isinstance(program, Graph):
        return program, ""
    if isinstance(program, str | os.PathLike):
        from fuseguard.readers.pt2 import read_pt2

        return read_pt2(Path(program)), str(program)
    from fuseguard.readers.fx import read_program  # imports torch, which a caller with a live program has

    return read_program(program), ""
