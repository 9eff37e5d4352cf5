"""``fuseguard why-not``."""

from __future__ import annotations

import json
from collections.abc import Callable

import jsonschema
import pytest
from click.testing import Result

from fuseguard.schemas import load_schema

Cli = Callable[..., Result]


def lines(result: Result) -> list[str]:
    return [line.strip() for line in result.output.splitlines()]


def test_the_condition_that_decided_is_shown_with_its_place_and_comment(cli: Cli) -> None:
    result = cli("why-not", "fu101", "relu", "clean.pt2", "--target", "vgf", "--executorch", "1.5.1")
    assert result.exit_code == 0
    assert "FU101 fused-activation-out-of-range does not report relu (aten.relu.default)" in result.output
    assert "condition: fusion.expressible or (fusion.chained and (not fusion.fused)) is true" in lines(result)
    assert any(line.startswith("fu101_fused_activation_out_of_range.py:") for line in lines(result))
    assert "because the result: self.low_fits and self.high_fits = True" in lines(result)


def test_a_node_that_the_rule_reports_is_said_to_be_one(cli: Cli) -> None:
    result = cli("why-not", "fused-activation-out-of-range", "relu", "wrong.pt2", "--target", "vgf")
    assert result.exit_code == 0
    assert "reports relu" in result.output
    assert "finding: relu is bounded below by 0" in result.output


def test_each_target_has_an_answer_and_json_has_the_same(cli: Cli) -> None:
    result = cli(
        "why-not", "FU101", "relu", "wrong.pt2", "--target", "vgf,TOSA-1.0+FP", "--executorch", "1.5.1",
        "--output-format", "json",
    )  # fmt: skip
    document = json.loads(result.output)
    jsonschema.Draft202012Validator(load_schema("why-not")).validate(document)
    assert [answer["outcome"] for answer in document["answers"]] == ["reported", "profile"]
    clean = json.loads(cli("why-not", "FU101", "relu", "clean.pt2", "--output-format", "json").output)
    jsonschema.Draft202012Validator(load_schema("why-not")).validate(clean)
    assert clean["answers"][0]["steps"][0]["parts"][-1]["text"] == "fusion.expressible"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("FU101", "rely", "clean.pt2"), 2, "clean.pt2: The program has no node 'rely'. Did you mean 'relu'?"),
        (("FU10", "relu", "clean.pt2"), 2, "No rule is called 'FU10'. Did you mean 'FU1"),
        (("SU001", "relu", "clean.pt2"), 2, "SU001 is not about nodes of a program"),
        (("FU101", "relu", "none.pt2"), 3, "no program in it"),
        (("FU101", "relu", "clean.pt2", "--target", "ethos"), 2, "ethos"),
    ],
)
def test_what_cannot_be_answered_says_why(cli: Cli, arguments: tuple[str, ...], code: int, text: str) -> None:
    result = cli("why-not", *arguments)
    assert (result.exit_code, text in result.output) == (code, True), result.output


def test_hostile_names_are_quoted(cli: Cli) -> None:
    result = cli("why-not", "FU101", "re\x1b[31mlu", "clean.pt2")
    assert "\x1b" not in result.output
