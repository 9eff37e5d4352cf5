"""A child process that answers requests: what it dies of, how long it may take, and what takes its place."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from fuseguard.executorch import reference_model_worker, serving
from fuseguard.executorch.child import Child, ChildDied, ChildRaised, ChildTooSlow
from fuseguard.executorch.engines import vgf_worker

#: Echoes what it is given; dies of "die", sleeps at "sleep", raises at "raise", prints at "print".
_WORKER = """
import os, sys, threading, time

def prepare():
    def answer(request):
        if request == "die":
            sys.stderr.write("out of memory\\n")
            sys.stderr.flush()
            os.abort()
        if request == "sleep":
            time.sleep(60)
        if request == "raise":
            raise ValueError("of no use")
        if request == "print":
            print("a warning", flush=True)
        if request == "deaf":  # reads nothing more, and ends a little later: a process as it is being killed
            threading.Timer(0.5, os._exit, (9,)).start()
            os.close(0)
        return os.getpid(), request
    return answer
"""


@pytest.fixture
def worker(tmp_path: Path) -> ModuleType:
    path = tmp_path / "echo.py"
    path.write_text(_WORKER)
    module = ModuleType("echo")
    module.__file__ = str(path)
    return module


def test_one_process_answers_until_it_dies_and_then_another_one_does(worker: ModuleType) -> None:
    child = Child(worker)
    first, answer = child.ask([1, 2])
    assert answer == [1, 2]
    assert child.ask("again") == (first, "again")
    with pytest.raises(ChildRaised, match=r"^ValueError: of no use$"):
        child.ask("raise")
    assert child.ask("print") == (first, "print")
    with pytest.raises(ChildDied, match=r"\(exit code -6\): out of memory"):
        child.ask("die")
    second, answer = child.ask("after")
    assert (second != first, answer) == (True, "after")
    child.stop()


def test_a_request_to_a_process_that_is_ending_raises_what_a_death_raises(worker: ModuleType) -> None:
    # The rest of the request stands in a buffer, and closing that one fails as sending it did.
    child = Child(worker)
    child.ask("deaf")
    with pytest.raises(ChildDied, match=r"\(exit code 9\)"):
        child.ask("next")
    assert child.ask("after")[1] == "after"
    child.stop()


def test_a_request_that_takes_too_long_ends_the_process_and_the_next_one_is_answered(worker: ModuleType) -> None:
    child = Child(worker, seconds=1.0)
    before, _ = child.ask("start")
    with pytest.raises(ChildTooSlow, match="ended after 1 s"):
        child.ask("sleep")
    after, answer = child.ask("next")
    assert (after != before, answer) == (True, "next")
    child.stop()


def test_the_environment_is_the_child_s_own(worker: ModuleType, tmp_path: Path) -> None:
    answering = "import os\n\ndef prepare():\n    return lambda request: os.environ.get('FUSEGUARD_TEST', 'nothing')\n"
    Path(str(worker.__file__)).write_text(answering)
    child = Child(worker, lambda: {"FUSEGUARD_TEST": "own"})
    assert child.ask("") == "own"
    child.stop()


# --- the messages -------------------------------------------------------------------------------------------


def test_messages_survive_the_way_and_a_cut_one_is_noticed() -> None:
    stream = io.BytesIO()
    serving.send(stream, ("ran", [1, 2]))
    whole = stream.getvalue()
    assert serving.receive(io.BytesIO(whole)) == ("ran", [1, 2])
    for cut in (0, 4, len(whole) - 1):
        with pytest.raises(EOFError):
            serving.receive(io.BytesIO(whole[:cut]))


def test_a_request_that_ends_in_the_middle_ends_the_process_quietly(worker: ModuleType) -> None:
    stream = io.BytesIO()
    serving.send(stream, "a request")
    command = [sys.executable, str(serving.__file__), str(worker.__file__)]
    done = subprocess.run(command, input=stream.getvalue()[:-2], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("module", [reference_model_worker, vgf_worker], ids=lambda module: module.__name__)
def test_a_reply_that_ends_in_the_middle_is_the_death_of_the_process(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "cut.py"
    script.write_text(
        "import sys\n"
        "sys.stdout.buffer.write((100).to_bytes(8, 'little') + b'half')\n"
        "sys.stderr.write('disk full\\n')\n"
        "raise SystemExit(3)\n"
    )
    monkeypatch.setattr(serving, "__file__", str(script))
    child = Child(module)
    with pytest.raises(ChildDied, match=r"\(exit code 3\): disk full"):
        child.ask("a request")
    child.stop()


@pytest.mark.parametrize("module", [reference_model_worker, vgf_worker], ids=lambda module: module.__name__)
def test_a_worker_starts_without_torch_and_fuseguard(module: ModuleType) -> None:
    """Its file is run by path. What it needs besides is imported when it prepares."""
    script = (
        "import runpy, sys\n"
        "sys.path.pop(0)\n"
        "assert callable(runpy.run_path(sys.argv[1])['prepare'])\n"
        "print(sorted({'torch', 'executorch', 'fuseguard', 'numpy'} & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", script, str(module.__file__)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
