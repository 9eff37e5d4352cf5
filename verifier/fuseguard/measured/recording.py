"""One recording: what one release did with every example, as a JSON file with a case on each line.

``fuseguard schema recording`` prints the JSON Schema of it.
"""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Mapping
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import msgspec

#: Version of the file's format. Raise it when a key changes its meaning or goes.
SCHEMA = 1

#: Packages whose versions a recording holds beside ExecuTorch's own: they take part in lowering or in judging.
PACKAGES: tuple[str, ...] = ("torch", "torchao", "tosa-tools")


class RecordingError(ValueError):
    """A recording that cannot be read or extended. The text names the file and says what to do."""


class RecordedCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One example in one form for one TOSA specification, and its result.

    ``digest`` is that of the example's graph (:func:`fuseguard.ir.digest.digest`). ``found`` lists what the rules
    found: code and case of the rule's effects table, the worst first. ``seen`` is the judge's outcome of the unguarded
    lowering, ``cpu`` counts the operators that it left outside of delegates, quantize and dequantize ops apart.
    ``guarded`` is the outcome with the guard, "" where the guard refuses nothing; ``repaired`` that of the exactly
    repaired program, "" where nothing was repaired, and ``equal`` whether its eager results are those of the program
    to the bit, None where nothing was repaired. ``date`` is the day of the judgement in UTC.
    """

    rule: str
    example: str
    form: str
    spec: str
    digest: str
    found: tuple[tuple[str, str], ...]
    seen: str
    cpu: int
    guarded: str
    repaired: str
    equal: bool | None
    date: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells it from every other case of a recording; the order of the file."""
        return self.rule, self.example, self.form, self.spec

    @property
    def profile(self) -> str:
        """``INT`` or ``INT+FP``: the part of the specification that effects tables tell apart."""
        parts = self.spec.split("+")
        return "+".join(part for part in ("INT", "FP") if part in parts)

    @property
    def own(self) -> tuple[str, ...]:
        """The cases of the example's own rule that were found in it."""
        return tuple(case for code, case in self.found if code == self.rule)


class Recording(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """All cases of one release, sorted by key. ``date`` and ``fuseguard`` are those of the last change."""

    schema: int
    executorch: str
    packages: dict[str, str]
    python: str
    fuseguard: str
    date: str
    cases: tuple[RecordedCase, ...]

    @cached_property
    def _index(self) -> Mapping[tuple[str, str, str], tuple[RecordedCase, ...]]:
        index: dict[tuple[str, str, str], list[RecordedCase]] = {}
        for item in self.cases:
            for case in dict.fromkeys(item.own):
                index.setdefault((item.rule, case, item.profile), []).append(item)
        return {key: tuple(items) for key, items in index.items()}

    @cached_property
    def _by_rule(self) -> Mapping[str, tuple[RecordedCase, ...]]:
        cases = sorted(self.cases, key=attrgetter("rule"))  # stable: in the order of the file within a rule
        return {rule: tuple(items) for rule, items in groupby(cases, attrgetter("rule"))}

    def of_rule(self, code: str) -> tuple[RecordedCase, ...]:
        """The cases of the rule's examples; none for a rule that was not recorded."""
        return self._by_rule.get(code, ())

    def seen(self, rule: str, case: str, profile: str) -> tuple[RecordedCase, ...]:
        """The rule's own examples in which it found ``case`` of its effects table under ``profile``."""
        return self._index.get((rule, case, profile), ())


def decode(data: bytes, name: str) -> Recording:
    """The recording in a file's bytes; ``name`` is what an error calls it. Raises RecordingError."""
    try:
        found = msgspec.json.decode(data.removeprefix(codecs.BOM_UTF8), type=Recording)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordingError(
            f"{name}: not a fuseguard recording: {error}; restore it from version control, or record all rules again "
            f"under another name."
        ) from error
    if found.schema != SCHEMA:
        raise RecordingError(
            f"{name}: a recording in format {found.schema}, and this fuseguard reads {SCHEMA}; record all rules again, "
            f"or use a fuseguard that matches."
        )
    return found


def encode(recording: Recording) -> str:
    """The text of the file, a case on each line: the same cases give the same text."""
    fields = msgspec.to_builtins(recording)
    cases = fields.pop("cases")
    head = "".join(f"  {json.dumps(key)}: {json.dumps(value)},\n" for key, value in fields.items())
    lines = ",\n".join(f"    {json.dumps(item)}" for item in cases)
    return f'{{\n{head}  "cases": [\n{lines}\n  ]\n}}\n'


def read(path: Path) -> Recording | None:
    """The recording in a file, None where there is no such file. Raises RecordingError."""
    try:
        return decode(path.read_bytes(), str(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordingError(f"{path}: cannot read the recording: {error.strerror or error}.") from error


def write(recording: Recording, path: Path) -> None:
    """Write the file under a temporary name and rename it, so that nobody ever reads half of one. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(encode(recording), encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
