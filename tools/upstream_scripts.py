"""Writes examples/upstream: a bug report for each fault that the installed release still has.

    .venvs/1.5.1/bin/python tools/upstream_scripts.py                 # all; about half an hour of one core
    .venvs/1.5.1/bin/python tools/upstream_scripts.py --select FU101  # those of some rules; the others stay
    .venvs/1.5.1/bin/python tools/upstream_scripts.py --index         # the README alone

What is reduced are the rules' own examples, quantized by Arm's quantizer: one for each case of each rule's effects
table that the recording of the installed release shows to fail.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fuseguard.engine.example_cases import Case, example_of
from fuseguard.engine.registry import load_registry
from fuseguard.engine.rule import Rule
from fuseguard.measured import RELEASES, SHIPPED
from fuseguard.measured.recording import RecordedCase

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "examples" / "upstream"
FAILING = ("wrong", "crash", "undefined", "runtime_fault")


@dataclass(frozen=True, slots=True)
class Fault:
    """One case of a rule with the example that is reduced for it."""

    rule: Rule
    name: str
    recorded: RecordedCase

    @property
    def path(self) -> Path:
        words = (self.rule.code.lower(), *re.findall("[a-z0-9]+", self.name.lower()))
        return FOLDER / f"{'_'.join(words)}.py"

    @property
    def releases(self) -> dict[str, str]:
        """By release, the newest first: what the recording says of the example, if it has it."""
        found = {}
        for release in reversed(RELEASES):
            seen = [case.seen for case in SHIPPED.recording(release).cases if case.key == self.recorded.key]
            if seen:
                found[release] = seen[0]
        return found


def faults(release: str) -> Iterator[Fault]:
    """One for each rule and case that the recording of ``release`` shows to fail with default annotations."""
    registry = load_registry()
    taken: set[tuple[str, str]] = set()
    for case in SHIPPED.recording(release).cases:
        rule = registry.get(case.rule)
        if rule is None or case.form != "program" or case.seen not in FAILING or not case.own:
            continue
        new = [name for name in case.own if (case.rule, name) not in taken]
        taken |= {(case.rule, name) for name in case.own}
        if new:
            yield Fault(rule, new[0], case)


def notes(fault: Fault) -> list[str]:
    """Paragraphs for the head of a script."""
    recorded = fault.recorded
    seen: dict[str, list[str]] = {}
    for release, outcome in fault.releases.items():
        seen.setdefault(outcome, []).append(release)
    outcomes = "; ".join(f"{outcome} on {', '.join(releases)}" for outcome, releases in seen.items())
    _, example = example_of(_case(fault), load_registry())
    return [
        f"ExecuTorch releases: {outcomes} (the program before it was reduced, for {recorded.spec}).",
        f"Why: {' '.join(fault.rule.why.split())}",
        f"This is rule {fault.rule.code} of fuseguard ({fault.rule.name}). The program was quantized by Arm's "
        f"TOSAQuantizer with the configuration {example.config}.",
    ]


def _case(fault: Fault) -> Case:
    recorded = fault.recorded
    return Case(recorded.rule, recorded.example, False, "program", recorded.spec)


def write(fault: Fault, budget: float) -> str:
    """Reduces one example and writes its script. Returns a line about it."""
    from fuseguard.executorch.case_judge import make_program
    from fuseguard.executorch.reducing.reduction import reduce

    case = _case(fault)
    _, example = example_of(case, load_registry())
    program, inputs = make_program(example, case)
    reduction = reduce(program, inputs, case.spec, budget=budget)
    named = {code for cell in reduction.proof.wrong_cells for code in cell.findings}
    if reduction.proof.wrong_cells and fault.rule.code not in named:
        raise RuntimeError(f"drifted: {', '.join(reduction.ops)} shows a fault of {named or 'no rule'}")
    fault.path.write_text(reduction.script(notes(fault)), encoding="utf-8")
    stopped = f", {reduction.stopped}" if reduction.stopped else ""
    return (
        f"{fault.path.name}: {reduction.proof.outcome}, {reduction.ops_before} ops -> {len(reduction.ops)}, "
        f"{reduction.tried} candidates, {reduction.seconds:.0f} s{stopped}"
    )


def index(found: Sequence[Fault]) -> str:
    """The README of the folder."""
    lines = [
        "# Bug reports for ExecuTorch",
        "",
        "Each script builds a small quantized program, lowers it with ExecuTorch's Arm backend and shows the fault:",
        "the expected and the actual numbers, or the traceback. It needs torch and executorch, and tosa-tools to run",
        "what was lowered. It does not need fuseguard. The numbers that were seen, the versions and the cause are at",
        "its head.",
        "",
        "The programs are the rules' own examples, quantized by Arm's quantizer and then made small by",
        "[`fuseguard reduce`](../../docs/reduce.md). *Releases* are those on which the example showed the same",
        "outcome, by the recordings in `fuseguard/measured`.",
        "",
        "| script | rule | fault | outcome | for | releases |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for fault in sorted(found, key=lambda fault: fault.path.name):
        if not fault.path.exists():
            continue
        same = [release for release, seen in fault.releases.items() if seen == fault.recorded.seen]
        code = fault.rule.code
        what = ": ".join(filter(None, (fault.rule.name, fault.name)))
        lines.append(
            f"| [{fault.path.name}]({fault.path.name}) | [{code}](../../docs/rules/{code}.md) | {what} | "
            f"{fault.recorded.seen} | {fault.recorded.spec} | {', '.join(same)} |"
        )
    lines += ["", "Make them again, with the release that they are for:", "", "```sh"]
    lines += [".venvs/1.5.1/bin/python tools/upstream_scripts.py", "```", ""]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--select", nargs="*", default=(), metavar="CODE", help="rules, by code; default: all")
    parser.add_argument("--missing", action="store_true", help="only scripts that are not there yet")
    parser.add_argument("--index", action="store_true", help="write the README alone")
    parser.add_argument("--budget", type=float, default=300.0, help="seconds for one (default %(default)s)")
    parser.add_argument("--release", default="1.5.1", help="whose faults; it must be the installed one")
    options = parser.parse_args(argv)
    FOLDER.mkdir(exist_ok=True)
    found = list(faults(options.release))
    failed = False
    if not options.index:
        from fuseguard.executorch.hurry import hurry_alone, tidy

        hurry_alone()
        for fault in found:
            if (options.select and fault.rule.code not in options.select) or (options.missing and fault.path.exists()):
                continue
            began = time.monotonic()
            try:
                print(write(fault, options.budget), flush=True)
            except Exception as error:
                failed = True
                text = f"{type(error).__name__}: {error}"[:400]
                print(f"{fault.path.name}: {text} ({time.monotonic() - began:.0f} s)", flush=True)
            tidy()
    (FOLDER / "README.md").write_text(index(found), encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
