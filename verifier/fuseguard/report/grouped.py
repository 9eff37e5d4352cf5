"""Many findings with one cause as one entry: what they have in common once, and a table of the places.

A finding of which there is one of its kind stays as it is; so does one that says nothing of the backend (AR, PG and SU
codes), since its message is all that it has.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from fuseguard.engine.finding import Finding
from fuseguard.engine.shown import counted, place_of
from fuseguard.report.lines import Line, fitted_table
from fuseguard.report.numbers import short
from fuseguard.report.quoting import listed, name, quoted

#: Columns that a table of places fits into, whatever is printed to: it is read in logs as well.
WIDTH = 80

_HEADER = ("module", "line", "ops", "worst error")


def groups(findings: Sequence[Finding]) -> list[tuple[Finding, ...]]:
    """The findings by rule and cause, in the order in which the first of each comes."""
    found: dict[Hashable, list[Finding]] = {}
    for number, finding in enumerate(findings):
        key: Hashable = _cause(finding) if finding.effect.of_backend else number
        found.setdefault(key, []).append(finding)
    return [tuple(items) for items in found.values()]


def _cause(finding: Finding) -> Hashable:
    """All that an entry says once."""
    outcomes = tuple(
        (outcome.target, outcome.effect, outcome.severity, outcome.evidence, outcome.evidence_note)
        for outcome in finding.outcomes
    )
    known = (finding.evidence, finding.evidence_note, finding.evidence_release)
    told = (finding.code, finding.case, finding.effect, finding.severity, finding.caused_by, finding.refuse)
    return told, known, outcomes, finding.target, finding.remedy


def message(findings: Sequence[Finding]) -> str:
    """What is wrong, in the words of the first where they differ."""
    first = quoted(findings[0].message)
    return first if len({finding.message for finding in findings}) == 1 else f"for example: {first}"


def repairs_known(findings: Sequence[Finding]) -> str:
    """How many of the findings fuseguard can repair, in words."""
    exact = sum(finding.repairable for finding in findings)
    unsafe = sum(finding.unsafe_repair for finding in findings)
    if exact == len(findings):
        return f"fuseguard can repair all {exact} bit-exactly"
    if exact:
        return f"fuseguard can repair {exact} of {len(findings)} bit-exactly"
    if unsafe:
        return (
            f"no bit-exact one is known; --unsafe-repairs makes an inexact one for {unsafe} of {len(findings)} and "
            f"measures its error"
        )
    return "no bit-exact one is known; follow the remedy"


def places(findings: Sequence[Finding], indent: int = 2) -> Iterator[Line]:
    """Module, source line, ops and worst error of each, in at most :data:`WIDTH` columns."""
    same = len({_folder(finding) for finding in findings}) == 1
    rows = [(name(finding.module), _line(finding, same), ops(finding), worst(finding)) for finding in findings]
    used = [column for column in range(len(_HEADER)) if any(row[column] for row in rows)]
    yield from fitted_table(
        [[row[column] for column in used] for row in rows],
        [_HEADER[column] for column in used],
        WIDTH,
        indent=indent,
        # The end of a path says most.
        cut_left=[column in (0, 1) for column in used],
    )


def _folder(finding: Finding) -> str:
    """The folder of the source line, as it was recorded."""
    return finding.source.file.rpartition("/")[0] if finding.source is not None else ""


def _line(finding: Finding, short_name: bool) -> str:
    """``model.py:7``; "" if no line is known. ``short_name`` leaves the folder out."""
    source = finding.source
    if source is None:
        return ""
    return name(place_of(source).rpartition("/")[2] if short_name else place_of(source))


def ops(finding: Finding) -> str:
    """The island, or the nodes, and the control-flow body that they are in."""
    # An op without an island is its own, and does not say with which others it is found.
    alone = finding.island in ("", *finding.nodes)
    nodes = listed(finding.nodes, 3) if alone else name(finding.island)
    return f"{nodes} in {name(finding.graph)}" if finding.graph else nodes


def worst(finding: Finding) -> str:
    """The exact worst error, in steps of the output and in real units, "" if it is not known."""
    steps, value = finding.bound_steps, finding.bound_value
    parts = [] if steps is None else [counted_steps(steps)]
    return ", ".join(parts + ([] if value is None else [short(value)]))


def counted_steps(steps: float) -> str:
    """``1 step``, ``2.5 steps``."""
    return counted(int(steps), "step") if steps in (0, 1) else f"{short(steps)} steps"
