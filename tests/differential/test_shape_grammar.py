"""The third grammar draws every kind that it adds, and the first one is left as it was.

Protects: a kind that is never drawn, and a change of the first grammar's draws, which makes its campaigns
incomparable.
"""

from __future__ import annotations

from collections import Counter

from . import grammar
from .campaign import GRAMMARS
from .grammar import fault
from .op_kinds import KINDS
from .shape_grammar import WEIGHTS, program_of


def test_the_campaign_knows_it() -> None:
    assert GRAMMARS["shapes"] is program_of


def test_a_program_depends_on_seed_and_index_alone() -> None:
    assert program_of(3, 17) == program_of(3, 17)
    assert program_of(3, 18) != program_of(3, 17)
    assert program_of(4, 17) != program_of(3, 17)


def test_three_hundred_programs_hold_every_kind_that_it_adds() -> None:
    drawn = [program_of(1, index) for index in range(300)]
    kinds = Counter(kind for program in drawn for kind in set(program.kinds))
    assert set(kinds) >= set(WEIGHTS)
    assert not any(fault(program) for program in drawn)
    assert not any(program.edit for program in drawn)


def test_the_first_grammar_draws_none_of_them() -> None:
    assert all(KINDS[name].weight == 0 for name in WEIGHTS)
    drawn = {kind for index in range(300) for kind in grammar.program_of(1, index).kinds}
    assert drawn & set(WEIGHTS) == set()
