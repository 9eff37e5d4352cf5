"""What a list of operators of the backend is as data, and what a set of this project that models one is.

The lists themselves are in op_sets_passes.py, op_sets_support.py and op_sets_quantizer.py; op_sets.py has them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

from packaging.version import Version

from fuseguard.ir import lookup
from fuseguard.ranges import bounds, in_range


@dataclass(frozen=True, slots=True)
class OpSet:
    """One list of the backend.

    ``source`` is a file below backends/arm and ``symbol`` a path in its module: a container, ``name()`` for what a
    call returns, or a function for the operators that its code names (tests/fuseguard_testkit/live_lists.py has the
    full notation). ``formerly`` is what older releases call the last part of ``symbol``. ``ops`` maps each operator's
    canonical name to the releases whose list has it, a range as in PEP 440 or ``*``; ``releases`` are those that have
    the list at all.
    """

    symbol: str
    source: str
    ops: Mapping[str, str]
    releases: str = "*"
    formerly: str = ""

    def exists_on(self, release: str) -> bool:
        """Whether the release has this list. Raises InvalidVersion for what is not a version."""
        return _contains(self.releases, release)

    def on(self, release: str | None = None) -> frozenset[str]:
        """The operators of the list on a release, on any release if None; none where it does not exist.

        Raises InvalidVersion for what is not a version.
        """
        if release is None:
            return frozenset(self.ops)
        if not self.exists_on(release):
            return frozenset()
        return frozenset(op for op, releases in self.ops.items() if _contains(releases, release))

    def kinds(self, release: str | None = None) -> frozenset[str]:
        """The op kinds (fuseguard.ir.ops) of the list on a release, on any release if None."""
        return frozenset(lookup(op).kind for op in self.on(release))


@dataclass(frozen=True, slots=True)
class Mirror:
    """A set of op kinds of this project that models ``lists``, on one release or on any.

    It has the kinds of these lists, and those in ``more``; without those in ``less``. Both map kinds to the reason.
    A reason that begins with "open" states a difference that nothing justifies.
    """

    lists: tuple[OpSet, ...]
    more: Mapping[str, str] = field(default_factory=dict)
    less: Mapping[str, str] = field(default_factory=dict)
    release: str | None = None

    def kinds(self) -> frozenset[str]:
        """What the project's set has to be."""
        return (self.listed() - self.less.keys()) | self.more.keys()

    def listed(self) -> frozenset[str]:
        """The kinds of the backend's lists."""
        return frozenset().union(*(op_set.kinds(self.release) for op_set in self.lists))


def entered(lists: Iterable[OpSet]) -> dict[str, str]:
    """By op kind, the release (``1.4``) from which on one of the lists has it; without those that always had one."""
    first: dict[str, Version] = {}
    for op_set in lists:
        for op, releases in op_set.ops.items():
            limits = (*(bounds(releases) or ()), *(bounds(op_set.releases) or ()))
            lowest = max((version for comparison, version in limits if comparison == ">="), default=Version("0"))
            kind = lookup(op).kind
            first[kind] = min(first.get(kind, lowest), lowest)
    return {kind: str(version) for kind, version in first.items() if version > Version("0")}


@lru_cache(maxsize=4096)
def _contains(releases: str, release: str) -> bool:
    return in_range(Version(release), releases)  # a release candidate has the lists of its release


def ops(always: str, others: Mapping[str, str] = MappingProxyType({}), *more: Mapping[str, str]) -> Mapping[str, str]:
    """Operators of all releases, of ranges of them, and those of further lists."""
    ranges = {"*": always, **others}
    own = {_full(op): releases for releases, names in ranges.items() for op in names.split()}
    return MappingProxyType({**own, **{op: releases for part in more for op, releases in part.items()}})


def _full(op: str) -> str:
    return op if op.count(".") == 2 or op.startswith(("operator.", "higher_order.")) else f"aten.{op}"


def why(reasons: Mapping[str, str]) -> Mapping[str, str]:
    """By kind, the reason: from one that has the kinds by reason."""
    return MappingProxyType({kind: reason for reason, kinds in reasons.items() for kind in kinds.split()})


def pairs(others: Mapping[str, str]) -> Mapping[str, str]:
    """From one operator to another, both in canonical names."""
    return MappingProxyType({_full(op): _full(other) for op, other in others.items()})
