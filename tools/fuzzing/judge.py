"""What a check does with one file, and whether that is a report or one clear error.

Everything that ``fuseguard check`` runs is run: the reader, all rules for one target and, for a share of the files, two
report formats. For a lowered file, that is everything that ``fuseguard inspect`` runs. What is neither report nor
refusal is a :class:`Fault`.
"""

from __future__ import annotations

import json
import re
import traceback
import unicodedata
import xml.etree.ElementTree
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fuseguard.engine.registry import load_registry
from fuseguard.gate.config import Config
from fuseguard.gate.exit_codes import exit_code
from fuseguard.gate.gate import Gate, make_gate
from fuseguard.gate.result import CheckResult, FileError, FileResult
from fuseguard.ir.graph import Graph
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.lowered import read_lowered
from fuseguard.readers.open import read_file
from fuseguard.report import inspection
from fuseguard.report.formats import DOCUMENTS, LINES, render_document
from fuseguard.report.json import dump
from fuseguard.report.lines import plain
from fuseguard.report.options import Options
from fuzzing.corpus import LOWERED

#: One in so many files is rendered, refused ones included.
RENDERED = 4
LONGEST_MESSAGE = 4_000
LONGEST_REPORT = 16 * 2**20
#: What a rule may say that it gives up for: limits that are there for files like these.
_LIMITS = ("TooMuchFound: ", "TooMuchWork: ")
_TARGETS = (
    ("TOSA-1.0+INT", "1.5.1"), ("TOSA-1.0+INT+FP", "1.5.1"), ("TOSA-1.0+INT", "1.4.1"), ("TOSA-1.0+INT+FP", "1.3.1"),
    ("TOSA-1.0+INT", "1.2.0"),
)  # fmt: skip
_COMMAND = re.compile(r"(?:^|[^\w\\])::(?=\S)|##\w*\[|section_(?:start|end):", re.MULTILINE)
#: What a page shows; the rest of it is the same for every program.
_DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)
_GITHUB = re.compile(r"^::(?:error|warning|notice) ", re.MULTILINE)


class Fault(Exception):
    """Neither a report nor one clear error. ``signature`` is the same for the same fault in another file."""

    def __init__(self, signature: str, text: str) -> None:
        super().__init__(text)
        self.signature = signature


class Judge:
    """Checks files as ``fuseguard check`` does. Has all gates ready, so that one file takes some milliseconds."""

    def __init__(self, known: Iterable[Path] = ()) -> None:
        """``known`` are good files. The rules are not run on a file that has the very program of one of them."""
        registry = load_registry()
        self._gates = [
            make_gate(registry, Config(), targets=[target], releases=[release]) for target, release in _TARGETS
        ]
        self._options = Options(Path("source"), {rule.code: rule for rule in registry.rules})
        self._known: frozenset[int] = frozenset()
        self._known_lowered: frozenset[int] = frozenset()
        paths = tuple(known)
        for path in paths:
            for number in range(len(self._gates)):
                self(path, number * RENDERED * len(DOCUMENTS))
        lowered = [path for path in paths if path.suffix in LOWERED]
        self._known = frozenset(_identity(read_file(path)) for path in paths if path not in lowered)
        self._known_lowered = frozenset(hash(repr(read_lowered(path).program)) for path in lowered)

    def __call__(self, path: Path, number: int) -> str:
        """``report``, ``unchanged`` (a report on the program of a good file) or ``refused``.

        ``number`` chooses the target and the formats. Raises Fault.
        """
        name = f"{number}{path.suffix}"
        if path.suffix in LOWERED:
            try:
                return self._inspected(path)
            except Exception as error:
                raise _unforeseen(error) from error
        gate = self._gates[number % len(self._gates)]
        try:
            result = self._checked(path, name, gate)
        except Exception as error:
            raise _unforeseen(error) from error
        if result is None:
            return "unchanged"
        if number % RENDERED == 0:
            turn = number // RENDERED
            try:
                for form in (tuple(LINES)[turn % len(LINES)], tuple(DOCUMENTS)[turn % len(DOCUMENTS)]):
                    self._render(form, result, gate)
            except Exception as error:
                raise _unforeseen(error) from error
        return "report" if result.report is not None else "refused"

    def _inspected(self, path: Path) -> str:
        """As ``fuseguard inspect``, in both of its formats."""
        try:
            read = read_lowered(path)
        except UnreadableInput as error:
            _check_refusal(error, path)
            return "refused"
        if hash(repr(read.program)) in self._known_lowered:
            return "unchanged"
        texts = {"text": plain(inspection.render(path.name, read)), "json": dump(inspection.to_dict(path.name, read))}
        for form, text in texts.items():
            for fault in faults_of(form, text):
                raise Fault(f"inspection {form} {fault}", f"{form}: {fault}")
        return "report"

    def _checked(self, path: Path, name: str, gate: Gate) -> FileResult | None:
        try:
            graph = read_file(path)
        except UnreadableInput as error:
            _check_refusal(error, path)
            return FileResult(name, error=FileError("unreadable", str(error)))
        if self._known and _identity(graph) in self._known:
            return None
        report = gate.check(graph, name)
        for failure in report.failures:
            if not failure.error.startswith(_LIMITS):
                raise Fault(f"rule {failure.code} {failure.error.partition(':')[0]}", f"{failure.code} {failure.error}")
        return FileResult(name, report)

    def _render(self, form: str, result: FileResult, gate: Gate) -> None:
        code = exit_code((result,), gate.fail_on)
        if (result.report is None) != (code == 3) and not (result.report and result.report.failures):
            raise Fault(f"exit code {code}", f"the exit code is {code}")
        whole = CheckResult(gate.targets[0], gate.policy, (result,), (), code, gate.targets, gate.fail_on)
        text = render_document(form, whole, self._options)
        for fault in faults_of(form, text):
            raise Fault(f"report {form} {fault}", f"{form}: {fault}")


