"""The last line of a report: what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from fuseguard.engine.finding import Effect, Finding
from fuseguard.gate.result import CheckResult
from fuseguard.gate.targets import DEFAULT_TARGET
from fuseguard.report.lines import Line
from fuseguard.report.quoting import quoted
from fuseguard.target import Target

_NAMED = 3  # rules that are named
_POLICY = "consistent"  # what every command does without --policy


def next_lines(result: CheckResult) -> Iterator[Line]:
    """The command that repairs what can be repaired, else the one that explains what was found; none if nothing was.

    A file that brings code along (AR codes) is not recommended for a repair, which would load it.
    """
    findings = [finding for finding in result.findings if finding.effect.of_backend]
    repairable = [finding for finding in findings if finding.repairable]
    runs_code = {finding.file for finding in result.findings if finding.effect is Effect.RUNS_CODE}
    if repairable and not runs_code & {finding.file for finding in repairable}:
        files = list(dict.fromkeys(finding.file for finding in repairable))
        count = f"{len(repairable)} of {len(findings)} can be repaired bit-exactly"
        yield Line((f"{count}: {_command(files, _options(result, repairable))}", "strong"), hang=2)
        return
    codes = list(dict.fromkeys(quoted(finding.code) for finding in result.findings))
    if codes:
        more = f"; {len(codes) - _NAMED} more rules have findings" if len(codes) > _NAMED else ""
        yield Line((f"What to do: fuseguard explain {' '.join(codes[:_NAMED])}{more}", "strong"), hang=2)


def _command(files: list[str], options: str) -> str:
    if not all(file.endswith(".pt2") for file in files):
        # A live program, or a lowered one: what is repaired is the program before lowering.
        return "fuseguard.executorch.repair(program), before it is lowered"
    if len(files) == 1:
        return f"fuseguard repair {quoted(_shell(files[0]))} --trust{options} -o repaired.pt2 (if you trust the file)"
    return f"fuseguard repair FILE --trust{options} -o repaired.pt2, for each of {len(files)} files (if you trust them)"


def _options(result: CheckResult, findings: Sequence[Finding]) -> str:
    """The target and policy of the check, which decide what is repaired; of several targets, one with most of it."""
    targets = result.targets or (result.target,)
    target = max(targets, key=lambda target: sum(_breaks(finding, target) for finding in findings))
    name = target.spec if target.accelerator == "tosa" else target.accelerator
    options = "" if name == DEFAULT_TARGET else f" --target {name}"
    return options if result.policy == _POLICY else f"{options} --policy {result.policy}"


def _breaks(finding: Finding, target: Target) -> bool:
    return any(outcome.effect is not None and outcome.target == str(target) for outcome in finding.outcomes)


def _shell(file: str) -> str:
    """As a shell takes it for one word and no option."""
    return shlex.quote(f"./{file}" if file.startswith("-") else file)
