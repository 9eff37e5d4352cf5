"""How an effect is known: measured, inferred, announced, or stated by its row.

Protects: "measured" said of a release, a case or a profile that nobody measured, and an announced change that is kept
from the user or shown where it does not apply.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fuseguard import measured
from fuseguard.engine import Effect, EffectRow, EffectsTable, Evidence, Example, Finding, Rule, run
from fuseguard.engine.agreement import OUTCOMES, agrees, disagreement
from fuseguard.engine.effects import AnnouncedEffects
from fuseguard.engine.evidence import announced_of, announced_text
from fuseguard.engine.finding import Severity
from fuseguard.engine.housekeeping import HOUSEKEEPING
from fuseguard.engine.registry import load_registry
from fuseguard.engine.row_evidence import evidence_of
from fuseguard.gate.result import CheckResult, FileResult
from fuseguard.gate.targets import merge
from fuseguard.gate.upgrade import compare
from fuseguard.ir import Graph, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import SourceLine
from fuseguard.ir.ops import lookup
from fuseguard.measured.announced import ANNOUNCED, RELEASE_NOTES, Announcement, Concern
from fuseguard.ranges import check_range, specifiers
from fuseguard.report.effects import evidence_text
from fuseguard.report.formats import FORMATS, render_document
from fuseguard.report.lines import plain
from fuseguard.report.options import Options
from fuseguard.report.rule_json import full
from fuseguard.report.rule_markdown import rule_markdown
from fuseguard.report.upgrade import FileUpgrade, UpgradeResult
from fuseguard.report.upgrade import render as render_upgrade
from fuseguard.target import Target
from fuseguard_testkit.recordings import case, recording, recordings

REGISTRY = load_registry()


def relu(scale: float = 2.0, function: str = "") -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 8, 8), int8(scale))
    source = SourceLine("model.py", 3, "forward", f"y = {function}(x)") if function else None
    return b.output(b.requantize(b.call("aten.relu.default", x, source=source), int8(scale)))


class Coarse(Rule):
    """Finds every relu, with a case of its own on each side of 1.5."""

    code = "ZZ100"
    name = "coarse-steps"
    summary = why = remedy = "Coarse."
    scope = "node"
    message = "{node} is coarse"
    effects = EffectsTable(
        [
            EffectRow("odd", "*", "*", Effect.CRASH, Evidence.SOURCE_READ, "a pass"),
            EffectRow("kept", "<1.5", "*", Effect.EXACT, reference="another pass"),
            EffectRow("kept", ">=1.5", "INT", Effect.WRONG, reference="a third pass"),
            EffectRow("kept", ">=1.5", "INT+FP", Effect.CPU_FALLBACK, reference="a third pass"),
        ]
    )
    bad = (Example("ZZ100 kept", relu),)
    good = (Example("ZZ100 fine", relu),)
    case = "kept"

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.calls():
            if node.kind == "relu":
                yield self.finding(view, target, (node,), case=self.case, node=node.name)


def found(release: str, profile: str = "INT", rule: type[Rule] = Coarse, graph: Graph | None = None) -> Finding:
    (finding,) = run(graph or relu(), Target.parse(f"TOSA-1.0+{profile}", release), (rule(),)).findings
    return finding


def seen(outcome: str, profile: str = "INT", **fields: Any) -> Any:
    return case("ZZ100", "kept", outcome, profile, **fields)


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes these recordings the ones that there are."""

    def put(**cases: tuple[Any, ...]) -> None:
        made = [recording(name.strip("_").replace("_", "."), items) for name, items in cases.items()]
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        monkeypatch.setattr(measured, "SHIPPED", recordings(folder, *made))

    return put


