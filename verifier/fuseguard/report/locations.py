"""Where in the user's checkout a finding is: at a source line below the source root, else at the program's file.

A stack trace names files of the machine that exported the program. They are found again by the longest end of their
path that is a file below the source root; a file of which no more than the name fits has to have the recorded line too,
since many a ``model.py`` is another one's. Lines that moved since the export are found again by their text. What a
report quotes comes from the recorded trace, and not from the file.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from fuseguard.engine.finding import Finding
from fuseguard.engine.shown import place_of
from fuseguard.ir.graph import SourceLine
from fuseguard.ir.value import Value
from fuseguard.report.quoting import name

_DEEPEST = 32  # folders of a recorded path, and frames of a stack, that are looked at
_LARGEST = 4 * 1024 * 1024  # bytes of a source file that is read for the columns of a line


def shown_place(place: str, module: str = "") -> str:
    """:func:`place_of` of a place that is a text, ``file:line`` or "", and the module that it is in."""
    file, _, line = place.rpartition(":")
    if file and line.isdecimal():
        place = place_of(SourceLine(file, int(line)))
    return " ".join(filter(None, (place, f"in {module}" if module else "")))


def origin(finding: Finding) -> str:
    """Where in the model a finding is, for a report that points into the user's code: its module, and the line of an
    installed package that is the model's own. No path of this machine is in it.
    """
    source = finding.source
    line = source.packaged if source is not None and source.installed else ""
    return ", ".join(filter(None, (f"module {name(finding.module)}" if finding.module else "", name(line))))


class Location(Value, frozen=True):
    """``path`` is relative to the source root, with slashes. ``line`` is 0 where the place is a program, not a source.

    Columns count characters from 1; ``end_column`` is the one after the last.
    """

    path: str
    line: int = 0
    column: int = 1
    end_column: int = 2


class Locator:
    """Finds recorded paths below one source root. Keeps what it found: findings share files."""

    def __init__(self, source_root: Path) -> None:
        self._root = source_root.absolute()
        self._found: dict[str, str] = {}
        self._lines: dict[str, list[str]] = {}
        self._numbers: dict[str, dict[str, list[int]]] = {}  # of the lines with a text

    def locate(self, finding: Finding) -> Location:
        """The innermost line of the finding's stack that is below the source root, else the program's file."""
        for line in self._candidates(finding):
            path = self._below_root(line.file)
            if path and ("/" in path or self._is_of(path, line)):
                return self._place(path, line)
        return Location(self.artifact(finding.file))

    def artifact(self, file: str) -> str:
        """The program's file relative to the source root, or its bare name where it is not below that.

        A report goes to other machines: no path of this one belongs into it.
        """
        if not file:
            return "program"
        # Not resolved: code hosts do not follow links either.
        path = Path(file) if Path(file).is_absolute() else Path.cwd() / file
        parts = _without_dots(path)
        root = _without_dots(self._root)
        if parts[: len(root)] == root and len(parts) > len(root):
            return "/".join(parts[len(root) :])
        return PurePosixPath(path.name or "program").as_posix()

    def _candidates(self, finding: Finding) -> list[SourceLine]:
        stack = finding.stack or ((finding.source,) if finding.source is not None else ())
        # A virtual environment below the root is not the user's source.
        return [line for line in reversed(stack[-_DEEPEST:]) if not line.generated and not line.installed]

    def _below_root(self, file: str) -> str:
        if file not in self._found:
            self._found[file] = self._search(file)
        return self._found[file]

    def _search(self, file: str) -> str:
        parts = [part for part in file.replace("\\", "/").split("/") if part not in ("", ".")]
        if parts and parts[0].endswith(":"):
            parts = parts[1:]  # a Windows drive
        if not parts or ".." in parts or "\0" in file or len(parts) > _DEEPEST:
            return ""
        root = _without_dots(self._root)
        if tuple(parts[: len(root)]) == root:
            parts = parts[len(root) :]
        for start in range(len(parts)):
            path = self._root.joinpath(*parts[start:])
            try:
                if path.is_file():
                    return "/".join(parts[start:])
            except OSError:  # a name that is too long for the file system
                continue
        return ""

    def _is_of(self, path: str, line: SourceLine) -> bool:
        """Whether a file that has the recorded one's name is likely to be it."""
        parts = [part for part in line.file.replace("\\", "/").split("/") if part not in ("", ".")]
        same = tuple(parts[:-1]) in ((), _without_dots(self._root))
        return same or not line.code.strip() or self._number(path, line) > 0

    def _place(self, path: str, line: SourceLine) -> Location:
        """Line and columns of the text, as the file has it now; the recorded line if it has it no more."""
        code = line.code.strip()
        number = self._number(path, line)
        if not number:
            return Location(path, line.line, 1, max(len(code) + 1, 2))
        text = self._text(path)[number - 1]
        start = len(text) - len(text.lstrip()) + 1
        return Location(path, number, start, start + len(code))

    def _number(self, path: str, line: SourceLine) -> int:
        """The number of the line with the recorded text, of several the nearest to where it was; 0 if there is none."""
        if path not in self._numbers:
            numbers = self._numbers[path] = {}
            for number, text in enumerate(self._text(path), 1):
                numbers.setdefault(text.strip(), []).append(number)
        code = line.code.strip()
        found = self._numbers[path].get(code, []) if code else []
        return min(found, key=lambda number: abs(number - line.line), default=0)

    def _text(self, path: str) -> list[str]:
        if path not in self._lines:
            self._lines[path] = self._read(path)
        return self._lines[path]

    def _read(self, path: str) -> list[str]:
        try:
            with open(self._root / path, encoding="utf-8", errors="replace") as handle:
                return handle.read(_LARGEST).split("\n")
        except OSError:
            return []


def _without_dots(path: Path) -> tuple[str, ...]:
    """The parts of an absolute path, without its anchor and with ``..`` taken back."""
    parts: list[str] = []
    for part in path.parts[1:]:
        if part == "..":
            parts = parts[:-1]
        else:
            parts.append(part)
    return tuple(parts)
