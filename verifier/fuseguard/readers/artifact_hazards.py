"""Looks for what loading a file of executorch.exir.serde, of torch 2.6 or an ETRecord would run, and runs none of it.

Source: torch/export/__init__.py (load of the older format) and torch/_export/serde/serialize.py of torch 2.13;
executorch/exir/serde and executorch/devtools/etrecord/_etrecord.py of ExecuTorch 1.2 to 1.5. All tensors of these
files are pickles. torch tries the restricted unpickler and then the other one; ExecuTorch 1.2 takes what an ETRecord
has for reference outputs with pickle.loads. So each pickle is looked through, and passes if all it calls rebuilds
tensors.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from io import BytesIO

import msgspec

from fuseguard.ir.hazard import Hazard
from fuseguard.readers.archive import Archive
from fuseguard.readers.budget import MAX_JSON_BYTES, Budget
from fuseguard.readers.hazards import decoded_json, limited, pickled, pickled_record
from fuseguard.readers.program_code import Program, program_hazards, texts_of
from fuseguard.readers.schema import MalformedProgram
from fuseguard.readers.torch_zip import MAX_PICKLE_BYTES


class _Lowered(msgspec.Struct):
    """executorch.exir.serde.schema.LoweredBackendModule: the parts that are loaded as a program is."""

    original_module: Program
    original_state_dict: str = ""
    original_constants: str = ""


def find_hazards(
    archive: Archive, programs: Iterable[str], tensors: Iterable[str], inputs: Iterable[str]
) -> tuple[Hazard, ...]:
    """What loading the archive would run, from its records of programs, of weights and constants, and of inputs.

    Delegates are programs within the JSON of another one, and are looked through like any other. Raises
    MalformedProgram and UnreadableInput where a part of the file that would be read cannot be understood, OverBudget
    where it is too large.
    """
    return limited(_Search(archive).all(programs, tensors, inputs), archive.path.name)


class _Search:
    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._budget = Budget()

    def all(self, programs: Iterable[str], tensors: Iterable[str], inputs: Iterable[str]) -> Iterator[Hazard]:
        for name in programs:
            data = self._archive.read(name, MAX_JSON_BYTES)
            yield from self._program(name, decoded_json(data, name, Program, self._budget))
        for code, names in (("AR901", tensors), ("AR909", inputs)):
            for name in names:
                yield from self._record(code, name)

    def _program(self, place: str, program: Program) -> Iterator[Hazard]:
        """What a program and the delegates in it, however deep, would run."""
        pending = [(place, program)]
        while pending:
            place, program = pending.pop()
            yield from program_hazards(place, program)
            for text in texts_of(program):
                # No operator takes text that looks like this, and the name of the op need not be that of a delegate's.
                if not text.lstrip().startswith("{"):
                    continue
                inside = f"{place}, a delegate"
                lowered = decoded_json(text.encode("utf-8", "surrogatepass"), inside, _Lowered, self._budget)
                for encoded in (lowered.original_state_dict, lowered.original_constants):
                    data = _bytes_of(inside, encoded)
                    found = pickled(self._archive, BytesIO(data), self._budget, MAX_PICKLE_BYTES) if data else []
                    for item in found:
                        yield Hazard("AR901", inside, item)
                pending.append((inside, lowered.original_module))

    def _record(self, code: str, name: str) -> Iterator[Hazard]:
        if self._archive.size(name):
            for item in pickled_record(self._archive, name, self._budget, MAX_PICKLE_BYTES):
                yield Hazard(code, name, item)


def _bytes_of(place: str, text: str) -> bytes:
    try:
        return base64.b64decode(text)  # as lenient as executorch is
    except (binascii.Error, ValueError) as error:
        raise MalformedProgram(f"{place}: bytes that are not base64 ({error})") from error
