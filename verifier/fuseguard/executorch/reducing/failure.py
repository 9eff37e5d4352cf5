"""How a program fails, and whether another one fails the same way."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from executorch.exir import EdgeCompileConfig
from torch.export import ExportedProgram

from fuseguard.engine.registry import load_registry
from fuseguard.engine.run import run
from fuseguard.executorch.copying import copy_program
from fuseguard.executorch.judge import prove
from fuseguard.executorch.lowering import compile_spec_for, lower_to_edge
from fuseguard.executorch.partition import support_checks
from fuseguard.executorch.proof import Outcome, Proof
from fuseguard.executorch.raised import root_cause, typed
from fuseguard.readers.fx import read_program
from fuseguard.target import Target

#: Outcomes that there is something to reduce about.
FAILING: frozenset[Outcome] = frozenset(("wrong", "crash", "undefined", "runtime_fault"))

#: What differs between two programs that fail the same way: addresses, numbers, and the ends of nodes' names.
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
_SUFFIX = re.compile(r"(?<=[a-z])_\d+\b|(?<=[a-z])\d+\b")
_NUMBERS = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?(,? -?\d+(\.\d+)?(e[+-]?\d+)?)*")
#: How much of a message is compared: some end with a dump of the graph.
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Failure:
    """The same for two programs that fail the same way.

    ``message``: type and first line of the exception, without numbers and addresses; "" where nothing raises. ``site``:
    the file and function that raised; "" where lowering does not raise. ``rules``: the codes of those that name the
    first wrong cell, of which one is enough; empty for a fault that no rule knows.
    """

    outcome: Outcome
    message: str = ""
    site: str = ""
    rules: frozenset[str] = frozenset()


def normalized(exception: str) -> str:
    """The first line of an exception's text without what depends on sizes and on the names of nodes."""
    text = exception.strip().partition("\n")[0][:_LONGEST]
    return _NUMBERS.sub("N", _SUFFIX.sub("", _ADDRESS.sub("ADDRESS", text)))


@dataclass(frozen=True, slots=True)
class Crash:
    """What lowering raised. ``text``: as in Proof.exception. ``trace``: the traceback, in lines."""

    text: str
    site: str
    trace: str


class Judge:
    """Judges candidates: on one target, in this process."""

    def __init__(
        self,
        target: Target,
        checks: Literal["guard"] | None,
        compile_config: EdgeCompileConfig | None,
        calls: int | None,
    ) -> None:
        self.target = target
        self.checks = checks
        self.compile_config = compile_config
        self.calls = calls
        self.judged = 0

    def prove(self, program: ExportedProgram, inputs: Sequence[Any], *, locate: bool = False) -> Proof:
        """Raises as :func:`fuseguard.executorch.prove` does."""
        self.judged += 1
        return prove(
            program,
            inputs,
            self.target,
            self.checks,
            calls=self.calls,
            compile_config=self.compile_config,
            locate=locate,
        )

    def crash_of(self, program: ExportedProgram) -> Crash | None:
        """What lowering raises; None if it does not."""
        self.judged += 1
        checks = support_checks(self.target) if self.checks == "guard" else None
        try:
            lower_to_edge(copy_program(program), compile_spec_for(self.target), checks, self.compile_config)
        except ImportError:
            raise
        except Exception as error:
            trace = "".join(traceback.format_exception(error))
            cause = root_cause(error)
            return Crash(typed(cause), _site(cause), trace)
        return None

    def failure_of(self, program: ExportedProgram, proof: Proof) -> tuple[Failure, str]:
        """How a program that was proved fails, and the traceback if lowering raises."""
        crash = self.crash_of(program) if proof.outcome == "crash" else None
        site, trace = (crash.site, crash.trace) if crash is not None else ("", "")
        rules = frozenset(code for cell in proof.wrong_cells[:1] for code in cell.findings)
        return Failure(proof.outcome, normalized(proof.exception), site, rules), trace

    def fails_like(self, failure: Failure, program: ExportedProgram, inputs: Sequence[Any]) -> bool:
        """Whether a program fails as ``failure`` says. False too for one that cannot be run at all."""
        if failure.outcome == "crash":
            crash = self.crash_of(program)
            return crash is not None and (normalized(crash.text), crash.site) == (failure.message, failure.site)
        if failure.rules and failure.rules.isdisjoint(self.codes_found(program)):
            return False
        try:
            proof = self.prove(program, inputs, locate=bool(failure.rules))
        except ImportError:
            raise
        except Exception:  # the eager program itself
            return False
        if (proof.outcome, normalized(proof.exception)) != (failure.outcome, failure.message):
            return False
        known = not proof.cells or any(failure.rules.intersection(cell.findings) for cell in proof.wrong_cells)
        return not failure.rules or known

    def codes_found(self, program: ExportedProgram) -> frozenset[str]:
        """The codes of the rules that find something in a program."""
        findings = run(read_program(program), self.target, load_registry().rules).findings
        return frozenset(item.code for item in findings)


def _site(error: BaseException) -> str:
    """File and function of the innermost frame that is not of torch's interpreter or dispatcher."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if f"{os.sep}torch{os.sep}" not in frame.filename] or list(frames)
    return f"{os.path.basename(own[-1].filename)}:{own[-1].name}" if own else ""
