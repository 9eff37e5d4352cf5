"""Parses the stack traces and module stacks that torch.export records as text."""

from __future__ import annotations

import re

from fuseguard.ir.graph import SourceLine
from fuseguard.readers.budget import MAX_TRACE_FRAMES, Budget

# CPython's traceback format (Lib/traceback.py, FrameSummary): a File line, then the code line if it was known.
_FRAME = re.compile(r'^\s*File "(?P<file>.*)", line (?P<line>\d{1,9})(?:, in (?P<function>.*))?$')


# No path is longer (PATH_MAX of Linux), and nobody writes such a line. What is longer is cut off.
_LONGEST = 4096


def parse_stack_trace(text: str) -> tuple[SourceLine, ...]:
    """The innermost frames of a recorded stack trace, outermost first; () for text that holds none."""
    frames: list[SourceLine] = []
    for line in text.splitlines():
        match = _FRAME.match(line)
        if match:
            file, function = match["file"], (match["function"] or "").strip()
            frames.append(SourceLine(file[:_LONGEST], int(match["line"]), function[:_LONGEST]))
            if len(frames) == 2 * MAX_TRACE_FRAMES:
                del frames[:MAX_TRACE_FRAMES]
        elif frames and not frames[-1].code and line.strip() and not set(line.strip()) <= set("^~"):
            last = frames[-1]
            frames[-1] = SourceLine(last.file, last.line, last.function, line.strip()[:_LONGEST])
    return tuple(frames[-MAX_TRACE_FRAMES:])


class Traces:
    """The stack traces and module stacks of one file, each parsed once: many nodes share them."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._stacks: dict[str, tuple[SourceLine, ...]] = {"": ()}
        self._modules: dict[str, tuple[str, str]] = {"": ("", "")}

    def stack(self, text: str) -> tuple[SourceLine, ...]:
        """As :func:`parse_stack_trace`; () once the file has had more frames than are kept."""
        found = self._stacks.get(text)
        if found is None:
            found = parse_stack_trace(text)
            found = self._stacks[text] = found if self._budget.frames(len(found)) else ()
        return found

    def module(self, text: str) -> tuple[str, str]:
        """As :func:`parse_module_stack`."""
        found = self._modules.get(text)
        if found is None:
            found = self._modules[text] = parse_module_stack(text)
        return found


def parse_module_stack(text: str) -> tuple[str, str]:
    """Dotted path and type of the innermost module; ("", "") for text of another form, or for names of no module.

    The text is what ``GraphModuleSerializer.serialize_metadata`` (torch/_export/serde/serialize.py) writes:
    ``key,path,type`` per module, outermost first, joined by ``;``. Keys may hold commas within brackets.
    """
    innermost = text.rpartition(";")[2]
    parts = innermost.split(",", 4)
    if len(parts) > 3:
        parts = _split_outside_brackets(innermost)
    return (parts[1], parts[2]) if len(parts) == 3 and len(innermost) <= _LONGEST else ("", "")


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
