"""Repairs come to an end wherever they meet, in few rounds, and leave nothing that they could still repair. Torch-free.

The bad examples of all rules that know a repair, alone, in pairs and in threes: beside one another, one after the
other, or reading the same input; as they are written, and with the qparams of some values changed to uint8, to int16
or to another scale. tests/engine/test_rounds.py holds that what goes in circles is found. When DT501 still brought the
operands of a list to uint8 where its result is uint8, 27 of 3,362 programs drawn like this went in circles.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuseguard.engine import Example, Report, Rule
from fuseguard.engine.example_cases import repair_policy
from fuseguard.engine.run import POLICIES
from fuseguard.ir import Graph
from fuseguard.target import MEASURED_RELEASES, Target
from fuseguard_testkit.composing import CHANGES, WAYS, changed, compose, values
from fuseguard_testkit.graph_rewriting import repair_graph
from fuseguard_testkit.repair_cases import EXAMPLES, PROFILES, RULES, SELECTED

pytestmark = pytest.mark.slow

#: One release of each behaviour, as in .ci/run: 1.3.1 and 1.4.0 behave like 1.4.1, and 1.5.0 like 1.5.1.
SHORT = ("1.2.0", "1.4.1", "1.5.1")
#: The largest number seen for three examples is 9.
MOST_ROUNDS = 12


def repaired(graph: Graph, target: Target, policy: str) -> Graph:
    """The graph after its repair, with what has to hold of one."""
    seen: list[Report] = []
    after, applied, report = repair_graph(graph, target, SELECTED, policy, seen.append)
    assert not [failure for item in seen for failure in item.failures]
    assert len(seen) <= MOST_ROUNDS, [item.finding.code for item in applied]
    assert not [item.code for item in report.findings if item.refuse and item.repairable]
    if any(item.rewrite is not None for item in report.findings):  # else there is nothing that a repair could make
        assert repair_graph(after, target, SELECTED, policy)[1] == ()
    return after


def target_for(examples: list[Example], profile: str, release: str) -> Target:
    extensions = sorted({extension for example in examples for extension in example.extensions})
    return Target.parse("+".join((profile, *extensions)), release)


def of_one_dialect(examples: list[Example]) -> bool:
    return len({example.graph().dialect for example in examples}) == 1


@pytest.mark.parametrize(
    "releases", [SHORT, pytest.param(MEASURED_RELEASES, marks=pytest.mark.thorough)], ids=["short", "all"]
)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_every_example_is_repaired_in_few_rounds(rule: Rule, releases: tuple[str, ...]) -> None:
    for example in rule.bad:
        for release in releases:
            for profile in PROFILES:
                repaired(example.graph(), target_for([example], profile, release), repair_policy(rule))


@pytest.mark.parametrize("number", range(len(RULES)), ids=[rule.code for rule in RULES])
def test_the_repairs_of_every_pair_of_rules_end(number: int) -> None:
    """Each pair once in either order. Which examples, how they are put together and for what, goes in turns."""
    for turn, other in enumerate(RULES):
        mixed = number * len(RULES) + turn
        pair = [rule.bad[mixed % len(rule.bad)] for rule in (RULES[number], other)]
        if not of_one_dialect(pair):
            continue
        target = target_for(pair, PROFILES[mixed % 2], MEASURED_RELEASES[mixed // 2 % len(MEASURED_RELEASES)])
        graph = compose([example.graph() for example in pair], WAYS[(number + turn) % len(WAYS)])
        repaired(graph, target, POLICIES[mixed % len(POLICIES)])


@st.composite
def programs(draw: st.DrawFn, most: int, changing: bool) -> tuple[Graph, Target, str]:
    """Up to ``most`` examples in one graph, a target and a policy."""
    rules = draw(st.lists(st.sampled_from(RULES), min_size=1 if changing else 2, max_size=most))
    examples = [draw(st.sampled_from(rule.bad)) for rule in rules]
    graphs = [example.graph() for example in examples]
    graphs = [graph for graph in graphs if graph.dialect == graphs[0].dialect]
    if changing:
        graphs = [changed(graph, draw(_changes(values(graph)))) for graph in graphs]
    target = target_for(examples, draw(st.sampled_from(PROFILES)), draw(st.sampled_from(MEASURED_RELEASES)))
    return compose(graphs, draw(st.sampled_from(WAYS))), target, draw(st.sampled_from(POLICIES))


def _changes(names: tuple[str, ...]) -> st.SearchStrategy[dict[str, str]]:
    if not names:
        return st.just({})
    return st.dictionaries(st.sampled_from(names), st.sampled_from(sorted(CHANGES)), max_size=4)


@settings(max_examples=150, deadline=None)
@given(programs(most=3, changing=False))
def test_the_repairs_of_two_and_three_rules_end(program: tuple[Graph, Target, str]) -> None:
    repaired(*program)


@settings(max_examples=150, deadline=None)
@given(programs(most=2, changing=True))
def test_repairs_end_whatever_the_values_are_quantized_to(program: tuple[Graph, Target, str]) -> None:
    repaired(*program)


@pytest.mark.campaign
@settings(max_examples=20_000, deadline=None)
@given(programs(most=3, changing=True))
def test_repairs_end_in_many_programs(program: tuple[Graph, Target, str]) -> None:
    repaired(*program)


@pytest.mark.campaign
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("number", range(len(EXAMPLES)), ids=[f"{r.code}-{e.title}" for r, e in EXAMPLES])
def test_the_repairs_of_every_pair_of_examples_end(number: int, way: str) -> None:
    for turn, (_, other) in enumerate(EXAMPLES):
        pair = [EXAMPLES[number][1], other]
        if of_one_dialect(pair):
            target = target_for(pair, PROFILES[turn % 2], MEASURED_RELEASES[(number + turn) % len(MEASURED_RELEASES)])
            repaired(compose([example.graph() for example in pair], way), target, POLICIES[turn % len(POLICIES)])
