"""Ranges of releases, as in PEP 440: ``>=1.3,<1.5``, and ``*`` for all.

The tables of the rules have hundreds of them, all of this simple form. Importing what parses every form takes longer
than most checks. So only the other forms go to packaging.specifiers.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from packaging.version import Version

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

_COMPARISONS: dict[str, Callable[[Version, Version], bool]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "==": operator.eq,
}  # fmt: skip
_SIMPLE = re.compile(r" *(>=|<=|==|>|<) *([0-9]+(?:\.[0-9]+)*) *")


@lru_cache(maxsize=1024)
def in_range(release: Version, text: str) -> bool:
    """Whether the release is in the range. A pre-release counts as its release: 1.5.0rc1 behaves like 1.5.0, although
    PEP 440 sorts it before.
    """
    simple = bounds(text)
    base = release.base_version
    if simple is None:
        return specifiers(text).contains(base)
    version = Version(base)
    return all(_COMPARISONS[comparison](version, bound) for comparison, bound in simple)


@lru_cache(maxsize=1024)
def bounds(text: str) -> tuple[tuple[str, Version], ...] | None:
    """The comparisons of a range, each as operator and version; None for a form that only packaging knows."""
    if text == "*":
        return ()
    found = [_SIMPLE.fullmatch(part) for part in text.split(",")]
    if None in found:
        return None
    return tuple((match[1], Version(match[2])) for match in found if match is not None)


def check_range(text: str) -> None:
    """Raises InvalidSpecifier for what is not a range."""
    if bounds(text) is None:
        specifiers(text)


def specifiers(text: str) -> SpecifierSet:
    """The range as packaging has it. Raises InvalidSpecifier."""
    from packaging.specifiers import SpecifierSet

    return SpecifierSet("" if text == "*" else text)
