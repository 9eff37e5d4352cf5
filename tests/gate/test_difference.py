"""What is new and what is gone between two programs."""

from __future__ import annotations

import pytest

import fuseguard
from fuseguard.engine.finding import Severity
from fuseguard.gate.difference import Change, compare
from fuseguard_testkit.paths import DATA
from fuseguard_testkit.report_fakes import finding, report

NOTE, ERROR = (finding(severity=level, fingerprint="fg1:0") for level in (Severity.NOTE, Severity.ERROR))


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [(NOTE, ERROR, Change.WORSE), (ERROR, NOTE, Change.MILDER), (ERROR, ERROR, Change.SAME)],
)
def test_the_same_finding_may_get_worse_or_milder(
    before: fuseguard.Finding, after: fuseguard.Finding, change: Change
) -> None:
    (pair,) = compare(report(before), report(after))
    assert (pair.change, pair.finding) == (change, after)


def test_what_is_only_in_one_of_them_is_new_or_gone_and_comes_in_this_order() -> None:
    one, two, three = (finding(fingerprint=f"fg1:{number}") for number in range(3))
    pairs = compare(report(one, two), report(three, two))
    assert [(pair.change, pair.finding.fingerprint) for pair in pairs] == [
        (Change.NEW, "fg1:2"), (Change.SAME, "fg1:1"), (Change.GONE, "fg1:0"),
    ]  # fmt: skip


def test_what_is_suppressed_in_one_of_them_is_neither() -> None:
    assert compare(report(ERROR), report(suppressed=(ERROR,))) == ()
    assert compare(report(suppressed=(ERROR,)), report(ERROR)) == ()


def test_a_program_in_both_dialects_has_the_same_findings() -> None:
    """Real files, whose nodes have other names."""
    one, two = (fuseguard.check(DATA / f"{name}.pt2", executorch="1.5.1") for name in ("conv_cat", "conv_cat_edge"))
    assert one.findings[0].nodes != two.findings[0].nodes
    assert [pair.change for pair in compare(one, two)] == [Change.SAME]
