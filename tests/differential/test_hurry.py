"""What makes lowerings quick changes nothing that is lowered.

Protects every verdict of this suite and every recording of the selftest: their processes are hurried
(fuseguard/executorch/hurry.py), a user's is not.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")

TESTS = Path(__file__).parents[1]


@cache
def lowered(*options: str) -> tuple[str, ...]:
    """What a new process prints of a lowering."""
    command = [sys.executable, "-W", "ignore", "-m", "differential.lower_one", *options]
    lines = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, check=True, timeout=300)
    return tuple(lines.stdout.splitlines())


@pytest.mark.parametrize("option", ["--hurry", "--hurry-alone"])
def test_a_hurried_lowering_is_the_same_to_the_byte(option: str) -> None:
    quick, patient = lowered(option), lowered()
    assert quick == patient
    assert any(line.startswith("delegate") for line in patient)


def test_nothing_that_a_user_runs_is_hurried() -> None:
    """The judge, the guard and the repair work in the user's process, whose torch is the user's."""
    code = (
        "import fuseguard.executorch.judge, fuseguard.executorch.repairs, fuseguard.executorch.selftest, sys; "
        "print('fuseguard.executorch.hurry' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
