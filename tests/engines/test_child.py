"""A child process that answers requests: what it dies of, how long it may take, and what takes its place."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fuseguard.executorch.child import Child, ChildDied, ChildTooSlow

#: Echoes what it is given; dies of "die", sleeps at "sleep".
_SCRIPT = """
import os, sys, time
sys.path.insert(0, {folder!r})
from reference_model_worker import receive, send
while True:
    try:
        request = receive(sys.stdin.buffer)
    except EOFError:
        sys.exit()
    if request == "die":
        sys.stderr.write("out of memory\\n")
        sys.stderr.flush()
        os.abort()
    if request == "sleep":
        time.sleep(60)
    send(sys.stdout.buffer, (os.getpid(), request))
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    from fuseguard.executorch import reference_model_worker

    path = tmp_path / "echo.py"
    path.write_text(_SCRIPT.format(folder=str(Path(reference_model_worker.__file__).parent)))
    return path


def test_one_process_answers_until_it_dies_and_then_another_one_does(script: Path) -> None:
    child = Child(lambda: (sys.executable, str(script)))
    first, answer = child.ask([1, 2])
    assert answer == [1, 2]
    assert child.ask("again") == (first, "again")
    with pytest.raises(ChildDied, match=r"\(exit code -6\): out of memory"):
        child.ask("die")
    second, answer = child.ask("after")
    assert (second != first, answer) == (True, "after")
    child.stop()


def test_a_request_that_takes_too_long_ends_the_process_and_the_next_one_is_answered(script: Path) -> None:
    child = Child(lambda: (sys.executable, str(script)), seconds=1.0)
    before, _ = child.ask("start")
    with pytest.raises(ChildTooSlow, match="ended after 1 s"):
        child.ask("sleep")
    after, answer = child.ask("next")
    assert (after != before, answer) == (True, "next")
    child.stop()


def test_the_environment_is_the_child_s_own(script: Path) -> None:
    script.write_text(
        script.read_text().replace("(os.getpid(), request)", "os.environ.get('FUSEGUARD_TEST', 'nothing')")
    )
    child = Child(lambda: (sys.executable, str(script)), lambda: {"FUSEGUARD_TEST": "own"})
    assert child.ask("") == "own"
    child.stop()
