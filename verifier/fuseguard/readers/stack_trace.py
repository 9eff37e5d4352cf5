"""Parses the stack traces and module stacks that torch.export records as text."""

from __future__ import annotations

import re
from functools import lru_cache

from fuseguard.ir.graph import SourceLine

# CPython's traceback format (Lib/traceback.py, FrameSummary): a File line, then the code line if it was known.
_FRAME = re.compile(r'^\s*File "(?P<file>.*)", line (?P<line>\d{1,9})(?:, in (?P<function>.*))?$')


@lru_cache(maxsize=8192)
def parse_stack_trace(text: str) -> tuple[SourceLine, ...]:
    """The frames of a recorded stack trace, outermost first; () for text that holds none."""
    frames: list[SourceLine] = []
    for line in text.splitlines():
        match = _FRAME.match(line)
        if match:
            frames.append(SourceLine(match["file"], int(match["line"]), (match["function"] or "").strip()))
        elif frames and not frames[-1].code and line.strip() and not set(line.strip()) <= set("^~"):
            last = frames[-1]
            frames[-1] = SourceLine(last.file, last.line, last.function, line.strip())
    return tuple(frames)


@lru_cache(maxsize=8192)
def parse_module_stack(text: str) -> tuple[str, str]:
    """Dotted path and type of the innermost module; ("", "") for text of another form.

    The text is what ``GraphModuleSerializer.serialize_metadata`` (torch/_export/serde/serialize.py) writes:
    ``key,path,type`` per module, outermost first, joined by ``;``. Keys may hold commas within brackets.
    """
    innermost = text.rpartition(";")[2]
    parts = innermost.split(",")
    if len(parts) > 3:
        parts = _split_outside_brackets(innermost)
    return (parts[1], parts[2]) if len(parts) == 3 else ("", "")


def _split_outside_brackets(text: str) -> list[str]:
    parts: list[str] = []
    start = depth = 0
    for position, character in enumerate(text):
        if character in "[(":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]]
