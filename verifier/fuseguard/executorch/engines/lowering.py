"""Lowers a program with VgfPartitioner itself, and keeps the TOSA that each VGF was made from."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from executorch.exir import EdgeCompileConfig
from torch.export import ExportedProgram
from torch.fx import GraphModule
from torch.fx.passes.operator_support import OperatorSupportBase

from fuseguard.executorch.engines.status import converter_beside_python
from fuseguard.executorch.locking import one_at_a_time
from fuseguard.executorch.lowering import Lowered, lower_to_edge
from fuseguard.target import Target, TargetError


@one_at_a_time
def lower_to_vgf(
    program: ExportedProgram,
    target: Target,
    checks: Sequence[OperatorSupportBase] | None = None,
    compile_config: EdgeCompileConfig | None = None,
) -> Lowered:
    """As :func:`fuseguard.executorch.lowering.lower_to_edge`, for Vulkan. Consumes ``program``.

    The delegates of the result hold their TOSA, so that all that reads TOSA works on them; ``Lowered.compiled`` has
    the VGF of each. Raises TargetError for a target that is not Vulkan's, and what the backend raises.
    """
    from executorch.backends.arm.vgf import VgfCompileSpec, VgfPartitioner

    if target.accelerator not in ("vgf", "tosa"):
        raise TargetError(f"the engine vgf runs the target vgf or a TOSA specification, and not {target.name}")
    try:
        spec = VgfCompileSpec(target.spec)
    except Exception as error:
        raise TargetError(
            f"the VGF backend of ExecuTorch {target.release} does not accept {target.spec!r}: {error}"
        ) from error
    with _converter_found(), _conversions() as made:
        lowered = lower_to_edge(program, spec, checks, compile_config, VgfPartitioner)
    sources = {vgf: tosa for tosa, vgf in made}
    compiled = {}
    for delegate in delegates_of(lowered.program.graph_module):
        vgf = bytes(delegate.processed_bytes)
        if vgf in sources:
            delegate._processed_bytes = sources[vgf]
            compiled[sources[vgf]] = vgf
    return replace(lowered, compiled=compiled)


def convert_to_vgf(tosa: bytes, target: Target) -> bytes:
    """The VGF that the backend makes of a TOSA flatbuffer. Raises RuntimeError with the converter's last words."""
    from executorch.backends.arm.vgf import VgfCompileSpec
    from executorch.backends.arm.vgf.backend import VgfBackend

    with _converter_found():
        try:
            vgf: bytes = VgfBackend._compile_tosa_flatbuffer(tosa, VgfCompileSpec(target.spec))
        except RuntimeError as error:
            words = str(error).partition("Stderr:")[2].partition("Stdout:")[0].strip().splitlines()
            raise RuntimeError(f"model-converter refuses the graph: {words[-1] if words else error}") from error
    return vgf


@contextlib.contextmanager
def _converter_found() -> Iterator[None]:
    """Puts the converter beside this Python on PATH, where the backend looks for it, unless there is one."""
    beside = converter_beside_python()
    before = os.environ.get("PATH", os.defpath)
    if beside is None or os.environ.get("MODEL_CONVERTER_PATH") or shutil.which("model-converter"):
        yield
        return
    os.environ["PATH"] = os.pathsep.join((before, str(Path(beside).parent)))
    try:
        yield
    finally:
        os.environ["PATH"] = before


@contextlib.contextmanager
def _conversions() -> Iterator[list[tuple[bytes, bytes]]]:
    """What the backend converts meanwhile: pairs of TOSA and VGF. It hands out nothing but the VGF."""
    from executorch.backends.arm.vgf import backend

    module: Any = backend
    convert = module.vgf_compile
    made: list[tuple[bytes, bytes]] = []

    def kept(tosa_flatbuffer: bytes, *args: Any, **kwargs: Any) -> bytes:
        vgf: bytes = convert(tosa_flatbuffer, *args, **kwargs)
        made.append((bytes(tosa_flatbuffer), vgf))
        return vgf

    module.vgf_compile = kept
    try:
        yield made
    finally:
        module.vgf_compile = convert


def delegates_of(module: GraphModule) -> Iterator[Any]:
    """The delegates of a lowered program, those in the bodies of control flow too."""
    for node in module.graph.nodes:
        if node.op == "get_attr":
            held = getattr(module, str(node.target), None)
            if isinstance(held, GraphModule):
                yield from delegates_of(held)
            elif hasattr(held, "processed_bytes"):
                yield held
