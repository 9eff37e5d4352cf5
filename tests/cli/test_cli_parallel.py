"""``-j``: any number of processes gives the same report; and the progress bar, which only a terminal gets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from fuseguard.cli import progress
from fuseguard.gate import parallel
from fuseguard.gate.result import FileResult
from fuseguard_testkit.cli_process import STAGED, environment, fuseguard

Cli = Callable[..., Result]

FILES = [f"{kind}{number}.pt2" for number in range(4) for kind in ("wrong", "clean", "damaged", "bug", "float")]

#: What only a fork hands on to a worker: the staged reader. Elsewhere the real one reads, and finds no file.
needs_fork = pytest.mark.skipif(sys.platform != "linux", reason="stages its files by forking")


@needs_fork
@pytest.mark.parametrize("jobs", ["2", "3", "0"])
def test_the_report_is_the_same_whatever_the_number_of_processes(jobs: str) -> None:
    options = ("check", *FILES, "--executorch", "1.5.1", "--output-format", "json")
    one, several = fuseguard(*options, code=STAGED), fuseguard(*options, "-j", jobs, code=STAGED)
    assert one.returncode == several.returncode == 3
    assert several.stdout == one.stdout
    assert several.stderr == one.stderr
    assert [file["file"] for file in json.loads(several.stdout)["files"]] == FILES


def _slower_at_first(path: Path) -> FileResult:
    time.sleep(0.3 if path.name == "0" else 0)
    return FileResult(path.name)


def test_results_come_in_the_order_of_the_files_and_not_as_they_are_done() -> None:
    files = [Path(str(number)) for number in range(6)]
    assert [item.file for item in parallel.check_all(files, _slower_at_first, 2)] == [str(n) for n in range(6)]


def _in_a_process(path: Path) -> FileResult:
    return FileResult(f"{path.name} {os.getpid()}")


def test_one_file_or_one_job_needs_no_process() -> None:
    here = str(os.getpid())
    [alone] = parallel.check_all([Path("a")], _in_a_process, 8)
    assert alone.file == f"a {here}"
    assert all(item.file.endswith(here) for item in parallel.check_all([Path("a"), Path("b")], _in_a_process, 1))
    assert not any(item.file.endswith(here) for item in parallel.check_all([Path("a"), Path("b")], _in_a_process, 2))


def _dies(path: Path) -> FileResult:
    if path.name == "killer":
        os._exit(9)
    return FileResult(path.name)


def test_a_worker_that_is_killed_is_an_error_of_its_files_and_not_of_the_run() -> None:
    """As when the system is out of memory: the gate must not be green."""
    names = ("first", "killer", *(f"other{number}" for number in range(8)), "killer", "last")
    files = [Path(name) for name in names]
    results = parallel.check_all(files, _dies, 2)
    lost = [file.name for file, result in zip(files, results, strict=True) if result.error is not None]
    assert lost == ["killer", "killer"], "what waited for the process, or worked beside it, is checked all the same"
    for result in results:
        if result.error is not None:
            assert result.error.kind == "internal"
            assert "-j" in result.error.message


@needs_fork
def test_ctrl_c_at_a_terminal_ends_all_processes_quietly() -> None:
    slow = "import os, time\nreaders.read = lambda p, *_: (os.write(1, b'reading\\n'), time.sleep(60))"
    process = subprocess.Popen(
        [sys.executable, "-c", STAGED.replace("readers.read = cli_fakes.fake_read", slow), "check", *FILES, "-j", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["reading\n"] * 2
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (130, "Interrupted.\n")


@pytest.mark.parametrize("jobs", ["-1", "two"])
def test_a_number_of_jobs_that_is_none_is_refused(cli: Cli, jobs: str) -> None:
    result = cli("check", "clean.pt2", "-j", jobs)
    assert result.exit_code == 2
    assert "--jobs" in result.output


# --- progress -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "quiet", "terminal", "term", "expected"),
    [
        (100, False, True, "xterm", True),
        (100, False, False, "xterm", False),
        (100, True, True, "xterm", False),
        (100, False, True, "dumb", False),
        (2, False, True, "xterm", False),
    ],
)
def test_who_gets_a_bar(
    monkeypatch: pytest.MonkeyPatch, files: int, quiet: bool, terminal: bool, term: str, expected: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("TERM", term)
    assert progress.wants_bar(files, quiet) is expected


@needs_fork
@pytest.mark.parametrize("files", [20, 2])
def test_a_terminal_sees_the_bar_and_the_report_does_not(files: int) -> None:
    import pty

    names = [f"clean{number}.pt2" for number in range(files)]
    leader, follower = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", STAGED, "check", *names, "--executorch", "1.5.1"],
            stdout=subprocess.PIPE,
            stderr=follower,
            env=environment(TERM="xterm", COLUMNS="80"),
            text=True,
        )
        os.close(follower)
        shown = b""
        while True:
            try:
                part = os.read(leader, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        stdout, _ = process.communicate(timeout=60)
    finally:
        os.close(leader)
    assert process.returncode == 0
    assert (f"{files}/{files}".encode() in shown) is (files >= progress.MANY)
    assert "\x1b" not in stdout
    assert stdout.startswith("0 errors")


def test_a_log_of_long_work_says_now_and_then_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A CI job that is silent for a quarter of an hour looks like one that hangs, and some systems end it."""
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with progress.long_progress("lowering", 5) as step:
        for number in range(1, 6):
            now += 40.0
            step(f"case {number}")
    assert capsys.readouterr().err.splitlines() == [
        "lowering: 2 of 5 done, the last one case 2",
        "lowering: 4 of 5 done, the last one case 4",
    ]


@pytest.mark.parametrize(("terminal", "shown"), [(True, True), (False, False)])
def test_phases_are_a_line_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool, shown: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with progress.status_line() as tell:
        tell("lowering")
        tell("cell 3 of 24")
    output = capsys.readouterr()
    assert output.out == ""
    assert ("cell 3 of 24" in output.err) is shown


def test_a_log_gets_no_bar() -> None:
    done = fuseguard("check", *(f"clean{number}.pt2" for number in range(20)), code=STAGED)
    assert (done.returncode, done.stderr) == (0, "")
