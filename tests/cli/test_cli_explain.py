"""``fuseguard explain`` and ``fuseguard rules``."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from fuseguard.engine import Registry
from fuseguard.engine.row_evidence import evidence_of

Cli = Callable[..., Result]


def squeezed(text: str) -> str:
    """Wrapping put aside."""
    return " ".join(text.split())


@pytest.mark.parametrize("name", ["FU101", "fu101", "fused-activation-out-of-range"])
def test_a_rule_is_found_by_code_and_by_name(cli: Cli, name: str) -> None:
    result = cli("explain", name)
    assert result.exit_code == 0
    assert result.output.startswith("FU101 fused-activation-out-of-range\n")


def test_every_rule_tells_all_it_knows(cli: Cli, registry: Registry) -> None:
    for rule in registry.rules:
        text = squeezed(cli("explain", rule.code).output)
        for part in (rule.summary, rule.why, rule.remedy, rule.message, *rule.references):
            assert squeezed(part) in text, (rule.code, part)
        for example in (*rule.bad, *rule.good):
            assert squeezed(example.title) in text
        for known in evidence_of(rule):
            assert known.row.effect.value in text
            assert known.row.effect.meaning in text
            assert known.evidence.value in text


def test_every_row_of_the_effects_table_is_in_the_json(cli: Cli, registry: Registry) -> None:
    document = json.loads(cli("explain", "--all", "--output-format", "json").output)
    assert document["schema_version"] == "1.1"
    documents = {rule["code"]: rule for rule in document["rules"]}
    assert list(documents) == [rule.code for rule in registry.everything]
    for rule in registry.rules:
        told = documents[rule.code]
        rows = [(row.case, row.releases, row.profile, row.effect.value) for row in rule.effects.rows]
        assert [(row["case"], row["releases"], row["profile"], row["effect"]) for row in told["effects"]] == rows
        assert told["why"] == rule.why


def test_all_explains_every_rule(cli: Cli, registry: Registry) -> None:
    output = cli("explain", "--all").output
    assert all(f"{rule.code} {rule.name}\n" in output for rule in registry.everything)


@pytest.mark.parametrize("name", ["FU", "fu"])
def test_a_family_is_explained_rule_by_rule(cli: Cli, registry: Registry, name: str) -> None:
    output = cli("explain", name).output
    told = [rule.code for rule in registry.everything if f"{rule.code} {rule.name}\n" in output]
    assert told == [rule.code for rule in registry.everything if rule.code.startswith("FU")]
    assert len(told) > 1
    assert cli("explain", name, "FU101").output == output, "a rule is explained once"


@pytest.mark.parametrize(
    ("wrong", "right"), [("FU111", "FU101"), ("fused-activation-out-of-rang", "fused-activation-out-of-range")]
)
def test_an_unknown_rule_exits_with_2_and_names_the_nearest(cli: Cli, wrong: str, right: str) -> None:
    result = cli("explain", wrong)
    assert result.exit_code == 2
    assert f"Did you mean '{right}'?" in result.output


def test_what_resembles_no_rule_gets_the_command_that_lists_them(cli: Cli) -> None:
    result = cli("explain", "@@@@@@@@@@@@@@@@")
    assert result.exit_code == 2
    assert "No rule is called '@@@@@@@@@@@@@@@@'. 'fuseguard rules' lists all of them." in result.output


@pytest.mark.parametrize("args", [(), ("FU101", "--all")])
def test_either_a_rule_or_all(cli: Cli, args: tuple[str, ...]) -> None:
    assert cli("explain", *args).exit_code == 2


def test_rules_lists_every_rule_with_its_summary(cli: Cli, registry: Registry) -> None:
    output = cli("rules").output
    heads = [line for line in output.splitlines() if not line.startswith(" ")]
    assert [head.split()[:2] for head in heads] == [[rule.code, rule.name] for rule in registry.everything]
    assert ["(repairable)" in head for head in heads] == [
        rule.repairable and not rule.preview for rule in registry.everything
    ]
    assert all(squeezed(rule.summary) in squeezed(output) for rule in registry.everything)


@pytest.mark.parametrize("args", [("rules",), ("explain", "--all")])
def test_what_is_for_reading_fits_80_columns_where_no_terminal_says_how_wide_it_is(
    cli: Cli, args: tuple[str, ...]
) -> None:
    wide = [line for line in cli(*args).output.splitlines() if len(line) > 80]
    # A name that is longer than a line is left whole.
    assert [line for line in wide if max(map(len, line.split())) < 60] == []


def test_rules_as_json(cli: Cli, registry: Registry) -> None:
    document = json.loads(cli("rules", "--output-format", "json").output)
    assert [(r["code"], r["scope"], r["repairable"]) for r in document["rules"]] == [
        (rule.code, rule.scope, rule.repairable) for rule in registry.everything
    ]


@pytest.mark.parametrize("name", ["SU001", "su002", "expired-suppression"])
def test_the_codes_about_suppressions_and_baselines_are_explained_like_rules(
    cli: Cli, registry: Registry, name: str
) -> None:
    rule = registry.find(name)
    assert rule is not None
    text = squeezed(cli("explain", name).output)
    for part in (rule.code, rule.name, rule.summary, rule.why, rule.remedy, rule.message):
        assert squeezed(part) in text
    (told,) = json.loads(cli("explain", name, "--output-format", "json").output)["rules"]
    assert (told["code"], told["severity"], told["effects"]) == (rule.code, "warning", [])
