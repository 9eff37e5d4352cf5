"""Which cases of the selftest are judged in the short run.

On the newest release that is every example, under one profile. An older one is judged where the rules say something
else of it, and by one bad example of every rule: what a table says of all releases alike is held against the newest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache

from fuseguard.engine import run
from fuseguard.engine.example_cases import Case, example_of
from fuseguard.engine.registry import load_registry
from fuseguard.target import MEASURED_RELEASES, Target

_REGISTRY = load_registry()


def short_run(cases: Sequence[Case], release: str) -> frozenset[Case]:
    """The cases that are judged without being thorough, when ``release`` is installed."""
    pairs: defaultdict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in cases:
        pairs[case.title, case.form].append(case)
    chosen, shown = set(), set()
    for turn, pair in enumerate(pairs.values()):
        by_turns = pair[turn % 2 :] + pair[: turn % 2]
        told_apart = [case for case in by_turns if is_told_apart(case, release)]
        if told_apart:
            chosen.add(told_apart[0])
        elif release == MEASURED_RELEASES[-1] or (not pair[0].good and pair[0].code not in shown):
            chosen.add(by_turns[0])
        shown |= {case.code for case in by_turns if case in chosen and not case.good}
    return frozenset(chosen)


def is_told_apart(case: Case, release: str) -> bool:
    """Whether the rules say something else of the case on ``release`` than on the newest one."""
    # On the newest one, nothing is: asking the rules of 1,300 cases takes seconds of each worker's collection.
    return release != MEASURED_RELEASES[-1] and _said(case, release) != _said(case, MEASURED_RELEASES[-1])


@cache
def _said(case: Case, release: str) -> tuple[tuple[object, ...], ...]:
    _, example = example_of(case, _REGISTRY)
    report = run(example.graph(), Target.parse(case.spec, release), _REGISTRY.select())
    return tuple((item.code, item.effect, item.refuse, item.bound_steps, item.nodes) for item in report.findings)
