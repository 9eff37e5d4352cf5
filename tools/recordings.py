"""Compares what ``fuseguard selftest --record`` wrote about two releases.

Needs only the standard library: a recording is read as the JSON that it is (``fuseguard schema recording`` describes
it), so that one can be compared which this checkout has not been adapted to yet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: What tells a case from every other one.
KEY = ("rule", "example", "form", "spec")

#: What was seen of it: the outcome as lowered, operators left on the CPU, outcomes with the guard and after the repair,
#: and whether the repaired program computes the same codes.
SEEN = ("seen", "cpu", "guarded", "repaired", "equal")


@dataclass(frozen=True)
class Case:
    """One example of a rule in one form for one specification, and what was seen of it."""

    key: tuple[str, ...]
    digest: str
    seen: Mapping[str, Any]

    def __str__(self) -> str:
        rule, example, *rest = self.key
        return f"{rule} {example} ({', '.join(rest)})"


@dataclass(frozen=True)
class Recording:
    """All cases of one release."""

    release: str
    cases: Mapping[tuple[str, ...], Case]


def read_recording(path: Path) -> Recording:
    """Read a recording. Raises ValueError if it is of another form."""
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    try:
        cases = [Case(tuple(item[name] for name in KEY), item["digest"], _seen(item)) for item in data["cases"]]
        return Recording(data["executorch"], {case.key: case for case in cases})
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path.name} is not a recording of a known form: {error!r}") from error


def _seen(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: item[name] for name in SEEN}


def differences(old: Recording, new: Recording) -> Iterator[str]:
    """One line for each case that ended otherwise, and one for each that cannot be compared."""
    for key in sorted(old.cases.keys() | new.cases.keys()):
        before, after = old.cases.get(key), new.cases.get(key)
        if before is None or after is None:
            yield f"{after or before}: only recorded on {new.release if before is None else old.release}"
        elif before.digest != after.digest:
            yield f"{after}: another program was recorded on {old.release}; record it again there"
        elif before.seen != after.seen:
            changed = (name for name in SEEN if before.seen[name] != after.seen[name])
            words = (f"{name} {_word(before.seen[name])} -> {_word(after.seen[name])}" for name in changed)
            yield f"{after}: {', '.join(words)}"


def _word(value: Any) -> str:
    return "-" if value in ("", None) else str(value).lower()
