"""Reads what ``fuseguard selftest`` recorded on a release, and compares two recordings.

Needs only the standard library: a recording is read as the JSON that it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: What identifies a case.
KEY = ("code", "example", "form", "target")

#: What was seen of it: as lowered, with the guard, and after the repair.
SEEN = ("seen", "guarded", "repaired")


@dataclass(frozen=True)
class Case:
    """One example of a rule, in one form, for one target, and the judge's words for it; "" where it was not judged."""

    key: tuple[str, ...]
    seen: Mapping[str, str]
    fault: str

    def __str__(self) -> str:
        code, example, *rest = self.key
        return f"{code} {example} ({', '.join(rest)})"


@dataclass(frozen=True)
class Recording:
    """All cases of one release."""

    release: str
    cases: Mapping[tuple[str, ...], Case]

    @property
    def faults(self) -> tuple[str, ...]:
        """The cases in which the effects table says something else than was seen, one line each."""
        return tuple(f"{case}: {case.fault}" for case in self.cases.values() if case.fault)


def read_recording(path: Path) -> Recording:
    """Read a recording. Raises KeyError if it is of another form."""
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    cases = (_case(item) for item in data["cases"])
    return Recording(data["executorch"], {case.key: case for case in cases})


def _case(item: Mapping[str, Any]) -> Case:
    key = tuple(str(item[name]) for name in KEY)
    return Case(key, {name: str(item[name]) for name in SEEN if item.get(name) is not None}, item.get("fault", ""))


def differences(old: Recording, new: Recording) -> Iterator[str]:
    """One line for each case that both have and that ended otherwise, and one for each that only one of them has."""
    for key in sorted(old.cases.keys() | new.cases.keys()):
        before, after = old.cases.get(key), new.cases.get(key)
        if before is None or after is None:
            yield f"{after or before}: only recorded on {new.release if before is None else old.release}"
            continue
        changed = [name for name in SEEN if before.seen.get(name, "") != after.seen.get(name, "")]
        if changed:
            words = (f"{name} {before.seen.get(name) or '-'} -> {after.seen.get(name) or '-'}" for name in changed)
            yield f"{after}: {', '.join(words)}"
