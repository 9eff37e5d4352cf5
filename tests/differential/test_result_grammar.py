"""The second grammar draws what it says, the first one is left as it was, and a short campaign finds nothing missed."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from . import campaign, grammar
from .campaign import GRAMMARS
from .result_grammar import KINDS, ResultProgram, program_of, smaller

#: What the first grammar drew of seed 5 before there was a second one.
FIRST = "5fd58fba02e830d7"


def test_the_first_grammar_draws_what_it_drew() -> None:
    drawn = repr([grammar.program_of(5, index) for index in range(100)])
    assert hashlib.sha256(drawn.encode()).hexdigest()[:16] == FIRST


def test_a_program_depends_on_seed_and_index_alone() -> None:
    assert program_of(3, 17) == program_of(3, 17)
    assert program_of(3, 18) != program_of(3, 17)
    assert program_of(4, 17) != program_of(3, 17)


def test_three_hundred_programs_hold_every_ending() -> None:
    drawn = [program_of(1, index) for index in range(300)]
    kinds = Counter(ending.kind for program in drawn for ending in program.endings)
    assert set(kinds) == set(KINDS)
    assert {program.ir_validity for program in drawn} == {True, False}
    assert len({(program.alone, program.first) for program in drawn}) == 4
    assert not any(grammar.fault(program) for program in drawn)


def test_a_program_is_made_smaller_while_its_ending_stays() -> None:
    program = next(item for item in (program_of(2, index) for index in range(50)) if len(item.endings) == 2)
    for candidate in smaller(program):
        assert isinstance(candidate, ResultProgram)
        assert candidate.endings
    assert any(isinstance(item, ResultProgram) and len(item.endings) == 1 for item in smaller(program))


def test_the_campaign_knows_both_grammars() -> None:
    assert GRAMMARS["results"] is program_of
    assert GRAMMARS["first"] is grammar.program_of


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.campaign
def test_a_short_campaign_misses_nothing(tmp_path: Path) -> None:
    out = tmp_path / "campaign.jsonl"
    assert campaign.main(["--grammar", "results", "--programs", "12", "--seed", "1", "--out", str(out)]) == 0
    records = campaign.read_records(out)
    assert len(records) == 12
    unedited = [record for record in records if not record["edited"]]
    assert [(r["index"], r["exception"]) for r in unedited if r["verdict"] == "miss" or r["guard"] == "broken"] == []
