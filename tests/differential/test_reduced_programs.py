"""Failing programs of the campaign's grammars are reduced to a few ops, and fail the same way.

pytest tests/differential/test_reduced_programs.py -m campaign -s
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.campaign]
pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

from differential import reduced_programs  # noqa: E402


def test_failing_programs_become_small(tmp_path: Path) -> None:
    out = tmp_path / "reduced.jsonl"
    reduced_programs.campaign(out, reduced_programs.PROGRAMS)
    found = reduced_programs.records(out)
    print(reduced_programs.summary(found))
    assert not reduced_programs.large(found)
