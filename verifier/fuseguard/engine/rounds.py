"""The rounds of a repair: what each round rewrites, and why the repair ends.

A repair may reveal another finding, and two rewrites that touch the same node have to wait for each other. Therefore, a
program is checked, rewritten where no two rewrites meet, and checked again, until nothing is left to repair. This
module does not use torch: the caller says how to check a program and how to rewrite it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from fuseguard.engine.finding import Finding, Severity
from fuseguard.engine.rewrite import Duplicate, Edit, Fold, Insert, Replace, Rewrite
from fuseguard.engine.rule import Rule
from fuseguard.engine.run import Report

#: So many rounds in a row may leave as many findings to repair as there were: one repair may bring another finding to
#: light. The longest such run seen, over all examples alone, in pairs and in threes, is 2.
PATIENCE = 16

#: This many repairs are named in an error.
_MOST_NAMED = 6

#: What tells a repair from others, whatever the nodes are called that it is about.
_Identity: TypeAlias = Hashable


class RepairFault(RuntimeError):
    """A repair does not do what its rule says. This is a bug in the rule; the program is unchanged."""


class EndlessRepair(RepairFault):
    """A round of repairs made no progress: their findings are there again. ``repairs`` are those that undo one another,
    or the one that changes nothing, each once, as first made; ``rules``
    are their codes. ``rounds`` is the number of rounds after which it showed.
    """

    def __init__(self, repairs: Sequence[Repair], rounds: int, reason: str) -> None:
        self.repairs = tuple(repairs)
        self.rules = tuple(dict.fromkeys(repair.finding.code for repair in repairs))
        self.rounds = rounds
        self.reason = reason
        super().__init__(_told(self))

    def __reduce__(self) -> tuple[type[EndlessRepair], tuple[tuple[Repair, ...], int, str]]:
        return type(self), (self.repairs, self.rounds, self.reason)


@dataclass(frozen=True, slots=True)
class Repair:
    """One finding and the rewrite that repairs it. ``exact``: the program's results stay as they are, to the bit."""

    finding: Finding
    rewrite: Rewrite

    @property
    def exact(self) -> bool:
        return self.rewrite.exact


def repair_in_rounds(
    check: Callable[[], Report],
    rewrite: Callable[[Sequence[Repair]], None],
    rules: Iterable[Rule],
    unsafe: bool = False,
    skip: Callable[[Finding], bool] | None = None,
) -> tuple[tuple[Repair, ...], Report]:
    """The repairs made, in order, and the report of the repaired program.

    Args:
        check: runs ``rules`` on the program as it is by now.
        rewrite: makes the rewrites of the repairs that it is given, no two of which touch the same node.
        rules: those that ``check`` runs.
        unsafe: also repair where the program's results change.
        skip: whether to leave a finding as it is; None repairs all.

    Raises:
        EndlessRepair: a round made no progress.
        What ``check`` and ``rewrite`` raise.
    """
    by_code = {rule.code: rule for rule in rules}
    applied: list[Repair] = []
    report = check()
    progress = _Progress(frozenset(name for finding in report.findings for name in finding.cluster))
    while True:
        wanted = [
            Repair(finding, finding.rewrite)
            for finding in report.findings
            if finding.rewrite is not None
            and (finding.rewrite.exact or unsafe)
            and _is_to_be_repaired(finding, by_code[finding.code])
            and not (skip is not None and skip(finding))
        ]
        if not wanted:
            return tuple(applied), report
        batch = _apart(wanted)
        progress.add(wanted, batch)
        rewrite(batch)
        applied += batch
        report = check()


def _is_to_be_repaired(finding: Finding, rule: Rule) -> bool:
    # A rule that cannot refuse (the partitioner fails before it asks) needs the repair even more.
    return finding.refuse or (not rule.refused and finding.severity is Severity.ERROR)


def _apart(wanted: Sequence[Repair]) -> list[Repair]:
    """Those that touch no node which one before them touches."""
    taken: set[tuple[str, str]] = set()
    batch = []
    for repair in wanted:
        touched = {(repair.finding.graph, name) for name in repair.rewrite.touched}
        if not touched & taken:
            taken |= touched
            batch.append(repair)
    return batch


