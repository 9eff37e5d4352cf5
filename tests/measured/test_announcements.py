"""Changes that upstream announces: what is said of a finding that one concerns.

Protects: an announced change that is kept from the user, or shown where it does not apply.
"""

from __future__ import annotations

from typing import Any

import pytest

from fuseguard import measured
from fuseguard.engine import Effect, Evidence, Rule, run
from fuseguard.engine.evidence import announced_of, announced_text
from fuseguard.engine.registry import load_registry
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.ops import lookup
from fuseguard.measured.announced import ANNOUNCED, RELEASE_NOTES, Concern
from fuseguard.ranges import check_range, specifiers
from fuseguard.target import Target
from fuseguard_testkit.grading import found, relu, seen

REGISTRY = load_registry()


def test_an_announced_change_keeps_the_effect_and_says_what_is_expected(record: Any, announce: Any) -> None:
    record(_1_5_1=(seen("wrong"),))
    announce(Concern("ZZ100", ("kept",), ("INT",), "exact"))
    finding = found("1.6.0")
    assert (finding.effect, finding.evidence, finding.evidence_release) == (Effect.WRONG, Evidence.ANNOUNCED, "1.5.1")
    assert finding.evidence_note == (
        "#99 (of 2026-09-21, merged) fixes it; exact is expected; the effect is that of 1.5.1; a third pass"
    )
    assert found("1.6.0", "INT+FP").evidence is Evidence.INFERRED, "another profile"
    assert found("1.5.2").evidence is Evidence.INFERRED, "an older release"
    assert found("1.5.1").evidence is Evidence.MEASURED
    assert found("1.6.0rc1").evidence is found("1.7.1").evidence is Evidence.ANNOUNCED


def test_who_says_it_and_what_is_not_known_is_part_of_the_note(record: Any, announce: Any) -> None:
    record(_1_5_1=(seen("wrong"),))
    announce(Concern("ZZ100", basis="mechanism", condition="a relu"))
    assert "that it concerns this case for a relu is inferred from its mechanism" in found("1.6.0").evidence_note
    announce(Concern("ZZ100"))
    assert "fixes it; the new effect is not known; the effect is that of 1.5.1" in found("1.6.0").evidence_note
    record()
    assert "no recording shows the effect" in found("1.6.0").evidence_note


def test_a_recording_of_the_release_settles_what_was_announced(record: Any, announce: Any) -> None:
    announce(Concern("ZZ100", expected="exact"))
    record(_1_5_1=(seen("wrong"),), _1_6_0=(seen("wrong"),))
    assert found("1.6.0").evidence is Evidence.MEASURED
    assert (found("1.6.1").evidence, found("1.6.1").evidence_release) == (Evidence.INFERRED, "1.6.0")
    assert announced_of("ZZ100") == (), "the pages no longer speak of it"
    record(_1_5_1=(seen("wrong"),), _1_6_0=(seen("exact"),))
    assert found("1.6.0").evidence is Evidence.ANNOUNCED, "the table still says what 1.5.1 showed"


@pytest.mark.parametrize(
    ("concern", "concerned"),
    [
        (Concern("ZZ100", ("odd",)), False),
        (Concern("ZZ100", ("odd", "kept")), True),
        (Concern("ZZ100", ops=("add",)), False),
        (Concern("ZZ100", ops=("relu", "add")), True),
        (Concern("ZZ100", inside="attention"), True),
        (Concern("ZZ100", inside="convolution"), False),
        (Concern("ZZ100", beside=("cat",)), False),
        (Concern("ZZ100", dynamic=True), False),
        (Concern("ZZ100", appears=True), False),
    ],
)
def test_only_what_a_change_concerns_is_announced(announce: Any, concern: Concern, concerned: bool) -> None:
    announce(concern)
    finding = found("1.6.0", graph=relu(function="attention"))
    assert (finding.evidence is Evidence.ANNOUNCED) is concerned


def test_a_change_may_concern_what_is_beside_an_op(announce: Any) -> None:
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 8, 8), int8(2.0))
    value = b.requantize(b.call("aten.relu.default", x), int8(2.0))
    graph = b.output(b.requantize(b.call("aten.cat.default", (value, value), 1, shape=(1, 8, 8, 8)), int8(2.0)))
    announce(Concern("ZZ100", beside=("cat",)))
    assert found("1.6.0", graph=graph).evidence is Evidence.ANNOUNCED
    announce(Concern("ZZ100", beside=("slice",)))
    assert found("1.6.0", graph=graph).evidence is Evidence.INFERRED


def test_a_change_may_concern_dynamic_qparams_only(announce: Any) -> None:
    announce(Concern("ZZ100", dynamic=True))
    assert found("1.6.0", graph=dynamic_linear("aten.relu.default")).evidence is Evidence.ANNOUNCED


def dynamic_linear(target: str = "aten.linear.default") -> Graph:
    """A linear, or a relu in its place, of a value that is quantized with a scale of its own, computed in the graph."""
    b = GraphBuilder()
    x = b.input("x", (4, 8))
    chosen = b.call("quantized_decomposed.choose_qparams_symmetric.tensor", x, -127, 127, 1e-9, "int8", shape=(1,))
    scale, zero_point = (b.call("operator.getitem", chosen, index, shape=(1,)) for index in (0, 1))
    qparams = (scale, zero_point, -127, 127, "int8")
    q = b.call("quantized_decomposed.quantize_per_tensor.tensor", x, *qparams, shape=(4, 8), dtype="int8")
    dq = b.call("quantized_decomposed.dequantize_per_tensor.tensor", q, *qparams, shape=(4, 8))
    operands = (dq, b.quantized_constant("weight", (8, 8), 0.01)) if "linear" in target else (dq,)
    return b.output(b.call(target, *operands, shape=(4, 8), annotated=True))


