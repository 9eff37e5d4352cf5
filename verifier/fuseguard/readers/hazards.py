"""Looks for what loading the file of a program would run, and runs none of it.

torch and executorch load every program of a file, whichever of them is asked for, so all of them are looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import BinaryIO, TypeVar

import msgspec

from fuseguard.ir.hazard import Hazard
from fuseguard.readers.archive import Archive
from fuseguard.readers.budget import MAX_JSON_BYTES, Budget
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.pickles import MAX_PICKLE_BYTES, beyond_tensors, is_tensor_record
from fuseguard.readers.program_code import Program, program_hazards
from fuseguard.readers.schema import MalformedProgram

MODELS = "models/"
# Of one code. A file may have any number, and a handful say as much.
MAX_TOLD = 8
# Pickles that are compressed have to be unpacked; torch stores them as they are.
_MAX_UNPACKED = 64 * 2**20
T = TypeVar("T")


class _Payload(msgspec.Struct):
    path_name: str = ""
    use_pickle: bool = True


class _Payloads(msgspec.Struct):
    config: dict[str, _Payload]


def limited(found: Iterable[Hazard], place: str) -> tuple[Hazard, ...]:
    """The hazards by code: the first ones of each code, and how many more there are."""
    told: Counter[str] = Counter()
    kept: list[Hazard] = []
    for hazard in found:
        told[hazard.code] += 1
        if told[hazard.code] <= MAX_TOLD:
            kept.append(hazard)
    kept += [
        Hazard(code, place, f"{number - MAX_TOLD:,} more of this kind")
        for code, number in told.items()
        if number > MAX_TOLD
    ]
    return tuple(sorted(kept, key=lambda hazard: hazard.code))


def decoded_json(data: bytes, name: str, kind: type[T], budget: Budget) -> T:
    """JSON within the budget as a struct. Raises MalformedProgram, which names the record, and OverBudget."""
    budget.json(data)
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise MalformedProgram(f"{name}: {error}") from error


def pickled(archive: Archive, source: BinaryIO, budget: Budget, longest: int = MAX_PICKLE_BYTES) -> list[str]:
    """What a file of ``torch.save`` inside the archive may call, besides what rebuilds tensors. Raises OverBudget."""
    try:
        inner = Archive(archive.path, source)
        below = [record[len(inner.root) + 1 :] for record in inner.names]
        inner.require_one_root()
        other = [record for record in below if not is_tensor_record(record)]
        if other:
            return [f"a file with the record {other[0]!r}, which a file of plain tensors does not have"]
        data = inner.read("data.pkl", longest)
    except UnreadableInput:
        return ["a record that is not laid out as torch.save writes it, so it may be any pickle"]
    budget.pickle(data)
    return beyond_tensors(data, longest)


def pickled_record(archive: Archive, name: str, budget: Budget, longest: int = MAX_PICKLE_BYTES) -> list[str]:
    """As :func:`pickled`, of a record, which is read in place if it is stored as it is."""
    try:
        source = archive.window(name, _MAX_UNPACKED)
    except UnreadableInput:
        return ["a record that cannot be unpacked, so it may be any pickle"]
    return pickled(archive, source, budget, longest)


def find_hazards(archive: Archive) -> tuple[Hazard, ...]:
    """What loading a .pt2 archive would run (torch/export/pt2_archive/_package.py of torch 2.13).

    Raises MalformedProgram and UnreadableInput where a part of the file that torch would read cannot be understood,
    OverBudget where it is too large. ``archive`` must have one root folder.
    """
    return limited(_Search(archive).all(), archive.root)


class _Search:
    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._budget = Budget()
        # torch looks records up without regard to case (miniz), and no two here differ by case alone.
        start = len(archive.root) + 1 if archive.root else 0
        self._names = {name[start:].lower(): name[start:] for name in archive.names}

    def all(self) -> Iterator[Hazard]:
        for name in self._names.values():
            if name.startswith(MODELS):
                model = name[len(MODELS) : -len(".json")]
                yield from self._model(name, model)
        # Loaded as shared libraries, one per folder.
        native = (name for name in self._names.values() if name.lower().startswith("data/aotinductor/"))
        for folder, first in {name.split("/")[2]: name for name in native}.items():
            yield Hazard("AR904", first, f"the native code of the package {folder!r}")

    def _model(self, record: str, model: str) -> Iterator[Hazard]:
        yield from program_hazards(record, self._decode(record, Program))
        yield from self._sample_inputs(f"data/sample_inputs/{model}.pt")
        for folder in ("weights", "constants"):
            legacy = self._names.get(f"data/{folder}/{model}.pt".lower())
            if legacy is not None:
                yield Hazard("AR903", legacy, "the pickle of a legacy record, instead of the tensors")
            yield from self._payloads(folder, f"data/{folder}/{model}_{folder}_config.json")

    def _payloads(self, folder: str, record: str) -> Iterator[Hazard]:
        name = self._names.get(record.lower())
        if name is None:
            return
        for tensor, payload in self._decode(name, _Payloads).config.items():
            path = f"data/{folder}/{payload.path_name}"
            if folder == "constants" and payload.path_name.startswith(("opaque_obj_", "custom_obj_")):
                kind = "TorchBind" if payload.path_name.startswith("custom_obj_") else "Python"
                yield Hazard("AR902", path, f"the pickled {kind} object {tensor!r}")
            elif payload.use_pickle:
                yield Hazard("AR901", path, f"the pickled tensor {tensor!r}")

    def _sample_inputs(self, record: str) -> Iterator[Hazard]:
        name = self._names.get(record.lower())
        if name is None or self._archive.size(name) == 0:
            return
        for item in pickled_record(self._archive, name, self._budget):
            yield Hazard("AR909", name, item)

    def _decode(self, name: str, kind: type[T]) -> T:
        return decoded_json(self._archive.read(name, MAX_JSON_BYTES), name, kind, self._budget)