def _identity(graph: Graph) -> int:
    """The same for programs of which no rule can tell one from the other."""
    return hash(
        repr([
            (part.name, part.dialect, part.notes, part.hazards, part.buffers, part.mutations, part.functionalized,
             part.delegate, list(part))
            for part in graph.walk()
        ])
    )  # fmt: skip


def faults_of(form: str, text: str) -> Iterator[str]:
    """What is wrong with a report, in one of fuseguard's formats, whatever the file said."""
    if len(text) > LONGEST_REPORT:
        yield f"is longer than {LONGEST_REPORT} characters"
    try:
        text.encode()
    except UnicodeEncodeError:
        yield "has a lone surrogate"
    if any(map(_is_hidden, _distinct(text))):
        yield "has a control or bidirectional character"
    shown = _DATA.findall(text)[0] if form == "html" else text
    if _COMMAND.search(_GITHUB.sub("", shown) if form == "github" else shown):
        yield "has a command of a runner"
    if form == "junit":
        xml.etree.ElementTree.fromstring(text)
    elif form == "json-lines":
        for line in text.splitlines():
            yield from _hidden_in(json.loads(line))
    elif form == "html":
        yield from _hidden_in(json.loads(shown))
    elif form in DOCUMENTS and form not in ("github", "markdown"):
        yield from _hidden_in(json.loads(text))


def _hidden_in(value: Any) -> Iterator[str]:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            if any(map(_is_hidden, _distinct(item))):
                yield "has a string with a control or bidirectional character"
        elif isinstance(item, dict):
            pending += (*item, *item.values())
        elif isinstance(item, list):
            pending += item


def _distinct(text: str) -> set[str]:
    return set() if text.isascii() and text.isprintable() else set(text) - {"\n"}


def _is_hidden(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _check_refusal(error: UnreadableInput, path: Path) -> None:
    """A refusal says what is wrong, in a sentence or two. One for lack of memory means that a limit is missing."""
    text = str(error)
    if not text.startswith(f"{path}: ") or len(text) > LONGEST_MESSAGE:
        raise Fault("refusal without the file's name or too long", text[:500])
    if isinstance(error.__cause__, MemoryError):
        raise Fault("memory", "MemoryError, reported as a file that cannot be read")


def _unforeseen(error: BaseException) -> Fault:
    if isinstance(error, Fault):
        return error
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "fuseguard" in frame.filename or "fuzzing" in frame.filename] or list(frames)
    place = f"{Path(own[-1].filename).name}:{own[-1].name}" if own else ""
    text = "".join(traceback.format_exception(error))
    return Fault(f"{type(error).__name__} in {place}", text[-4000:])
