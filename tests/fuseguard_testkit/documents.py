"""The fenced blocks of README.md, docs/ and other pages, and the commands in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fuseguard_testkit.paths import ROOT

#: The generated reference is left out: the commands in it are examples of the help, and tested with that.
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "rules").glob("*.md"))]

#: Pages whose Python is one script, which tests/docs/test_walkthroughs.py runs.
SCRIPTS = ("docs/ethos-u85.md", "docs/vgf.md")

#: The page whose commands and Python tests/docs/test_first_hour.py runs, in one go.
FIRST_HOUR = "docs/first-hour.md"

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_EXIT = re.compile(r"#.*\bexits with (\d+)")


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    text: str

    @property
    def id(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One command of a block. ``output`` is what the page says that it prints, None if it does not say."""

    text: str
    exit_code: int = 0
    output: str | None = None


def blocks(*languages: str, pages: Iterable[Path] = PAGES) -> list[Block]:
    found = []
    for path in pages:
        text = path.read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            if match[1] in languages:
                line = text.count("\n", 0, match.start()) + 1
                found.append(Block(path.relative_to(ROOT).as_posix(), line, match[1], match[2]))
    return found


def commands(block: Block) -> list[Command]:
    """The commands of a block, in order. A comment "exits with N" states an exit code other than 0."""
    return list(_console(block.text) if block.language == "console" else _script(block.text))


def _script(text: str) -> Iterator[Command]:
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield _command(line, None)


def _console(text: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, output = part.partition("\n")
        yield _command(line, output)


def _command(line: str, output: str | None) -> Command:
    said = _EXIT.search(line)
    text = re.sub(r"\s+#\s.*$", "", line).strip()
    return Command(" ".join(text.split()), int(said[1]) if said else 0, output)
