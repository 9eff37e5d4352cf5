"""A disk that is full, a target that cannot be written and a process that is killed leave nothing half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fuseguard.readers.open import read_file
from fuseguard_testkit.cli_process import environment
from fuseguard_testkit.paths import DATA
from fuseguard_testkit.small_disk import small_disk

pytestmark = pytest.mark.slow

PROGRAM = str(DATA / "conv_cat.pt2")
SECONDS = 240  # importing torch takes a while where others work beside
KILLED = """
import os, sys, time
SECONDS = 240
def wait(*args):
    print("writing", flush=True)
    time.sleep(SECONDS)
os.{name} = wait
from fuseguard.cli.main import main
main(sys.argv[1:])
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, "16k") as place:
        yield place


def _reports(path: Path) -> list[tuple[str, ...]]:
    return [
        ("check", "--no-config", PROGRAM, "-q", "--report", f"json={path}"),
        ("check", "--no-config", PROGRAM, "--output-format", "json", "--output-file", str(path)),
        ("baseline", "create", "--no-config", PROGRAM, "--force", "--baseline", str(path)),
        ("baseline", "update", "--no-config", PROGRAM, "--baseline", str(path)),
    ]


def _repair(path: Path) -> tuple[str, ...]:
    return ("repair", PROGRAM, "--trust", "--no-prove", "--force", "-o", str(path))


#: What writes a file, and what the file held before: nothing may be lost of it.
Writer = Callable[[Path], tuple[str, ...]]
WRITERS: dict[str, Writer] = {
    "report": lambda path: _reports(path)[0],
    "output file": lambda path: _reports(path)[1],
    "baseline": lambda path: _reports(path)[2],
    "baseline update": lambda path: _reports(path)[3],
    "repair": _repair,
}
BEFORE = {"baseline update": '{"fuseguard_baseline": 1, "findings": []}\n'}
writers = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.torch, pytest.mark.slow] if name == "repair" else [])
        for name in WRITERS
    ],
)


def _run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fuseguard.cli.main", *args],
        capture_output=True, text=True, env=environment(), timeout=SECONDS,
    )  # fmt: skip


def _old(path: Path, name: str) -> str:
    text = BEFORE.get(name, "mine")
    path.write_text(text)
    return text


@writers
def test_a_full_disk_loses_nothing_and_is_told(disk: Path, name: str) -> None:
    path = disk / "out.pt2" if name == "repair" else disk / "report.json"
    old = _old(path, name)
    (disk / "filler").write_bytes(b"x" * (3 * 4096))  # no page is left
    done = _run(*WRITERS[name](path))
    assert done.returncode == 2, done
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert path.read_text() == old
    assert sorted(item.name for item in disk.iterdir()) == ["filler", path.name]


@writers
def test_a_read_only_target_loses_nothing_and_is_told(disk: Path, name: str) -> None:
    path = disk / "out.pt2" if name == "repair" else disk / "report.json"
    old = _old(path, name)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    done = _run(*WRITERS[name](path))
    assert done.returncode == 2, done
    assert "Read-only file system" in done.stderr
    assert path.read_text() == old
    assert [item.name for item in disk.iterdir()] == [path.name]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write to every directory")
@pytest.mark.parametrize("name", ["report", "baseline"])
def test_a_directory_that_may_not_be_written_to(name: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    old = _old(path, name)
    tmp_path.chmod(0o500)
    try:
        done = _run(*WRITERS[name](path))
    finally:
        tmp_path.chmod(0o700)
    assert done.returncode == 2, done
    assert "Permission denied" in done.stderr
    assert path.read_text() == old


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_stdout_on_a_full_disk_is_an_error(disk: Path, unbuffered: str) -> None:
    """Without a buffer, Python writes what fits and says nothing."""
    with open(disk / "out", "wb") as out:
        done = subprocess.run(
            [sys.executable, "-m", "fuseguard.cli.main", "explain", "--all"],
            stdout=out, stderr=subprocess.PIPE, text=True, env=environment(PYTHONUNBUFFERED=unbuffered), timeout=60,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "Error: cannot write to stdout: No space left on device.\n")


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")
@pytest.mark.parametrize("step", ["fsync", "replace"])
@writers
def test_a_killed_process_leaves_the_file_that_was_there(tmp_path: Path, step: str, name: str) -> None:
    """Killed with all of the new data written and not yet in its place."""
    path = tmp_path / ("out.pt2" if name == "repair" else "report.json")
    old = _old(path, name)
    command = WRITERS[name](path)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED.format(name=step), *command],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment(),
    )  # fmt: skip
    assert process.stdout is not None
    guard = threading.Timer(SECONDS, process.kill)
    guard.start()
    try:
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    finally:
        guard.cancel()
        process.stdout.close()
    assert path.read_text() == old
    # What is left beside it has a name of its own, and is in nobody's way.
    assert all(item == path or item.name.endswith(".tmp") for item in tmp_path.iterdir())
    assert _run(*command).returncode in (0, 1)
    if name == "repair":
        assert len(read_file(path)) > 0
    else:
        json.loads(path.read_text())