@pytest.fixture
def announce(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes these concerns of the rule, of one change in 1.6, the only ones."""

    def put(*concerns: Concern, **fields: Any) -> None:
        values = {"pr": "#99", "date": "2026-09-21", "state": "merged", "change": "fixes it", "concerns": concerns}
        announcement = Announcement(**{**values, **fields})
        monkeypatch.setattr("fuseguard.engine.evidence.ANNOUNCED_EFFECTS", AnnouncedEffects([announcement]))

    return put


# --- grades ---------------------------------------------------------------------------------------------------


def test_measured_is_what_the_recording_of_exactly_that_release_shows(record: Any) -> None:
    record(_1_5_1=(seen("wrong"), seen("exact", "INT+FP", cpu=1)))
    finding = found("1.5.1")
    assert (finding.case, finding.evidence, finding.evidence_release) == ("kept", Evidence.MEASURED, "1.5.1")
    assert evidence_text(finding) == "measured (a third pass)"
    assert found("1.5.1", "INT+FP").evidence is Evidence.MEASURED
    assert found("1.5.1+cpu").evidence is Evidence.MEASURED
    for other in ("1.5.0", "1.6.0", "1.5.1rc1", "1.5.1.post1", "1.6.0a0"):
        assert found(other).evidence is Evidence.INFERRED, other


@pytest.mark.parametrize(
    "shown",
    [
        (),
        (seen("exact"),),
        (seen("wrong", "INT+FP"),),
        (case("ZZ100", "odd", "wrong"),),
        (case("ZZ200", "kept", "wrong"),),
        (case("ZZ200", "kept", "wrong", found=(("ZZ100", "kept"),)),),
    ],
    ids=["nothing", "another effect", "another profile", "another case", "another rule", "another rule's example"],
)
def test_what_shows_something_else_is_no_measurement(record: Any, shown: tuple[Any, ...]) -> None:
    record(_1_5_1=shown)
    finding = found("1.5.1")
    assert (finding.evidence, finding.evidence_release) == (Evidence.INFERRED, "")
    assert evidence_text(finding) == "inferred, in no recording (a third pass)"


def test_a_fallback_is_only_shown_where_something_was_left_on_the_cpu(record: Any) -> None:
    record(_1_5_1=(seen("exact", "INT+FP", cpu=0),))
    assert found("1.5.1", "INT+FP").evidence is Evidence.INFERRED
    record(_1_5_1=(seen("exact", "INT+FP", cpu=2),))
    assert found("1.5.1", "INT+FP").evidence is Evidence.MEASURED


def test_one_example_that_shows_it_is_enough(record: Any) -> None:
    record(_1_5_1=(seen("exact", example="a"), seen("wrong", example="b")))
    assert found("1.5.1").evidence is Evidence.MEASURED


@pytest.mark.parametrize(
    ("release", "source"),
    [("1.5.0", "1.5.1"), ("1.6.0", "1.5.1"), ("1.4.0", "1.4.1"), ("1.4.2", "1.4.1"), ("1.3.0", "1.2.0")],
)
def test_inferred_names_the_nearest_release_that_shows_the_effect(record: Any, release: str, source: str) -> None:
    record(_1_2_0=(seen("exact"),), _1_4_1=(seen("bounded"),), _1_5_1=(seen("wrong"),))
    finding = found(release)
    assert (finding.evidence, finding.evidence_release) == (Evidence.INFERRED, source)
    assert f"inferred from {source}" in evidence_text(finding)


def test_a_release_that_shows_another_effect_is_passed_over(record: Any) -> None:
    """1.5.1 is nearer to 1.4.9 than nothing, but its table row is another one."""
    record(_1_2_0=(seen("exact"),), _1_5_1=(seen("wrong"),))
    assert (found("1.4.9").effect, found("1.4.9").evidence_release) == (Effect.EXACT, "1.2.0")


def test_a_case_that_a_measured_release_does_not_show_is_inferred_too(record: Any) -> None:
    record(_1_4_1=(seen("exact"),), _1_3_1=())
    assert (found("1.3.1").evidence, found("1.3.1").evidence_release) == (Evidence.INFERRED, "1.4.1")


def test_the_rules_of_a_pack_are_graded_by_the_recordings_that_it_brings(record: Any, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()

    class Packed(Coarse):
        recordings = recordings(tmp_path / "pack", recording("1.5.1", [seen("wrong")]))

    record()
    assert found("1.5.1", rule=Packed).evidence is Evidence.MEASURED
    assert found("1.5.1").evidence is Evidence.INFERRED
    assert evidence_of(Packed())[2].measured == ("1.5.1",)


def test_a_row_that_states_its_evidence_keeps_it(record: Any, announce: Any) -> None:
    announce(Concern("ZZ100"))

    class Odd(Coarse):
        case = "odd"

    record(_1_5_1=(case("ZZ100", "odd", "crash"),))
    for release in ("1.5.1", "1.6.0"):
        finding = found(release, rule=Odd)
        assert (finding.evidence, finding.evidence_note) == (Evidence.SOURCE_READ, "a pass")


def test_no_row_can_claim_a_grade() -> None:
    assert EffectRow("*", "*", "*", Effect.WRONG, Evidence.MEASURED).evidence is None, "as older packs say it"
    for claimed in (Evidence.INFERRED, Evidence.ANNOUNCED):
        with pytest.raises(ValueError, match="cannot state"):
            EffectRow("*", "*", "*", Effect.WRONG, claimed)


def test_a_finding_about_no_program_has_no_evidence() -> None:
    for rule in HOUSEKEEPING:
        fields = dict.fromkeys(("rule", "scope", "where", "file", "place", "until", "reason"), "x")
        finding = rule.finding(SourceLine("pyproject.toml", 1), "x", **fields)
        assert finding.evidence is None
        assert evidence_text(finding) == ""


# --- announcements --------------------------------------------------------------------------------------------


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


# --- rows of effects tables -----------------------------------------------------------------------------------


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


# --- agreement ------------------------------------------------------------------------------------------------


def test_every_effect_of_the_backend_can_be_borne_out() -> None:
    assert set(OUTCOMES) == {effect for effect in Effect if effect.of_backend}
    assert not agrees(Effect.UPKEEP, "exact", 1)


@pytest.mark.parametrize(
    ("effect", "seen_as", "cpu", "options", "fault"),
    [
        (None, "exact", 0, {}, ""),
        (None, "bounded", 0, {}, "announced exact, seen bounded"),
        (None, "bounded", 0, {"int16": True}, ""),
        (Effect.WRONG, "wrong", 0, {}, ""),
        (Effect.WRONG, "exact", 0, {}, "announced wrong, seen exact"),
        (Effect.WRONG, "exact", 0, {"in_program": True}, ""),
        (Effect.CPU_FALLBACK, "exact", 1, {}, ""),
        (Effect.CPU_FALLBACK, "exact", 0, {}, "announced cpu_fallback, but nothing was left on the CPU"),
        (Effect.CPU_FALLBACK, "crash", 0, {}, "announced cpu_fallback, seen crash"),
        (Effect.BOUNDED, "exact", 0, {}, "announced bounded, seen exact"),
        (Effect.BOUNDED, "exact", 0, {"good": True}, ""),
    ],
)
def test_what_disagrees_is_said(
    effect: Effect | None, seen_as: str, cpu: int, options: dict[str, bool], fault: str
) -> None:
    assert disagreement(effect, seen_as, cpu, **options) == fault


# --- what users are told --------------------------------------------------------------------------------------

RULE = next(rule for rule in REGISTRY.rules if rule.code == "BO601")


def checked(*releases: str) -> CheckResult:
    graph = RULE.bad[0].graph()
    targets = [Target.parse("TOSA-1.0+INT", release) for release in releases]
    report = merge([run(graph, target, REGISTRY.select(), file="m.pt2") for target in targets], graph)
    files = (FileResult("m.pt2", report),)
    return CheckResult(targets[0], "consistent", files, report.rules, 1, targets=tuple(targets))


def bo601(outcome: str = "runtime_fault") -> tuple[Any, ...]:
    findings = run(RULE.bad[0].graph(), Target.parse("TOSA-1.0+INT", "1.5.1"), (RULE,)).findings
    (shown,) = {finding.case for finding in findings}
    title = RULE.bad[0].title
    return tuple(case("BO601", shown, outcome, profile, example=title) for profile in ("INT", "INT+FP"))


@pytest.mark.parametrize("name", sorted({*FORMATS} - {"json", "json-lines"}))
@pytest.mark.parametrize("release", ["1.6.0", "1.5.0", "1.4.0"])
def test_no_format_says_measured_of_a_release_that_nobody_measured(record: Any, name: str, release: str) -> None:
    record(_1_5_1=bo601(), _1_4_1=bo601())
    options = Options(rules={rule.code: rule for rule in REGISTRY.rules})
    text = render_document(name, checked(release), options)
    if name == "html":  # it has the whole effects table, whose rows say what they were measured on
        measured_on = r'"evidence":"measured","measured_on":\[([^\]]*)\]'
        rows = re.findall(measured_on, text)
        assert rows
        assert not any(release in row for row in rows)
        text = re.sub(measured_on, "", text)
    for claim in (r"evidence +measured", r'[eE]vidence"[^\n,]*measured"', f"measured on {release}", "very-high"):
        assert not re.search(claim, text), claim
    if name in ("text", "junit", "sarif", "github", "gitlab"):
        assert ("announced" if release == "1.6.0" else "inferred from 1.") in text


def test_json_and_json_lines_say_it_in_their_keys(record: Any) -> None:
    record(_1_5_1=bo601())
    for release, evidence, nearest in (("1.5.1", "measured", "1.5.1"), ("1.6.0", "announced", "1.5.1")):
        document = json.loads(render_document("json", checked(release)))
        found_there = [item for item in document["files"][0]["findings"] if item["code"] == "BO601"]
        assert found_there
        for item in found_there:
            assert (item["evidence"], item["evidence_release"]) == (evidence, nearest)
            assert item["case"]
        assert document["target"]["executorch_measured"] is (release in measured.RELEASES)
        lines = [json.loads(line) for line in render_document("json-lines", checked(release)).splitlines()]
        assert evidence in {line["evidence"] for line in lines if line["type"] == "finding"}


def test_sarif_says_it_of_results_and_calls_no_rule_very_precise_for_such_a_release(record: Any) -> None:
    record(_1_5_1=bo601())
    options = Options(rules={RULE.code: RULE})
    for release, evidence, precision in (("1.5.1", "measured", "very-high"), ("1.6.0", "announced", "high")):
        (log,) = json.loads(render_document("sarif", checked(release), options))["runs"]
        results = [item for item in log["results"] if item["ruleId"] == "BO601"]
        assert {item["properties"]["evidence"] for item in results} == {evidence}
        (rule,) = [rule for rule in log["tool"]["driver"]["rules"] if rule["id"] == "BO601"]
        assert rule["properties"]["precision"] == precision
        assert "#22966" in rule["help"]["markdown"]
    assert "announced to change: #22966" in results[0]["message"]["text"]


def test_of_several_targets_each_says_how_its_effect_is_known(record: Any) -> None:
    record(_1_5_1=bo601())
    result = checked("1.5.1", "1.6.0", "1.5.0")
    (finding, *_) = [item for item in result.findings if item.code == "BO601"]
    assert [outcome.evidence for outcome in finding.outcomes] == [
        Evidence.MEASURED, Evidence.ANNOUNCED, Evidence.INFERRED,
    ]  # fmt: skip
    assert [outcome.evidence_release for outcome in finding.outcomes] == ["1.5.1"] * 3
    text = render_document("text", result)
    assert "measured (TOSAPartitioner" in text
    assert "announced (#22966" in text
    assert "inferred from 1.5.1 (TOSAPartitioner" in text
    (told, *_) = [line for line in render_document("github", result).splitlines() if "BO601" in line]
    assert "ExecuTorch 1.5.0 (inferred from 1.5.1)" in told
    assert "ExecuTorch 1.5.1, " in told
    suite = ElementTree.fromstring(render_document("junit", result))
    assert "announced (#22966" in "".join(suite.itertext())


def test_an_upgrade_check_says_what_is_announced(record: Any) -> None:
    record(_1_5_1=bo601())
    upgrade = compare(checked("1.5.1", "1.6.0").programs[0].report)
    result = UpgradeResult((FileUpgrade("m.pt2", upgrade),), upgrade.report.targets, "consistent", 0)
    text = plain(render_upgrade(result))
    assert "runtime_fault -> runtime_fault" in text
    assert "evidence  announced (#22966 (of 2026-09-21, merged)" in text
    assert "announced to change; ExecuTorch 1.5.1 -> 1.6.0" in text
    same = compare(checked("1.5.1", "1.5.1").programs[0].report)
    assert UpgradeResult((FileUpgrade("m.pt2", same),), same.report.targets, "consistent", 0).announced == 0


def test_a_rule_explains_how_its_rows_are_known(record: Any) -> None:
    record(_1_5_1=bo601())
    told = full(RULE, "fuseguard")
    assert [row["measured_on"] for row in told["effects"] if row["profile"] == "INT"] == [["1.5.1"]]
    assert [row["announced_from"] for row in told["effects"] if row["profile"] == "INT"] == [["1.6"]]
    announced = told["announced"]
    assert [(item["pull_request"], item["expected"], item["basis"], item["appears"]) for item in announced] == [
        ("#22966", "cpu_fallback", "text", False), ("#22641", None, "mechanism", True),
    ]  # fmt: skip
    markdown = rule_markdown(RULE)
    assert "measured on 1.5.1; announced to change from 1.6" in markdown
    assert "## Announced upstream" in markdown


def test_an_unmeasured_effect_is_no_less_severe(record: Any) -> None:
    record(_1_5_1=bo601())
    graph = RULE.bad[0].graph()
    before, after = (
        run(graph, Target.parse("TOSA-1.0+INT", release), (RULE,)).findings for release in ("1.5.1", "1.6.0")
    )
    assert {f.severity for f in after} == {Severity.ERROR}
    plainly = [replace(f, evidence=None, evidence_note="", evidence_release="", target="") for f in before]
    assert plainly == [replace(f, evidence=None, evidence_note="", evidence_release="", target="") for f in after]
