"""Lines of the user's own source around a finding, for a report that is read on the machine that made it.

A program names files and lines, and whoever wrote it chose them. So an excerpt is taken only of a Python file below the
source root, and only where this file has, at that place, the very line that the program recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fuseguard.engine.finding import Finding
from fuseguard.ir.graph import SourceLine
from fuseguard.report.locations import Location

#: Lines before and after the one that is meant.
AROUND = 3
_LARGEST = 1024 * 1024  # bytes of a source file


@dataclass(frozen=True, slots=True)
class Excerpt:
    """``lines`` of a file, the first of which has the number ``first``. ``line`` is the number of the one meant."""

    first: int
    line: int
    lines: tuple[str, ...]


@dataclass
class Excerpts:
    """Finds excerpts below one source root. Reads each file once."""

    source_root: Path
    _texts: dict[str, list[str]] = field(default_factory=dict)

    def of(self, finding: Finding, location: Location) -> Excerpt | None:
        """The excerpt at ``location``, which is the finding's; None where there is none to show."""
        if not location.line or not location.path.endswith(".py"):
            return None
        lines = self._read(location.path)
        if not _recorded(finding, lines[location.line - 1] if location.line <= len(lines) else ""):
            return None
        first = max(1, location.line - AROUND)
        return Excerpt(first, location.line, tuple(lines[first - 1 : location.line + AROUND]))

    def _read(self, path: str) -> list[str]:
        if path not in self._texts:
            try:
                with open(self.source_root / path, encoding="utf-8", errors="replace") as handle:
                    self._texts[path] = handle.read(_LARGEST).split("\n")
            except OSError:
                self._texts[path] = []
        return self._texts[path]


def _recorded(finding: Finding, text: str) -> bool:
    """Whether the program recorded this very line for the finding."""
    stack: tuple[SourceLine, ...] = (*finding.stack, *((finding.source,) if finding.source is not None else ()))
    return bool(text.strip()) and any(line.code.strip() == text.strip() for line in stack)
