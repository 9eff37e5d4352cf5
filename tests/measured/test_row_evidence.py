"""Rows of effects tables: on which releases a recording shows them.

Protects: a page that lists a release on which a row was not measured, or leaves one out.
"""

from __future__ import annotations

from typing import Any

from fuseguard.engine import Evidence
from fuseguard.engine.row_evidence import evidence_of
from fuseguard.measured.announced import Concern
from fuseguard_testkit.grading import Coarse, seen


def test_a_row_says_on_which_releases_it_was_measured(record: Any, announce: Any) -> None:
    announce(Concern("ZZ100", ("kept",), ("INT",), "exact"))
    record(_1_2_0=(seen("exact"), seen("exact", "INT+FP")), _1_4_1=(seen("wrong"),), _1_5_1=(seen("wrong"),))
    odd, before, after, other = evidence_of(Coarse())
    assert (str(odd), odd.evidence) == ("source-read", Evidence.SOURCE_READ)
    assert (str(before), before.measured) == ("measured on 1.2.0", ("1.2.0",)), "1.4.1 disagrees"
    assert str(after) == "measured on 1.5.1; announced to change from 1.6"
    assert (str(other), other.evidence) == ("inferred: in no recording", Evidence.INFERRED)


def test_releases_of_a_row_are_listed_or_a_range(record: Any) -> None:
    record(_1_2_0=(seen("exact"),), _1_3_1=(seen("exact"),), _1_4_1=(seen("exact"),))
    assert str(evidence_of(Coarse())[1]) == "measured on 1.2.0 to 1.4.1"
    record(_1_2_0=(seen("exact"),), _1_3_1=(), _1_4_1=(seen("exact"),))
    assert str(evidence_of(Coarse())[1]) == "measured on 1.2.0 and 1.4.1"


def test_a_silent_rule_is_measured_by_the_cases_that_its_examples_have_elsewhere(record: Any) -> None:
    record(_1_2_0=(seen("exact", found=()),), _1_5_1=(seen("wrong"),))
    assert evidence_of(Coarse())[1].measured == ("1.2.0",)
