"""Which wrong values are wrong without a doubt: their codes are theirs, and so are those that they are computed from.

Any tensor may have the codes of a value by chance, or nearly so. What shows that a tensor is the value are the ops that
read the value: they compute the right thing from its codes, and would not from those that the program expects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from fuseguard.executorch.lockstep.walking import Trail

#: By value: whether the lowering has other codes than the program, or none.
Verdicts: TypeAlias = Mapping[str, bool]


def certain_values(
    wrong: Sequence[str],
    trails: Mapping[str, Trail],
    computable: Callable[[str], bool],
    restored: Callable[[str], Verdicts],
) -> frozenset[str]:
    """Those of ``wrong`` that are wrong without a doubt.

    Args:
        wrong: the wrong values in the program's order, results among them.
        trails: by value, how it came about since values that were found.
        computable: whether the piece that ends with a value computes as the program says in float64: it has no bodies
            of control flow, which round by themselves.
        restored: the verdicts of a walk on which the readers of a value are given the codes that the program expects.
    """
    found: set[str] = set()
    readers: dict[str, list[str]] = {}
    for name, trail in trails.items():
        for operand in trail.operands:
            readers.setdefault(operand, []).append(name)
    bad = set(wrong)
    for name in wrong:
        trail = trails[name]
        if set(trail.joined) - {name} or not computable(name):
            continue
        if any(operand in bad and operand not in found for operand in trail.operands):
            continue
        right = [reader for reader in readers.get(name, ()) if reader not in bad]
        if name not in readers or (right and _some_wrong(restored(name), right)):
            found.add(name)
    return frozenset(found)


def _some_wrong(verdicts: Verdicts, readers: Sequence[str]) -> bool:
    return any(verdicts[reader] for reader in readers)
