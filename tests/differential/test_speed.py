"""What makes the tests quick changes nothing that they test.

Protects every verdict of this suite: its process is hurried (differential/speed.py), a user's is not.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")

TESTS = Path(__file__).parents[1]


def lowered(hurried: bool) -> list[str]:
    """What a new process prints of a lowering."""
    command = [sys.executable, "-W", "ignore", "-m", "differential.lower_one", *["--hurry"] * hurried]
    lines = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, check=True, timeout=300)
    return lines.stdout.splitlines()


def test_a_hurried_lowering_is_the_same_to_the_byte() -> None:
    quick, patient = lowered(True), lowered(False)
    assert quick == patient
    assert any(line.startswith("delegate") for line in patient)
