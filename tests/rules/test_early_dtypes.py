"""DT508 and DT509 after choices, torch-free; tests/releases/test_early_dtypes_judge.py asks the judge."""

from __future__ import annotations

import pytest

from fuseguard.engine import Effect, run
from fuseguard.target import Target
from fuseguard_rules.dtype.dt508_table_codes_taken_for_floats import TableCodesAsFloats
from fuseguard_rules.dtype.dt509_cumulative_sum_dtype_mismatch import CumulativeSumDtype
from fuseguard_testkit.choices import CASES, Case, graph_of, title


@pytest.mark.parametrize("profile", ["TOSA-1.0+INT", "TOSA-1.0+INT+FP"])
@pytest.mark.parametrize("release", ["1.5.1", "1.4.1", "1.3.1", "1.2.0"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: title(case.value))
def test_a_choice_counts_as_what_its_branches_are_promoted_to(case: Case, release: str, profile: str) -> None:
    target = Target.parse(profile, release)
    report = run(graph_of(case.value), target, [TableCodesAsFloats(), CumulativeSumDtype()])
    assert not report.failures
    announced = [finding.code for finding in report.findings if finding.effect is Effect.CRASH]
    breaks = bool(case.code) and target.release_in(case.releases)
    assert announced == ([case.code] if breaks else [])
