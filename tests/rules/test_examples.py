"""Every rule's own examples, torch-free, on every measured release and profile.

Protects: a rule that stops finding its fault, that finds fault with what is right, or whose effects table has
a hole.
"""

from __future__ import annotations

import pytest

from fuseguard.engine import Effect, EffectRow, EffectsTable, Evidence, Rule, run
from fuseguard.engine.registry import load_registry
from fuseguard.target import MEASURED_RELEASES, Target

PROFILES = ("TOSA-1.0+INT", "TOSA-1.0+INT+FP")
REGISTRY = load_registry()
RULES = REGISTRY.rules
TARGETS = [
    pytest.param((profile, release), id=f"{profile[9:]}-{release}")
    for profile in PROFILES
    for release in MEASURED_RELEASES
]
BAD = [pytest.param(rule, example, id=f"{rule.code}-{example.title}") for rule in RULES for example in rule.bad]
GOOD = [pytest.param(rule, example, id=f"{rule.code}-{example.title}") for rule in RULES for example in rule.good]


def with_stable(rule: Rule) -> tuple[Rule, ...]:
    """The rules that run when a user names ``rule`` beside the default ones."""
    return tuple(dict.fromkeys((*REGISTRY.select(), rule)))


@pytest.mark.parametrize(("rule", "example"), BAD)
def test_a_bad_example_is_found_on_every_release(rule: Rule, example) -> None:
    """The rule itself, or a companion it names, must speak up wherever the invariant is broken."""
    seen = set()
    for profile in PROFILES:
        for release in MEASURED_RELEASES:
            report = run(example.graph(), Target.parse(example.spec(profile), release), with_stable(rule))
            assert not report.failures
            codes = {finding.code for finding in report.findings}
            allowed = {rule.code, *example.companions}
            assert codes <= allowed, f"{codes - allowed} also found on {release} {profile}"
            if not example.only_on or Target.parse(example.spec(profile), release).release_in(example.only_on):
                assert codes & allowed, f"nothing found on {release} {profile}"
            seen |= codes
    assert rule.code in seen, f"{rule.code} itself is never found, only {seen}"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("rule", "example"), GOOD)
def test_a_good_example_passes(rule: Rule, example, target: tuple[str, str]) -> None:
    report = run(example.graph(), Target.parse(example.spec(target[0]), target[1]), [rule])
    assert not report.failures
    assert not report.findings


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("rule", "example"), BAD)
def test_findings_name_a_closed_cluster_and_fill_the_message(rule: Rule, example, target: tuple[str, str]) -> None:
    graph = example.graph()
    for finding in run(graph, Target.parse(example.spec(target[0]), target[1]), [rule]).findings:
        assert set(finding.nodes) <= set(finding.cluster)
        assert all(name in graph for name in finding.cluster)
        assert "{" not in finding.message
        assert finding.remedy
        assert finding.effect.severity is finding.severity


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_effects_table_has_no_hole(rule: Rule) -> None:
    """Every case has an effect on every measured release and both integer profiles."""
    cases = [case for case in rule.effects.cases() if case != "*"] or ["*"]
    for case in cases:
        for release in MEASURED_RELEASES:
            for profile in PROFILES:
                assert rule.effects.look_up(case, Target.parse(profile, release))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_int_and_int_fp_are_refused_alike(rule: Rule) -> None:
    """Under the default policy a profile must not change which nodes are kept off the accelerator."""
    for example in rule.bad:
        for release in MEASURED_RELEASES:
            refused = {
                run(example.graph(), Target.parse(example.spec(profile), release), with_stable(rule)).refused()
                for profile in PROFILES
            }
            assert len(refused) == 1, f"{example.title} on {release}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_every_measured_row_has_an_example(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no example shows on a release and profile was not measured there, whatever the table says."""
    used = set()
    look_up = EffectsTable.look_up

    def recorded(table: EffectsTable, case: str, target: Target) -> EffectRow:
        row = look_up(table, case, target)
        used.add(row)
        return row

    monkeypatch.setattr(EffectsTable, "look_up", recorded)
    for example in rule.bad:
        for profile in PROFILES:
            for release in MEASURED_RELEASES:
                run(example.graph(), Target.parse(example.spec(profile), release), [rule])
    measured = [row for row in rule.effects.rows if row.evidence is Evidence.MEASURED]
    # Where a release mended the fault the rule may be silent; its examples are judged there all the same.
    silent = any(example.only_on for example in rule.bad)
    fixed = [row for row in measured if silent and row.effect in (Effect.EXACT, Effect.CPU_FALLBACK)]
    assert [row for row in measured if row not in used and row not in fixed] == []
