"""Why a rule does not report a node: the answer comes from the rule's own conditions, for every rule."""

from __future__ import annotations

import ast
import cProfile
import pstats
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

import fuseguard
from fuseguard.cli.main import cli
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine import why_not as module
from fuseguard.engine.collector import collector_paused
from fuseguard.engine.registry import SelectorError, load_registry
from fuseguard.engine.run import run
from fuseguard.engine.tracing import shown, trace
from fuseguard.engine.why_not import UnknownNode, why_not
from fuseguard.engine.why_not_answer import WhyNot
from fuseguard.ir import Graph, View
from fuseguard.schemas import load_schema
from fuseguard.target import MEASURED_RELEASES, Target
from fuseguard_testkit.lint_work import growth
from fuseguard_testkit.paths import DATA
from fuseguard_testkit.side_by_side import bad_examples, side_by_side

RULES = load_registry().rules
NEWEST = MEASURED_RELEASES[-1]
DECIDED = {"condition", "not-considered", "not-applicable"}


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a look at the other targets, which is most of the time."""
    monkeypatch.setattr(module, "_elsewhere", lambda *_: iter(()))


def asked(rule: Rule, graph: Graph, target: Target, node: str) -> WhyNot:
    [answer] = why_not(rule, graph, target, node)
    return answer


def program(rule: Rule, title: str) -> Graph:
    return next(example for example in (*rule.bad, *rule.good) if example.title == title).graph()


def named(code: str) -> Rule:
    return next(rule for rule in RULES if rule.code == code)


def targets(rule: Rule, spec: str) -> Iterator[Target]:
    for release in reversed(MEASURED_RELEASES):
        yield rule.example_target(spec, release)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_each_rule_says_what_decided_in_its_good_examples(rule: Rule, alone: None) -> None:
    for example in rule.good[:2]:
        graph = example.graph()
        target = rule.example_target(example.spec("TOSA-1.0+INT"), NEWEST)
        for node in View(graph).ops[-2:]:
            answer = asked(rule, graph, target, node.name)
            assert answer.outcome in DECIDED, (example.title, node.name)
            assert answer.steps, (example.title, node.name)
            for step in answer.steps:
                assert step.kind == "loop" or step.text in written(step.module, step.line)


@cache
def expressions(name: str) -> tuple[ast.expr, ...]:
    source = Path(str(sys.modules[name].__file__)).read_text(encoding="utf-8")
    return tuple(node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.expr))


def written(name: str, line: int) -> set[str]:
    """The expressions of a module at a line, or in a statement that begins there."""
    return {ast.unparse(node) for node in expressions(name) if node.lineno in (line, line + 1)}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_each_rule_says_that_it_reports_what_is_bad(rule: Rule, alone: None) -> None:
    for example in rule.bad[:2]:
        graph = example.graph()
        found: tuple[Finding, ...] = ()
        for target in targets(rule, example.spec("TOSA-1.0+INT+FP")):
            found = found or run(graph, target, [rule]).findings
            if found:
                break
        assert found, example.title
        for finding in found:
            answers = why_not(rule, graph, target, finding.nodes[0])
            answer = next(item for item in answers if item.graph == finding.graph)
            assert answer.reported
            assert answer.finding is not None
            assert answer.finding.message == next(
                item.message for item in found if item.graph == finding.graph and finding.nodes[0] in item.nodes
            )


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_copy_that_is_followed_finds_what_the_rule_finds(rule: Rule) -> None:
    for example in (*rule.bad[:1], *rule.good[:1]):
        view = View(example.graph())
        target = rule.example_target(example.spec("TOSA-1.0+INT+FP"), NEWEST)
        assert trace(rule, view, target, view.ops[0]).findings == tuple(rule.check(view, target))


def test_the_part_that_decided_and_the_function_that_said_so_are_named() -> None:
    answer = asked(named("FU101"), program(named("FU101"), "conv2d -> relu alone"), Target.parse("vgf", NEWEST), "relu")
    assert answer.outcome == "condition"
    first, second, *_ = answer.steps
    assert first.text.startswith("fusion.expressible or ")
    assert [(part.text, part.holds) for part in first.parts] == [("fusion.expressible", True)]
    assert "FU102's" in first.comment
    assert second.function == "expressible"
    assert second.doc == "Whether saturating to [qmin, qmax] is the activation, to the bit."
    assert [part.text for part in second.parts] == ["self.low_fits", "self.high_fits"]


def test_operands_of_a_comparison_are_shown() -> None:
    rule = named("FU102")
    answer = asked(rule, program(rule, "conv2d -> relu alone"), Target.parse("vgf", NEWEST), "relu")
    [step] = answer.steps
    assert dict(step.parts[-1].values) == {"len(users)": "1", "users": "(relu)"}
    assert dict(step.where) == {"users": "view.users(island.anchor)"}


def test_a_release_that_the_fault_is_not_on_is_named_with_those_that_it_is_on() -> None:
    rule = named("OP703")
    graph = rule.bad[0].graph()
    pool = next(node.name for node in View(graph).ops if node.kind.startswith("max_pool"))
    answer = asked(rule, graph, Target.parse("TOSA-1.0+INT", "1.5.1"), pool)
    assert answer.outcome == "not-applicable"
    assert answer.steps[0].change.startswith("An absent or empty stride is the kernel size")
    assert "TOSA-1.0+INT, ExecuTorch 1.4.1" in answer.elsewhere
    assert not any("1.5.1" in target for target in answer.elsewhere)
    assert asked(rule, graph, Target.parse("TOSA-1.0+INT", "1.4.1"), pool).reported


def test_a_rule_of_one_accelerator_says_so() -> None:
    rule = named("BO606")
    graph = rule.bad[0].graph()
    found = run(graph, rule.example_target("TOSA-1.0+INT+FP", NEWEST), [rule]).findings[0]
    answer = asked(rule, graph, Target.parse("TOSA-1.0+INT+FP", NEWEST), found.nodes[0])
    assert answer.outcome == "not-applicable"
    assert answer.steps[0].text == "target.accelerator != self.accelerator"
    assert any("vgf" in target for target in answer.elsewhere)


def test_a_node_that_a_finding_takes_in_is_told_from_one_that_is_reported() -> None:
    rule = named("FU101")
    graph = rule.bad[0].graph()
    target = Target.parse("TOSA-1.0+INT+FP", NEWEST)
    [finding] = run(graph, target, [rule]).findings
    taken = next(name for name in finding.cluster if name not in finding.nodes)
    answer = asked(rule, graph, target, taken)
    assert answer.outcome == "in-cluster"
    assert answer.finding == finding


def test_without_integers_no_rule_runs() -> None:
    rule = named("FU101")
    assert asked(rule, rule.bad[0].graph(), Target.parse("TOSA-1.0+FP", NEWEST), "relu").outcome == "profile"


def test_an_unknown_node_is_told_with_the_nearest() -> None:
    rule = named("FU101")
    with pytest.raises(UnknownNode, match=r"no node 'rely'. Did you mean 'relu'\?"):
        why_not(rule, rule.good[0].graph(), Target.parse("vgf", NEWEST), "rely")


def test_a_string_that_equals_the_name_of_the_node_is_not_taken_for_it() -> None:
    """OP714 goes through pairs of a case and nodes; one case is called argmax. A model of the backend decides."""
    rule = named("OP714")
    example = rule.good[0]
    graph = example.graph()
    answer = asked(rule, graph, rule.example_target(example.spec("TOSA-1.0+INT"), NEWEST), View(graph).ops[0].name)
    assert [step.module for step in answer.steps] == ["fuseguard.backend.int64_results"]


def test_the_model_that_has_left_a_node_out_says_why() -> None:
    rule = named("OP707")
    answer = asked(rule, program(rule, "maximum of one scale"), Target.parse("vgf", NEWEST), "maximum")
    assert answer.outcome == "not-considered"
    assert [step.text for step in answer.steps[:2]] == [
        "for name, scale in smallest_scales(view).items()",
        "len(scales) > 1",
    ]
    assert answer.steps[0].doc.startswith("By name of an op that compares its quantized operands")


PACK = '''
from fuseguard.engine import Effect, EffectRow, EffectsTable, Rule


class Third(Rule):
    code, name, summary, why, remedy = "XX901", "third", "s", "w", "r"
    scope, message = "node", "{op}"
    effects = EffectsTable([EffectRow("*", "*", "*", Effect.WRONG)])
    bad = good = ()

    def check(self, view, target):
        for node in view.ops:
            if self.fails:
                raise RuntimeError("a fault of the rule")
            if _wanted(node):
                yield self.finding(view, target, (node,), case="*", op=node.name)

    fails = False


def _wanted(node):
    """Whether the op is a cat."""
    return node.kind == "cat"
'''


def test_a_rule_of_another_pack_is_followed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "third_pack.py").write_text(PACK)
    monkeypatch.syspath_prepend(tmp_path)
    rule = __import__("third_pack").Third()
    target = Target.parse("vgf", NEWEST)
    graph = named("FU101").good[0].graph()
    answer = asked(rule, graph, target, "relu")
    assert [(step.text, step.holds) for step in answer.steps] == [
        ("_wanted(node)", False),
        ("node.kind == 'cat'", False),
    ]
    assert answer.steps[1].doc == "Whether the op is a cat."
    (tmp_path / "failing_third_pack.py").write_text(PACK.replace("fails = False", "fails = True"))
    broken = __import__("failing_third_pack").Third()
    assert "a fault of the rule" in asked(broken, graph, target, "relu").note


def test_a_rule_without_source_is_said_to_be_one() -> None:
    class Hidden(Rule):
        code, name, summary, why, remedy, scope, message = "XX902", "hidden", "s", "w", "r", "node", "m"
        effects = EffectsTable([EffectRow("*", "*", "*", Effect.WRONG)])
        bad = good = ()

        def check(self, view: View, target: Target) -> Iterator[Finding]:
            del view, target
            yield from ()

    answer = asked(Hidden(), named("FU101").good[0].graph(), Target.parse("vgf", NEWEST), "relu")
    assert answer.outcome == "untraceable"
    assert "Hidden" in answer.note


def test_values_are_short() -> None:
    assert len(shown("x" * 1000)) <= 62
    assert shown(object()) == "object"


# --- from Python ----------------------------------------------------------------------------------------------


def test_the_function_answers_as_the_command() -> None:
    path = DATA / "conv_cat.pt2"
    [answer] = fuseguard.why_not(path, "FU102", "relu", "TOSA-1.0+INT", NEWEST)
    assert (answer.outcome, answer.file) == ("condition", str(path))
    printed = CliRunner().invoke(
        cli, ["why-not", "FU102", "relu", str(path), "--target", "TOSA-1.0+INT", "--executorch", NEWEST]
    )
    assert str(answer) == printed.output.rstrip()
    assert repr(answer).startswith("<fuseguard WhyNot: FU102 activation-strands-anchor does not report relu")
    assert len(repr(answer).splitlines()) == 1
    document = {"answers": [answer.to_dict()], "file": "", "schema_version": "1.1", "tool": {"name": "fuseguard"}}
    schema = load_schema("why-not")
    jsonschema.Draft202012Validator({**schema, "$ref": "#/$defs/whynot"}).validate(
        {**document, "tool": {"name": "fuseguard", "version": fuseguard.__version__}}
    )


def test_the_function_takes_a_graph_several_targets_and_a_name() -> None:
    rule = named("FU101")
    graph = rule.bad[0].graph()
    [node] = [item.name for item in View(graph).ops if item.kind == "conv"][:1]
    answers = fuseguard.why_not(graph, rule.name, node, ["TOSA-1.0+INT", "vgf"], NEWEST)
    assert [answer.file for answer in answers] == ["", ""]
    assert all("the program" in str(answer) for answer in answers)


@pytest.mark.parametrize(
    ("rule", "node", "error", "said"),
    [
        ("FU999", "relu", SelectorError, "No rule is called 'FU999'"),
        ("AR901", "relu", SelectorError, "is not about nodes"),
        ("FU101", "rellu", UnknownNode, "Did you mean 'relu'"),
    ],
)
def test_the_errors_of_the_function_are_those_of_the_command(
    rule: str, node: str, error: type[Exception], said: str
) -> None:
    path = str(DATA / "conv_cat.pt2")
    with pytest.raises(error, match=said):
        fuseguard.why_not(path, rule, node, executorch=NEWEST)
    assert issubclass(error, ValueError)
    result = CliRunner().invoke(cli, ["why-not", rule, node, path, "--executorch", NEWEST])
    assert result.exit_code == 2
    assert said.partition("(")[0] in result.output


# --- what it costs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["FU101", "DT503", "BO601"])
def test_the_work_grows_with_the_program_and_no_faster(code: str, alone: None) -> None:
    """In function calls: DT503 once followed the arithmetic of each lookup table, 88,000 calls for each node."""
    rule, target = named(code), Target.parse("TOSA-1.0+INT", NEWEST)
    examples = bad_examples()[::12]

    def calls(graph: Graph) -> int:
        profile = cProfile.Profile()
        with collector_paused():
            profile.enable()
            why_not(rule, graph, target, View(graph).ops[-2].name)
            profile.disable()
        return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]

    def program(copies: int) -> Graph:
        return side_by_side(examples * copies)

    calls(program(1))  # sources are read and rewritten once in a process
    assert calls(program(1)) < 3000 * len(program(1))
    assert growth(calls, program, 1) < 1.1
