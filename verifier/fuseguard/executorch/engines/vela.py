"""Compiles the delegates of a program with Vela, as EthosUPartitioner does, and keeps what Vela says about them."""

from __future__ import annotations

import atexit
import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from executorch.exir import EdgeCompileConfig
from torch.export import ExportedProgram
from torch.fx.passes.operator_support import OperatorSupportBase

from fuseguard.executorch.child import Child, ChildDied, ChildRaised, ChildTooSlow
from fuseguard.executorch.engines import vela_worker
from fuseguard.executorch.engines.lowering import delegates_of
from fuseguard.executorch.engines.npu import NpuDelegate, NpuReport
from fuseguard.executorch.engines.status import require, require_target
from fuseguard.executorch.engines.vela_files import read_ops, read_summary
from fuseguard.executorch.locking import one_at_a_time
from fuseguard.executorch.lowering import Lowered, lower_to_edge
from fuseguard.executorch.raised import said
from fuseguard.target import Target

#: How long Vela may take for one delegate. Small ones take a tenth of a second.
SECONDS = 300.0

_OUTPUT = "--output-dir="
_CONFIG = re.compile(r"--(system-config|memory-mode)=(.*)")


class VelaEngine:
    """Compiles TOSA graphs in one process that stays warm. Close it when it is no longer needed."""

    def __init__(self, seconds: float = SECONDS) -> None:
        """``seconds``: how long Vela may take for one delegate. Raises EngineUnavailable."""
        require("vela")
        self._child = Child(vela_worker, seconds=seconds)

    @one_at_a_time
    def lower(
        self,
        program: ExportedProgram,
        target: Target,
        checks: Sequence[OperatorSupportBase] | None = None,
        compile_config: EdgeCompileConfig | None = None,
    ) -> tuple[Lowered, NpuReport]:
        """Lowers with EthosUPartitioner and compiles every delegate. Consumes ``program``.

        The delegates of the result hold their TOSA, those too that Vela refuses.

        Raises TargetError for a target that is not an Ethos-U's, and what the backend raises before Vela is called.
        """
        from executorch.backends.arm.ethosu import EthosUCompileSpec, EthosUPartitioner

        require_target("vela", target)
        spec = EthosUCompileSpec(target.accelerator)
        config = {found[1]: found[2] for found in map(_CONFIG.fullmatch, spec.compiler_flags) if found}
        with self._compilations() as found:
            lowered = lower_to_edge(program, spec, checks, compile_config, EthosUPartitioner)
        graphs = [bytes(delegate.processed_bytes) for delegate in delegates_of(lowered.program.graph_module)]
        return lowered, NpuReport(
            target.accelerator,
            metadata.version("ethos-u-vela"),
            config.get("system-config", ""),
            config.get("memory-mode", ""),
            tuple(replace(found[tosa], number=number) for number, tosa in enumerate(graphs)),
        )

    @contextlib.contextmanager
    def _compilations(self) -> Iterator[dict[bytes, NpuDelegate]]:
        """What Vela makes of each TOSA graph that the backend compiles meanwhile.

        The backend's own ``vela_compile`` runs, with Vela in its process, and hands out the TOSA instead.
        """
        from executorch.backends.arm import arm_vela
        from executorch.backends.arm.ethosu import backend

        module: Any = backend
        compiler: Any = arm_vela
        compile_graph, vela = module.vela_compile, compiler.vela
        found: dict[bytes, NpuDelegate] = {}
        written: list[tuple[int, int, Any]] = []

        def kept(tosa_flatbuffer: bytes, *args: Any, **kwargs: Any) -> Any:
            tosa = bytes(tosa_flatbuffer)
            written.clear()

            def main(arguments: Sequence[str]) -> None:
                self._child.ask([*arguments, "--enable-debug-db"])
                folder = Path(next(text for text in arguments if text.startswith(_OUTPUT)).removeprefix(_OUTPUT))
                summary = read_summary(folder)
                cycles, sram = float(summary["cycles_total"]), float(summary["sram_memory_used"]) * 1024
                written.append((round(cycles), round(sram), read_ops(folder, tosa)))

            compiler.vela = SimpleNamespace(main=main)
            try:
                result = compile_graph(tosa, *args, **kwargs)
            except Exception as error:  # of Vela's or of vela_compile's own
                found[tosa] = _fault(error)
                result = getattr(compiler, "VelaCompileResult", lambda compiled: compiled)(tosa)
            else:
                binary = getattr(result, "processed_bytes", result)
                cycles, sram, ops = written[-1]
                found[tosa] = NpuDelegate(0, cycles=cycles, sram=sram, binary=len(binary), ops=ops)
                result = tosa if binary is result else replace(result, processed_bytes=tosa)
            finally:
                compiler.vela = vela
            return result

        module.vela_compile = kept
        try:
            yield found
        finally:
            module.vela_compile = compile_graph

    def close(self) -> None:
        """End the process that runs Vela."""
        self._child.stop()


@cache
def vela_engine(seconds: float = SECONDS) -> VelaEngine:
    """The engine, one for all proofs of this process. Raises EngineUnavailable."""
    engine = VelaEngine(seconds)
    atexit.register(engine.close)
    return engine


def _fault(error: Exception) -> NpuDelegate:
    """A delegate that Vela does not compile."""
    if isinstance(error, ChildTooSlow):
        return NpuDelegate(0, "slow", f"Vela does not finish: {error}. Give it more time (--engine-timeout).")
    if isinstance(error, ChildDied):
        ending = "A lowering without fuseguard runs Vela in its own process, which ends with it."
        return NpuDelegate(0, "died", f"the process that runs Vela died {error}. {ending}")
    text = str(error) if isinstance(error, ChildRaised) else f"{type(error).__name__}: {said(error)}"
    return NpuDelegate(0, "refused", text)