class _Progress:
    """Knows of all rounds what was to be repaired and what was, and raises when a round leads nowhere."""

    def __init__(self, known: frozenset[str]) -> None:
        """``known`` are names of nodes that the program has had from the start, and its user may know."""
        self._known = known
        self._wanted: list[frozenset[_Identity]] = []
        self._made: list[Sequence[Repair]] = []
        self._fewest = 0
        self._since = 0

    def add(self, wanted: Sequence[Repair], batch: Sequence[Repair]) -> None:
        """The next round. Raises EndlessRepair."""
        identities = frozenset(map(_identity, wanted))
        for number, before in enumerate(self._wanted):
            # At least one of these was repaired then. That repair, or another one, brought them all back.
            if before <= identities:
                rounds = len(self._wanted)
                findings = "the same finding is" if len(before) == 1 else f"the same {len(before)} findings are"
                raise EndlessRepair(self._once(number), rounds, f"{findings} back after round {rounds}")
        if not self._wanted or len(wanted) < self._fewest:
            self._fewest, self._since = len(wanted), len(self._wanted)
        rounds = len(self._wanted) - self._since
        if rounds >= PATIENCE:
            left = "1 finding" if self._fewest == 1 else f"{self._fewest} findings"
            reason = f"{rounds} rounds have left no fewer than {left} to repair"
            raise EndlessRepair(self._once(self._since), len(self._wanted), reason)
        self._wanted.append(identities)
        self._made.append(batch)

    def _once(self, first: int) -> list[Repair]:
        """The repairs made from the ``first`` round on, one a rule and place, with the nodes that a user knows."""
        found: dict[tuple[str, str, tuple[str, ...]], Repair] = {}
        for repair in (repair for made in self._made[first:] for repair in made):
            nodes = tuple(name for name in repair.finding.nodes if name in self._known) or repair.finding.nodes
            finding = replace(repair.finding, nodes=nodes)
            found.setdefault((finding.code, finding.graph, nodes), replace(repair, finding=finding))
        return list(found.values())


def _identity(repair: Repair) -> _Identity:
    """Where the finding is, what it says of the qparams there, how much it is about, and what the rewrite does.

    Names of nodes are left out: what a rewrite inserts is called differently each time. Its extent is not: a rule may
    repair one reader of many at a time.
    """
    finding = repair.finding
    place = (finding.code, finding.graph, finding.fingerprint, finding.effect, len(finding.nodes))
    values = tuple(value for _, value in finding.qparams)
    return (*place, values, tuple(map(_without_names, repair.rewrite.edits)))


def _without_names(edit: Edit) -> Hashable:
    kind = type(edit).__name__
    if isinstance(edit, Insert):
        return kind, len(edit.users), edit.steps
    if isinstance(edit, Replace):
        return kind, edit.steps
    if isinstance(edit, Duplicate):
        return kind, len(edit.nodes), len(edit.users)
    if isinstance(edit, Fold):
        return kind, len(edit.sources)
    return replace(edit, node="")


def _told(fault: EndlessRepair) -> str:
    places = [
        f"{repair.finding.code} ({repair.finding.name}) at {', '.join(repair.finding.nodes)}"
        + (f" in {repair.finding.graph}" if repair.finding.graph else "")
        for repair in fault.repairs
    ]
    if len(places) > _MOST_NAMED:
        places[_MOST_NAMED:] = [f"{len(places) - _MOST_NAMED} more"]
    if len(fault.rules) == 1:
        blame = f"the repair of {places[0]} does not remove its finding"
        bug, out = "this rule's repair", fault.rules[0]
    else:
        blame = f"the repairs of {_listed(places)} undo one another"
        bug, out = "the repairs of these rules", fault.rules[0]
    return (
        f"The repair does not end: {blame}, and {fault.reason}. The program is unchanged. Repair it without one of the "
        f"rules ('ignore' in Python, --ignore {out} on the command line); the guard keeps what is not repaired off the "
        f"accelerator. This is a bug in {bug}, please report it."
    )


def _listed(items: Sequence[str]) -> str:
    return f"{'; '.join(items[:-1])} and {items[-1]}" if len(items) > 1 else items[0]
