"""Asks Vela about the delegates of a placement: which of them it refuses, and which ops it leaves to the CPU.

An Ethos-U delegate has no CPU part. What Vela does not take therefore ends the lowering, although the partitioner had
accepted it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from executorch.exir import EdgeCompileConfig
from torch.export import ExportedProgram
from torch.fx.passes.operator_support import OperatorSupportBase

from fuseguard.executorch.copying import copy_program
from fuseguard.executorch.engines.lowering import delegates_of
from fuseguard.executorch.engines.npu import NpuDelegate
from fuseguard.executorch.engines.status import EngineUnavailable, vela_status
from fuseguard.executorch.engines.vela import SECONDS, vela_engine
from fuseguard.executorch.lowering import ancestry
from fuseguard.executorch.placements import LeftOut, Reason, VelaAnswer
from fuseguard.executorch.raised import said
from fuseguard.executorch.vela_origins import Origin, origins
from fuseguard.ir.tosa import TosaOp
from fuseguard.readers.budget import Budget
from fuseguard.readers.tosa import read_tosa
from fuseguard.target import Target

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
#: What Vela's message says of operators is about none of these: nearly every delegate has them.
_EVERYWHERE = ("CONST", "CONST_SHAPE", "IDENTITY")
_LEFT_OUT = "Vela leaves it to the CPU, and a delegate has no CPU part"


def ask_vela(
    program: ExportedProgram,
    target: Target,
    checks: Sequence[OperatorSupportBase] | None = None,
    compile_config: EdgeCompileConfig | None = None,
    seconds: float = SECONDS,
) -> VelaAnswer:
    """Lower a copy of ``program`` for an Ethos-U and compile each delegate, with the flags of its compile spec.

    Args:
        program: a quantized program in the ATen dialect.
        target: an Ethos-U.
        checks: those of the guard and of the partitioner.
        compile_config: what the program is lowered with.
        seconds: how long Vela may take for one delegate.

    Raises nothing that lowering or Vela raises: the answer has a note instead.
    """
    status = vela_status()
    if not status.works:
        missing = ", ".join(piece.name for piece in status.pieces if not piece.ok)
        return VelaAnswer(target.accelerator, note=f"{missing} is not installed: {'; '.join(status.install)}")
    copied = copy_program(program, share_weights=True)
    names = {(node.name, *ancestry(node)): node.name for node in copied.graph.nodes if node.op == "call_function"}
    try:
        with origins(names) as known:
            lowered, npu = vela_engine(seconds).lower(copied, target, checks, compile_config)
    except EngineUnavailable as error:
        return VelaAnswer(target.accelerator, note=str(error))
    except Exception as error:  # of the backend, in a delegate that comes before Vela
        note = f"lowering raises before Vela: {type(error).__name__}: {said(error)}"
        return VelaAnswer(target.accelerator, note=note)
    found: list[LeftOut] = []
    for delegate, made in zip(npu.delegates, delegates_of(lowered.program.graph_module), strict=True):
        tosa = bytes(made.processed_bytes)
        ops = read_tosa(tosa, Budget()).ops
        made_for = known.get(tosa, {})
        found += _refused(delegate, ops, made_for) if delegate.fault else _left(delegate, made_for)
    refused = tuple((delegate.number, delegate.reason) for delegate in npu.faults)
    return VelaAnswer(target.accelerator, npu.vela, len(npu.delegates), refused, tuple(found))


def _refused(delegate: NpuDelegate, ops: Sequence[TosaOp], known: Mapping[str, Origin]) -> Iterator[LeftOut]:
    """The ops of the kinds that Vela's message names, each once; of a message that names none, all that compute."""
    named = {_plain(word) for word in _WORD.findall(delegate.message)}
    kinds = {op.kind for op in ops if op.kind not in _EVERYWHERE}
    asked = {kind for kind in kinds if _plain(kind) in named} or kinds - {"RESCALE", "RESHAPE", "TRANSPOSE"}
    chosen = [(op.kind, op.outputs[0]) for op in ops if op.kind in asked and op.outputs]
    text = f"in delegate {delegate.number}, which Vela does not compile: {delegate.reason}"
    yield from _described(chosen, known, Reason("vela", delegate.fault, text, f"delegate {delegate.number}"))


def _left(delegate: NpuDelegate, known: Mapping[str, Origin]) -> Iterator[LeftOut]:
    chosen = [(op.kind, op.tensor) for op in delegate.ops if op.place == "left out"]
    yield from _described(chosen, known, Reason("vela", "left out", _LEFT_OUT, _LEFT_OUT))


def _described(chosen: Sequence[tuple[str, str]], known: Mapping[str, Origin], reason: Reason) -> Iterator[LeftOut]:
    seen: set[tuple[Any, ...]] = set()
    for kind, tensor in chosen:
        origin = known.get(tensor, Origin(tensor, "", "", None))
        key = (kind, origin.before or origin.node)
        if key not in seen:
            seen.add(key)
            yield LeftOut(origin.node, origin.before, kind, "", origin.module, origin.source, (reason,))


def _plain(name: str) -> str:
    """``conv2d`` of both ``CONV2D`` (TOSA) and ``Conv2D`` (Vela), ``depthwiseconv2d`` of ``DEPTHWISE_CONV2D``."""
    return name.replace("_", "").lower()
