"""Every rule's own examples, torch-free, on every measured release and profile.

Protects: a rule that stops finding its fault, that finds fault with what is right, whose effects table has a hole, or
that has a row which no example shows. What is asked of a rule is in fuseguard.engine.rule_examples,
whose own tests hold it against rules that are wrong.
"""

from __future__ import annotations

from functools import cache

import pytest

from fuseguard.engine import Rule
from fuseguard.engine.registry import load_registry
from fuseguard.engine.rule_examples import Fault, FaultKind, faults

REGISTRY = load_registry()


@cache
def faults_of(code: str) -> tuple[Fault, ...]:
    rule = REGISTRY.get(code)
    assert rule is not None
    return faults(rule, REGISTRY.select())


@pytest.mark.parametrize("rule", REGISTRY.rules, ids=lambda rule: rule.code)
def test_a_rule_holds_against_its_own_examples(rule: Rule) -> None:
    assert [str(fault) for fault in faults_of(rule.code)] == []


def test_every_row_that_recordings_grade_has_an_example() -> None:
    """docs/lab-notes.md rests on this one: what no example shows is in no recording, whatever a table says."""
    found = [(fault.rule, fault.row) for rule in REGISTRY.rules for fault in faults_of(rule.code)
             if fault.kind is FaultKind.UNSHOWN]  # fmt: skip
    assert found == []
