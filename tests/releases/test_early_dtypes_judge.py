"""What DT508 and DT509 say of choices, held against the judge on the installed release."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.thorough]

pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

import fuseguard  # noqa: E402
from fuseguard.executorch import prove, support_checks  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.target import Target  # noqa: E402
from fuseguard_testkit.choices import CASES, Case, graph_of, title  # noqa: E402

SPEC = "TOSA-1.0+INT"


@pytest.mark.parametrize("case", CASES, ids=lambda case: title(case.value))
def test_a_choice_breaks_where_a_rule_says_so(case: Case) -> None:
    program, inputs = materialize(graph_of(case.value))
    breaks = bool(case.code) and Target.parse(SPEC).release_in(case.releases)
    assert {finding.code for finding in fuseguard.check(program, SPEC).findings} == ({case.code} if breaks else set())
    assert prove(program, inputs, SPEC).outcome == ("crash" if breaks else "exact")
    if breaks:
        assert prove(program, inputs, SPEC, support_checks(SPEC)).outcome == "exact"
