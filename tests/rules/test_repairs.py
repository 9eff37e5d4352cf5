"""Every rule that claims a repair makes one, where its own bad examples break; every other says what the user does.

Protects: a repair that is never applied, so that tests/releases/test_repair.py judges nothing and passes all the same;
and a finding that leaves its reader with nothing but slower inference. Torch-free.
"""

from __future__ import annotations

import re

import pytest

from fuseguard.engine import Rule, run
from fuseguard.ir import Graph, View
from fuseguard.report.text import finding_lines
from fuseguard.target import MEASURED_RELEASES, Target
from fuseguard_testkit.repair_cases import EXAMPLES, PROFILES, RULES, SELECTED, SHORT, fixed, reach_the_judge

#: What a rule finds and cannot fix on some releases, and why.
NOT_THERE = {("DT504", "1.2.0"): "the release has no uint8 RESCALE, so that the codes cannot be made int8 either"}
#: The releases whose tests .ci/run runs.
JUDGED = ("1.5.1", "1.4.1", "1.2.0")


def _finds(rule: Rule, graph: Graph, spec: str, release: str) -> bool:
    return any(True for _ in rule.check(View(graph), Target.parse(spec, release)))


@pytest.mark.parametrize("release", MEASURED_RELEASES)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_rule_that_claims_a_repair_fixes_a_bad_example(rule: Rule, release: str) -> None:
    breaking = [item for item in rule.bad if any(_finds(rule, item.graph(), item.spec(p), release) for p in PROFILES)]
    fixes = [example.title for example in breaking if reach_the_judge(rule, example, release)]
    assert bool(fixes) is (bool(breaking) and (rule.code, release) not in NOT_THERE), [e.title for e in breaking]


# A rule about one accelerator is judged on its engine: tests/engines.
@pytest.mark.parametrize("rule", [rule for rule in RULES if not rule.accelerator], ids=lambda rule: rule.code)
def test_the_short_run_judges_a_repair_of_every_rule(rule: Rule) -> None:
    judged = [
        release
        for number, profile in SHORT.items()
        for owner, example in [EXAMPLES[number]]
        for release in JUDGED
        if owner is rule and rule.code in fixed(rule, example, example.spec(profile), release)
    ]
    assert judged


def test_the_short_run_has_both_profiles() -> None:
    assert set(SHORT.values()) == set(PROFILES)
    assert len(SHORT) < len(EXAMPLES) / 2


#: What a user does to the model, its quantization or its environment; to keep or to repair is fuseguard's.
ACTIONS = (
    "add", "bring", "clamp", "compute", "correct", "give", "let the op", "mask", "narrow", "quantize", "requantize",
    "scale", "sum", "upgrade", "write",
)  # fmt: skip
WITHOUT = [rule for rule in SELECTED if not rule.repairable]


@pytest.mark.parametrize("rule", [rule for rule in WITHOUT if rule.refused], ids=lambda rule: rule.code)
def test_a_rule_without_a_repair_says_what_the_user_does(rule: Rule) -> None:
    clauses = re.split(r"[,;:.]\s+|\bor\b|\band\b", rule.remedy.lower())
    assert [clause for clause in clauses if clause.strip().startswith(ACTIONS)], rule.remedy


@pytest.mark.parametrize("rule", WITHOUT, ids=lambda rule: rule.code)
def test_its_findings_say_that_no_exact_repair_is_known(rule: Rule) -> None:
    target = Target.parse(rule.bad[0].spec(PROFILES[0]), "1.2.0" if "<1.3" in rule.bad[0].only_on else None)
    told = [item for item in run(rule.bad[0].graph(), target, SELECTED).findings if item.code == rule.code]
    for finding in told:
        assert not finding.repairable
        text = "\n".join(line.text for line in finding_lines(finding, target))
        assert "no bit-exact one is known; follow the remedy" in text
        assert finding.remedy in text


def test_an_inexact_repair_is_offered_as_what_it_is() -> None:
    """QD202 at a pool: its codes and its values are rounded differently."""
    (example,) = [e for r, e in EXAMPLES if r.code == "QD202" and e.title == "avg_pool2d to a wider scale, hand-made"]
    target = Target.parse(PROFILES[0])
    (finding,) = run(example.graph(), target, SELECTED).findings
    assert (finding.repairable, finding.unsafe_repair) == (False, True)
    text = "\n".join(line.text for line in finding_lines(finding, target))
    assert "--unsafe-repairs makes an inexact one and measures its error" in text