def test_announcements_of_rules_name_what_there_is() -> None:
    for announcement in ANNOUNCED:
        assert announcement.pr.startswith("#")
        check_range(announcement.releases)
        assert Target.parse("TOSA-1.0+INT", announcement.first).release_in(announcement.releases)
        for concern in announcement.concerns:
            rule = REGISTRY.get(concern.rule)
            assert rule is not None, concern.rule
            known = {"*", *rule.effects.cases(), *cases_found(rule)}
            assert set(concern.cases) <= known, (concern.rule, set(concern.cases) - known)
            assert set(concern.profiles) <= {"INT", "INT+FP"}
            assert concern.expected in ("", *(effect.value for effect in Effect))
            assert not (concern.expected and concern.basis == "mechanism"), "nobody says what to expect"
            narrowed = concern.appears or concern.ops or concern.beside or concern.inside or concern.dynamic
            assert concern.condition or not narrowed, "a reader must know what is concerned"
            assert all(lookup(f"aten.{kind}.default").kind == kind for kind in (*concern.ops, *concern.beside))
            assert announced_text(announcement, concern)


def cases_found(rule: Rule) -> set[str]:
    """The cases that the rule's examples have, on any release."""
    targets = [Target.parse(example.spec(spec), release) for example in rule.bad for release in measured.RELEASES
               for spec in ("TOSA-1.0+INT", "TOSA-1.0+INT+FP")]  # fmt: skip
    graphs = [example.graph() for example in rule.bad for _ in range(2 * len(measured.RELEASES))]
    return {finding.case for graph, target in zip(graphs, targets, strict=True)
            for finding in run(graph, target, (rule,)).findings if finding.code == rule.code}  # fmt: skip


#: The rules that the list of upstream changes after 1.5.1 concerns.
CONCERNED = {
    "BO601", "BO602", "BO604", "BO605", "DT503", "DT506", "OP701", "OP703", "OP708", "OP709", "OP711", "PL401", "PL402",
    "PL403", "PL404", "PL405", "QD201", "QD202", "QD203", "QD205",
}  # fmt: skip


def test_every_rule_that_upstream_changes_concern_has_an_announcement() -> None:
    assert {concern.rule for announcement in ANNOUNCED for concern in announcement.concerns} == CONCERNED


@pytest.mark.parametrize(
    ("code", "title", "profile", "pr", "expected"),
    [
        ("BO601", 0, "INT", "#22966", "cpu_fallback is expected"),
        ("BO605", 0, "INT", "#22966", "inferred from its mechanism"),
        ("OP708", 0, "INT", "#22880", "exact is expected"),
        ("PL402", 0, "INT+FP", "#22559", "exact is expected"),
        ("OP701", 0, "INT", "#22566", "not known"),
    ],
)
def test_what_upstream_announces_is_said_of_1_6(code: str, title: int, profile: str, pr: str, expected: str) -> None:
    rule = REGISTRY.get(code)
    assert rule is not None
    example = rule.bad[title]
    spec = example.spec(f"TOSA-1.0+{profile}")
    targets = [Target.parse(spec, release) for release in ("1.5.1", "1.6.0")]
    before, after = (
        [item for item in run(example.graph(), target, REGISTRY.select()).findings if item.code == code]
        for target in targets
    )
    assert after
    assert [item.effect for item in after] == [item.effect for item in before], "that of the nearest measured release"
    for item in after:
        assert item.evidence is Evidence.ANNOUNCED
        assert pr in item.evidence_note
        assert expected in item.evidence_note


def test_a_where_of_codes_and_floats_is_not_fixed_by_the_change_of_the_rescales() -> None:
    rule = REGISTRY.get("PL402")
    assert rule is not None
    told = {}
    for example in rule.bad:
        for finding in run(example.graph(), Target.parse(example.spec("TOSA-1.0+INT+FP"), "1.6.0"), (rule,)).findings:
            told.setdefault(finding.case, set()).add(finding.evidence)
    assert told["where"] == {Evidence.INFERRED}
    assert told["checked"] == {Evidence.ANNOUNCED}


def test_a_dynamically_quantized_linear_is_announced_to_work() -> None:
    findings = run(dynamic_linear(), Target.parse("TOSA-1.0+INT+FP", "1.6.0"), REGISTRY.select()).findings
    concerned = [finding for finding in findings if finding.code in ("PL401", "PL403", "PL404")]
    assert concerned
    assert all("#22879" in finding.evidence_note for finding in concerned)
    static = REGISTRY.get("PL403")
    assert static is not None
    for example in static.bad:
        for finding in run(example.graph(), Target.parse("TOSA-1.0+INT+FP", "1.6.0"), (static,)).findings:
            assert finding.evidence is Evidence.INFERRED, "what is quantized statically stays as it is"


def test_notes_of_releases_are_part_of_the_notice() -> None:
    assert "symbolic dimension" in Target.parse("TOSA-1.0+INT", "1.5.0").notice or "1.5.0" in measured.RELEASES
    assert "symbolic" not in Target.parse("TOSA-1.0+INT", "1.6.0").notice
    assert all(specifiers(note.releases) and note.pr for note in RELEASE_NOTES)
