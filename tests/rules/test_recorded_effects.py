"""The effects tables against the recordings, torch-free: what was seen bears out what the tables say.

Protects: a table that says something else than what was seen, a row that counts as measured without a recorded case,
and a recording of examples that are no longer what they were. Until recordings ship, the stand-ins of six rules on two
releases are held to the same, as far as they go.
"""

from __future__ import annotations

from functools import cache

import pytest

from fuseguard.engine import Effect, EffectRow, Rule, run
from fuseguard.engine.agreement import disagreement
from fuseguard.engine.example_cases import Case, cases, example_of
from fuseguard.engine.registry import load_registry
from fuseguard.engine.row_evidence import evidence_of
from fuseguard.engine.run import refuses
from fuseguard.ir.digest import digest
from fuseguard.measured.recording import RecordedCase
from fuseguard.target import Target
from fuseguard_testkit.recordings import COMPLETE, RECORDINGS

REGISTRY = load_registry()
SELECTED = REGISTRY.select()
CASES = {(case.code, case.title, case.form, case.spec): case for case in cases(SELECTED)}
RELEASES = RECORDINGS.releases


def recorded(release: str) -> tuple[RecordedCase, ...]:
    return RECORDINGS.recording(release).cases


def rules_in(release: str) -> tuple[Rule, ...]:
    """The rules that the recording is to hold."""
    there = {item.rule for item in recorded(release)}
    return SELECTED if COMPLETE else tuple(rule for rule in SELECTED if rule.code in there)


@cache
def digest_of(code: str, title: str) -> str:
    _, example = example_of(Case(code, title, False, "graph", ""), REGISTRY)
    return digest(example.graph())


def worst(item: RecordedCase, target: Target) -> tuple[Effect | None, bool]:
    """The worst effect that the tables give what was found, and whether its fault is in the program itself."""
    told = []
    for code, case in item.found:
        rule = REGISTRY.get(code)
        assert rule is not None, f"{item.key} has a finding of {code}, which is not a rule; record it again"
        told.append((rule.effects.look_up(case, target).effect, rule.in_program))
    return max(told, key=lambda pair: pair[0].severity.rank, default=(None, False))


def test_there_is_something_to_hold_the_tables_against() -> None:
    assert RELEASES
    assert all(recorded(release) for release in RELEASES)


@pytest.mark.parametrize("release", RELEASES)
def test_what_was_seen_bears_out_what_the_tables_say(release: str) -> None:
    faults = []
    for item in recorded(release):
        case, target = CASES[item.key], Target.parse(item.spec, release)
        effect, in_program = worst(item, target)
        fault = disagreement(
            effect, item.seen, item.cpu, in_program=in_program, good=case.good, int16="int16" in item.spec
        )
        if fault:
            faults.append((str(case), fault))
    assert faults == []


@pytest.mark.parametrize("release", RELEASES)
def test_only_dynamic_sizes_keep_an_example_from_being_judged(release: str) -> None:
    """The reference model refuses them. Anything else that could not be run would count as agreeing unseen."""
    for item in recorded(release):
        if item.seen == "not_judged":
            _, example = example_of(CASES[item.key], REGISTRY)
            inputs = [node.meta for node in example.graph() if node.op == "placeholder" and node.meta is not None]
            assert any(None in meta.shape for meta in inputs), item.key


@pytest.mark.parametrize("release", RELEASES)
def test_what_is_guarded_or_repaired_is_right(release: str) -> None:
    for item in recorded(release):
        assert item.guarded in ("", "exact", "bounded"), item.key
        assert item.repaired in ("", "exact", "bounded"), item.key
        assert item.equal is (True if item.repaired else None), item.key


@pytest.mark.parametrize("release", RELEASES)
def test_what_was_guarded_is_what_the_policy_refuses(release: str) -> None:
    """A case that was recorded under another policy, or another effect, tells of a guard that no longer exists."""
    stale = {item.key for item in recorded(release) if bool(item.guarded) is not refused(item, release)}
    assert stale == set(), "record these again: fuseguard selftest --record --select CODE"


def refused(item: RecordedCase, release: str) -> bool:
    """Whether the default policy refuses anything that was found: its effect decides, and its rule."""
    target = Target.parse(item.spec, release)
    rules = [(REGISTRY.get(code), case) for code, case in item.found]
    return any(rule and refuses(rule.effects.look_up(case, target).effect_on(target), rule) for rule, case in rules)


@pytest.mark.parametrize("release", RELEASES)
def test_the_recording_is_of_the_examples_as_they_are(release: str) -> None:
    """What differs was recorded of another example: 'fuseguard selftest --record --select CODE' records it again."""
    there = {item.key for item in recorded(release)}
    wanted = {key for key in CASES if key[0] in {rule.code for rule in rules_in(release)}}
    assert there - wanted == set(), "examples that are gone"
    assert wanted - there == set(), "examples that were not recorded"
    stale = {item.key for item in recorded(release) if item.digest != digest_of(item.rule, item.example)}
    assert stale == set(), "examples that have changed"


@pytest.mark.parametrize("release", RELEASES)
def test_the_rules_find_in_an_example_what_they_found_when_it_was_recorded(release: str) -> None:
    """A case of a table that is renamed, or that a rule gives to other places, is in no recording."""
    for item in recorded(release):
        if item.form != "graph":
            continue  # made by Arm's quantizer, which needs torch
        rule, example = example_of(CASES[item.key], REGISTRY)
        together = tuple(dict.fromkeys((*SELECTED, rule)))
        report = run(example.graph(), Target.parse(item.spec, release), together)
        assert item.found == tuple(dict.fromkeys((f.code, f.case) for f in report.findings)), item.key


@pytest.mark.parametrize("rule", rules_in(RELEASES[-1]), ids=lambda rule: rule.code)
def test_every_row_that_recordings_grade_is_in_one(rule: Rule) -> None:
    """The rows that can apply on a recorded release; a row for a release that nobody recorded is nobody's to show."""
    reachable = {row for release in RELEASES if rule in rules_in(release) for row in rows_on(rule, release)}
    unshown = [known.row for known in evidence_of(rule, RECORDINGS) if known.stated is None and not known.measured]
    assert [row for row in unshown if row in reachable] == []


@pytest.mark.parametrize("release", RELEASES)
def test_a_row_is_measured_on_every_recorded_release_that_it_is_for(release: str) -> None:
    """Or a finding there would be inferred from another release although this one was measured."""
    for rule in rules_in(release):
        missing = [known.row for known in evidence_of(rule, RECORDINGS)
                   if known.stated is None and known.row in rows_on(rule, release) and release not in known.measured]
        assert missing == [], rule.code


def rows_on(rule: Rule, release: str) -> set[EffectRow]:
    """The rows that the rule's own findings in its bad examples have on a release."""
    return {rule.effects.look_up(case, target) for case, target in found_on(rule.code, release)}


@cache
def found_on(code: str, release: str) -> tuple[tuple[str, Target], ...]:
    rule = REGISTRY.get(code)
    assert rule is not None
    found: dict[tuple[str, Target], None] = {}
    for example in rule.bad:
        for profile in ("TOSA-1.0+INT", "TOSA-1.0+INT+FP"):
            target = Target.parse(example.spec(profile), release)
            for finding in run(example.graph(), target, (rule,)).findings:
                found.setdefault((finding.case, target))
    return tuple(found)
