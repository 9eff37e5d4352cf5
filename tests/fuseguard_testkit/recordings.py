"""The recordings that tests hold against the rules, and small made-up ones for what tests say of recordings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fuseguard import measured
from fuseguard.measured import Recordings
from fuseguard.measured.recording import RecordedCase, Recording, write

#: Six rules on two releases, for as long as no recording ships.
STAND_INS = Path(__file__).parents[1] / "data" / "measured"

#: Those that ship, and the others only where there are none.
RECORDINGS = measured.SHIPPED if measured.SHIPPED.releases else Recordings(STAND_INS)
#: Whether they are to hold every example of every rule.
COMPLETE = RECORDINGS is measured.SHIPPED


def case(
    rule: str = "FU101", shown: str = "kept", seen: str = "wrong", profile: str = "INT", **fields: Any
) -> RecordedCase:
    """An example in which the rule found the case ``shown`` of its table."""
    values: dict[str, Any] = {
        "rule": rule, "example": f"{rule} {shown}", "form": "graph", "spec": f"TOSA-1.0+{profile}", "digest": "0" * 16,
        "found": ((rule, shown),), "seen": seen, "cpu": 0, "guarded": "exact", "repaired": "", "equal": None,
        "date": "2026-11-28",
    }  # fmt: skip
    return RecordedCase(**{**values, **fields})


def recording(release: str, cases: Iterable[RecordedCase] = (), **fields: Any) -> Recording:
    """A recording with these cases."""
    values: dict[str, Any] = {
        "schema": 1, "executorch": release,
        "packages": {"torch": "2.13.0", "torchao": "0.18.0", "tosa-tools": "2026.5.0"},
        "python": "3.11.7", "fuseguard": "0.1.0", "date": "2026-11-28",
        "cases": tuple(sorted(cases, key=lambda item: item.key)),
    }  # fmt: skip
    return Recording(**{**values, **fields})


def recordings(folder: Path, *made: Recording) -> Recordings:
    """The recordings as files in ``folder``, read again."""
    for item in made:
        write(item, folder / f"{item.executorch}.json")
    return Recordings(folder)
