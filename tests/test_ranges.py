"""Ranges of releases mean what PEP 440 says, with and without packaging.specifiers."""

from __future__ import annotations

from itertools import product

import pytest
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from fuseguard.ranges import bounds, check_range, in_range

RELEASES = ("1.2.0", "1.3", "1.3.0", "1.3.1", "1.4.0rc1", "1.4.0", "1.4.1.dev3", "1.4.1", "1.5.0+cpu", "1.10.0", "2.0")
SIMPLE = ("*", ">=1.3", "<1.3", ">1.3.0", "<=1.4.1", "==1.4.0", ">=1.3,<1.5", " >= 1.3 , < 1.10 ")
OTHERS = ("~=1.4", "!=1.4.0", "==1.4.*", ">=1.4.0rc1", "===1.4.0", "")


@pytest.mark.parametrize(("text", "release"), product((*SIMPLE, *OTHERS), RELEASES))
def test_a_range_holds_what_packaging_says(text: str, release: str) -> None:
    expected = SpecifierSet("" if text == "*" else text).contains(Version(release).base_version)
    assert in_range(Version(release), text) is expected


def test_only_simple_ranges_are_read_here() -> None:
    assert all(bounds(text) is not None for text in SIMPLE)
    assert all(bounds(text) is None for text in OTHERS)


@pytest.mark.parametrize("text", [">1.x", "1.3", ">=1.3,<", "newest"])
def test_what_is_no_range_is_an_error(text: str) -> None:
    with pytest.raises(InvalidSpecifier):
        check_range(text)
