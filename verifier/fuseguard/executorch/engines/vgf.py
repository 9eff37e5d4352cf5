"""Runs the delegates of a program as VGFs on Vulkan, and compares each with the TOSA reference model."""

from __future__ import annotations

import atexit
import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fuseguard.executorch.child import Child, ChildDied, ChildRaised, ChildTooSlow
from fuseguard.executorch.delegates import (
    DelegateFault,
    NotJudged,
    UndefinedResult,
    as_declared,
    given_arrays,
    run_delegate,
)
from fuseguard.executorch.engines import vgf_worker, vulkan
from fuseguard.executorch.engines.comparing_tensors import compared
from fuseguard.executorch.engines.difference import EngineDifference, EngineLocation
from fuseguard.executorch.engines.locating import located
from fuseguard.executorch.engines.status import require
from fuseguard.ir.vgf import VgfProgram
from fuseguard.readers.budget import Budget, OverBudget
from fuseguard.readers.flatbuffer import MalformedBuffer
from fuseguard.readers.tosa import read_tosa
from fuseguard.readers.vgf import read_vgf

#: How long one run of one VGF may take, its shaders compiled. The largest known takes some 10 s.
SECONDS = 300.0

#: What no reference model knows: the operators that VgfPartitioner brings shaders for.
_CUSTOM = "CUSTOM"


class VgfEngine:
    """Runs VGFs on one Vulkan driver, in one process that stays warm. Close it when it is no longer needed."""

    def __init__(self, icd: Path | None = None, seconds: float = SECONDS) -> None:
        """``icd``: the manifest of the driver; None means lavapipe.

        Raises EngineUnavailable: something is missing here.
        """
        require("vgf", icd)
        driver = icd or vulkan.find_driver()
        assert driver is not None
        layers = None if vulkan.probe(driver, None).has_extensions else vulkan.find_layers()
        self._folder = vulkan.scratch()
        self._child = Child(
            vgf_worker,
            lambda: vulkan.environment(driver, layers, self._folder),
            seconds,
        )

    def run(self, vgf: bytes, arrays: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        """The outputs of a VGF.

        Raises DelegateFault: the VGF cannot be read, takes other inputs, or does not run. NotJudged: it takes too long.
        """
        program = _read(vgf)
        if len(program.inputs) != len(arrays):
            raise DelegateFault(f"the VGF takes {len(program.inputs)} inputs and is given {len(arrays)}")
        path = self._folder / f"{hashlib.sha256(vgf).hexdigest()}.vgf"
        if not path.exists():
            path.write_bytes(vgf)
        interface = [
            [(item.binding, item.shape, item.format) for item in tensors]
            for tensors in (program.inputs, program.outputs)
        ]
        try:
            results: list[np.ndarray[Any, Any]] = self._child.ask((str(path), *interface, list(arrays)))
        except ChildTooSlow as error:
            raise NotJudged(
                f"the VGF does not finish on Vulkan: {error}. That says nothing about the lowering. Give it more time "
                f"(--engine-timeout), or prove a smaller program."
            ) from error
        except ChildDied as error:
            raise DelegateFault(f"the process that runs VGFs on Vulkan died {error}") from error
        except ChildRaised as error:
            raise DelegateFault(f"the VGF does not run on Vulkan: {error}") from error
        return results

    def runner(self, compiled: Mapping[bytes, bytes]) -> VgfRun:
        """What runs the delegates of a lowered program, of which ``compiled`` has the VGF by TOSA."""
        return VgfRun(self, compiled)

    def close(self) -> None:
        """End the process that runs VGFs."""
        self._child.stop()


@cache
def vgf_engine(icd: Path | None = None, seconds: float = SECONDS) -> VgfEngine:
    """The engine for a driver, one for all proofs of this process. Raises EngineUnavailable."""
    engine = VgfEngine(icd, seconds)
    atexit.register(engine.close)
    return engine


class VgfRun:
    """One run of a lowered program: hands on what the VGFs yield, and keeps where the reference model differs."""

    def __init__(self, engine: VgfEngine, compiled: Mapping[bytes, bytes]) -> None:
        """``compiled``: TOSA -> VGF."""
        self.differences: list[EngineDifference] = []
        self._engine = engine
        self._compiled = compiled
        self._numbers: dict[int, int] = {}
        #: By delegate with a difference: its TOSA, and what it was given.
        self._given: dict[int, tuple[bytes, list[np.ndarray[Any, Any]]]] = {}

    def __call__(self, lowered: Any, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The outputs of a delegate's VGF. Raises as :func:`fuseguard.executorch.delegates.run_delegate` does."""
        number = self._numbers.setdefault(id(lowered), len(self._numbers))
        vgf = self._compiled[lowered.processed_bytes]
        arrays = given_arrays(lowered, inputs)
        results = self._engine.run(vgf, arrays)
        if not _has_custom_ops(lowered.processed_bytes):
            _, wanted = run_delegate(lowered, inputs)
            self._compare(number, _read(vgf), arrays, results, wanted)
            if number not in self._given and any(item.delegate == number for item in self.differences):
                self._given[number] = lowered.processed_bytes, [array.copy() for array in arrays]
        return as_declared(lowered, results)

    def locations(
        self, convert: Callable[[bytes], bytes], progress: Callable[[str], None]
    ) -> tuple[EngineLocation, ...]:
        """For each delegate with a difference, the TOSA operator where it begins. ``convert`` makes VGF of TOSA."""
        found = []
        for number, (tosa, arrays) in self._given.items():
            progress(f"locating the difference in delegate {number}")
            outputs = [item.output for item in self.differences if item.delegate == number]
            found.append(located(number, tosa, arrays, outputs, convert, self._engine.run))
        return tuple(found)

    def _compare(
        self,
        number: int,
        program: VgfProgram,
        arrays: Sequence[np.ndarray[Any, Any]],
        results: list[np.ndarray[Any, Any]],
        wanted: Sequence[Any],
    ) -> None:
        found = []
        for place, (result, want) in enumerate(zip(results, wanted, strict=True)):
            want = np.asarray(want)
            results[place] = result = result.reshape(want.shape).astype(want.dtype, copy=False)
            apart = compared(result, want)
            if apart is not None:
                found.append(
                    EngineDifference(
                        delegate=number,
                        output=place,
                        tensor=program.outputs[place].name,
                        differing=apart.differing,
                        elements=apart.elements,
                        largest=apart.largest,
                        at=apart.at,
                        expected=apart.expected,
                        actual=apart.actual,
                        shared_with=_shared_with(program, place),
                    )
                )
        if found and any(array.dtype.kind == "f" and np.isnan(array).any() for array in arrays):
            raise UndefinedResult(
                f"delegate {number} is given NaN, and the VGF yields something else for it than the reference model"
            )
        known = {(item.delegate, item.output) for item in self.differences}
        self.differences += [item for item in found if (item.delegate, item.output) not in known]


def _shared_with(program: VgfProgram, output: int) -> tuple[int, ...]:
    return tuple(
        other for value in program.shared if output in value.outputs for other in value.outputs if other != output
    )


@lru_cache(maxsize=64)
def _has_custom_ops(tosa: bytes) -> bool:
    try:
        return any(op.kind == _CUSTOM for op in read_tosa(tosa, Budget()).ops)
    except (MalformedBuffer, OverBudget):
        return False


@lru_cache(maxsize=64)
def _read(vgf: bytes) -> VgfProgram:
    try:
        return read_vgf(vgf, Budget())
    except (MalformedBuffer, OverBudget) as error:
        raise DelegateFault(f"the VGF cannot be read: {error}") from error
