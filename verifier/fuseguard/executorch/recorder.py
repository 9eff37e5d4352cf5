"""Writes what a selftest sees to a recording, rule by rule, so that an interrupted run loses one rule at most."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

import msgspec

import fuseguard
from fuseguard import measured
from fuseguard.engine.example_cases import Case, Result, cases, example_of
from fuseguard.engine.registry import Registry
from fuseguard.ir.digest import digest
from fuseguard.measured.recording import PACKAGES, SCHEMA, RecordedCase, Recording, RecordingError, read, write


def shipped_place(release: str) -> Path:
    """The file of a release among the recordings that ship. Raises RecordingError outside of a checkout."""
    folder = Path(measured.__file__).resolve().parent
    if not (folder.parents[2] / "pyproject.toml").is_file():
        raise RecordingError(
            f"this fuseguard is not a checkout, and the recordings that it ships stay as they are; name a file, as in "
            f"--record {release}.json."
        )
    return folder / f"{release}.json"


class Recorder:
    """Takes the results of a selftest, in the order of its cases, and writes the file each time a rule is complete.

    What the file has of these rules is replaced, what it has of other rules stays, and what it has of examples that no
    longer exist is dropped. A case whose process was killed is left out.
    """

    def __init__(self, path: Path, release: str, registry: Registry, codes: Sequence[str], *, whole: bool) -> None:
        """``codes`` are the rules to record, ``whole`` says that these are all.

        Raises RecordingError: the file cannot be read or written, is that of another release, or would keep cases that
        were judged with other packages than those installed.
        """
        self._path = path
        self._registry = registry
        self._keys = {_key(case): case for case in cases(registry.rules)}
        #: The cases to judge, in the order in which their results are to come.
        self.cases: tuple[Case, ...] = tuple(case for case in self._keys.values() if case.code in codes)
        self._head = _head(release)
        self._seen: list[RecordedCase] = []
        self._recording = self._before(whole)
        if not os.access(path.absolute().parent, os.W_OK):
            raise RecordingError(f"{path}: cannot be written: {path.parent} is not a folder that files can be put in.")

    def _before(self, whole: bool) -> Recording:
        """The recording to begin with."""
        found = read(self._path)
        if found is None:
            return self._head
        if found.executorch != self._head.executorch:
            raise RecordingError(
                f"{self._path}: a recording of ExecuTorch {found.executorch}, and {self._head.executorch} is installed."
            )
        if found.packages == self._head.packages:
            return found
        if whole:
            return self._head  # nothing of it stays
        raise RecordingError(
            f"{self._path}: recorded with {_listed(found)}, and {_listed(self._head)} are installed; record all rules, "
            f"without --select and --ignore."
        )

    def add(self, result: Result) -> None:
        """Take one result. Raises OSError if a rule is complete by it and the file cannot be written."""
        if self._seen and self._seen[-1].rule != result.case.code:
            self._write()
        if result.judged:
            self._seen.append(self._recorded(result))

    def finish(self) -> None:
        """Write what the last rule has shown. Raises OSError."""
        self._write()

    def _write(self) -> None:
        replaced = {item.rule for item in self._seen}
        kept = [item for item in self._recording.cases if item.rule not in replaced and item.key in self._keys]
        self._recording = msgspec.structs.replace(self._head, cases=_in_order([*kept, *self._seen]))
        self._seen = []
        write(self._recording, self._path)

    def _recorded(self, result: Result) -> RecordedCase:
        case = result.case
        _, example = example_of(case, self._registry)
        return RecordedCase(
            rule=case.code,
            example=case.title,
            form=case.form,
            spec=case.spec,
            digest=digest(example.graph()),
            found=result.found,
            seen=result.outcome,
            cpu=result.cpu,
            guarded=result.guarded,
            repaired=result.repaired,
            equal=result.equal,
            date=_today(),
        )


def _key(case: Case) -> tuple[str, str, str, str]:
    return case.code, case.title, case.form, case.spec


def _in_order(items: Sequence[RecordedCase]) -> tuple[RecordedCase, ...]:
    return tuple(sorted(items, key=lambda item: item.key))


def _head(release: str) -> Recording:
    """A recording without cases, by this process and environment."""
    return Recording(
        schema=SCHEMA,
        executorch=release,
        packages={name: metadata.version(name) for name in PACKAGES},
        python=platform.python_version(),
        fuseguard=fuseguard.__version__,
        date=_today(),
        cases=(),
    )


def _listed(recording: Recording) -> str:
    return ", ".join(f"{name} {version}" for name, version in recording.packages.items())


def _today() -> str:
    return datetime.now(timezone.utc).date().isoformat()
