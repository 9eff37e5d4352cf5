"""Every rule that claims a repair makes one, where its own bad examples break. Torch-free.

Protects: a repair that is never applied, so that tests/releases/test_repair.py judges nothing and passes all the same.
"""

from __future__ import annotations

import pytest

from fuseguard.engine import Rule
from fuseguard.ir import Graph, View
from fuseguard.target import MEASURED_RELEASES, Target
from fuseguard_testkit.repair_cases import EXAMPLES, PROFILES, RULES, SHORT, mended, reach_the_judge

#: What a rule finds and cannot mend on some releases, and why.
NOT_THERE = {("DT504", "1.2.0"): "the release has no uint8 RESCALE, so that the codes cannot be made int8 either"}
#: The releases whose tests .ci/run runs.
JUDGED = ("1.5.1", "1.4.1", "1.2.0")


def _finds(rule: Rule, graph: Graph, spec: str, release: str) -> bool:
    return any(True for _ in rule.check(View(graph), Target.parse(spec, release)))


@pytest.mark.parametrize("release", MEASURED_RELEASES)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_rule_that_claims_a_repair_mends_a_bad_example(rule: Rule, release: str) -> None:
    breaking = [item for item in rule.bad if any(_finds(rule, item.graph(), item.spec(p), release) for p in PROFILES)]
    mends = [example.title for example in breaking if reach_the_judge(rule, example, release)]
    assert bool(mends) is (bool(breaking) and (rule.code, release) not in NOT_THERE), [e.title for e in breaking]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_short_run_judges_a_repair_of_every_rule(rule: Rule) -> None:
    judged = [
        release
        for number, profile in SHORT.items()
        for owner, example in [EXAMPLES[number]]
        for release in JUDGED
        if owner is rule and rule.code in mended(rule, example, example.spec(profile), release)
    ]
    assert judged


def test_the_short_run_has_both_profiles() -> None:
    assert set(SHORT.values()) == set(PROFILES)
    assert len(SHORT) < len(EXAMPLES) / 2
