"""The hand-written functions: one that breaks is announced and guarded, and the summary names what disagrees.

Protects: a campaign that reports agreement whatever it sees.
"""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", exc_type=ImportError)
pytest.importorskip("executorch", exc_type=ImportError)

from differential.functions import FUNCTIONS, judged, summary, verdict

pytestmark = [pytest.mark.torch, pytest.mark.slow]

CONFIG = "int8-per-channel"


@pytest.mark.parametrize(
    ("name", "spec", "outcomes", "codes"),
    [
        ("neg_l", "TOSA-1.0+INT", ("crash", "runtime_fault"), ["OP721"]),  # a fault at run time before 1.4
        ("i8", "TOSA-1.0+INT+FP", ("wrong",), ["DT511"]),
    ],
)
def test_a_broken_function_is_announced_and_guarded(
    name: str, spec: str, outcomes: tuple[str, ...], codes: list[str]
) -> None:
    record = judged(name, spec, CONFIG)
    assert record["outcome"] in outcomes
    assert (record["codes"], record["guarded"], verdict(record)) == (codes, "exact", "agree")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "agree"),
        ({"outcome": ""}, "no program"),
        ({"codes": []}, "missed"),
        ({"guarded": "crash"}, "not guarded"),
        ({"outcome": "exact"}, "false alarm"),
        ({"outcome": "exact", "effects": ["quality"]}, "agree"),
    ],
)
def test_what_disagrees_is_told(changes: dict[str, Any], expected: str) -> None:
    record = {"outcome": "wrong", "codes": ["DT511"], "effects": ["wrong"], "guarded": "exact"} | changes
    assert verdict(record) == expected
    assert (f"{expected}: " in summary([record])) == (expected != "agree")


def test_every_function_has_inputs() -> None:
    assert len(FUNCTIONS) > 400
    assert all(inputs for _, inputs in FUNCTIONS.values())
