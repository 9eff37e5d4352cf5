"""A disk that is full, a target that cannot be written and a process that is killed leave nothing half-written."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuseguard_testkit.cli_process import environment, fuseguard
from fuseguard_testkit.paths import DATA

PROGRAM = str(DATA / "conv_cat.pt2")
KILLED = """
import os, sys, time
def wait(*args):
    print("writing", flush=True)
    time.sleep(60)
os.{name} = wait
from fuseguard.cli.main import main
main(sys.argv[1:])
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(place)], capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip(f"a tmpfs cannot be mounted: {done.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def _written(path: Path) -> list[tuple[str, ...]]:
    """Commands that write ``path``."""
    return [
        ("check", "--no-config", PROGRAM, "-q", "--report", f"json={path}"),
        ("check", "--no-config", PROGRAM, "--output-format", "json", "--output-file", str(path)),
        ("baseline", "create", "--no-config", PROGRAM, "--force", "--baseline", str(path)),
    ]


@pytest.mark.parametrize("number", range(3))
def test_a_full_disk_loses_nothing_and_is_told(disk: Path, number: int) -> None:
    path = disk / "report.json"
    path.write_text("mine")
    (disk / "filler").write_bytes(b"x" * (3 * 4096))  # no page is left
    done = fuseguard(*_written(path)[number])
    assert done.returncode == 2, done
    assert "No space left on device" in done.stderr
    assert path.read_text() == "mine"
    assert sorted(item.name for item in disk.iterdir()) == ["filler", "report.json"]


@pytest.mark.parametrize("number", range(3))
def test_a_read_only_target_loses_nothing_and_is_told(disk: Path, number: int) -> None:
    path = disk / "report.json"
    path.write_text("mine")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    done = fuseguard(*_written(path)[number])
    assert done.returncode == 2, done
    assert "Read-only file system" in done.stderr
    assert path.read_text() == "mine"


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
@pytest.mark.parametrize("number", range(3))
def test_a_killed_process_leaves_the_file_that_was_there(tmp_path: Path, step: str, number: int) -> None:
    path = tmp_path / "report.json"
    path.write_text("mine")
    command = _written(path)[number]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED.format(name=step), *command], stdout=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stdout is not None
    guard = threading.Timer(60, process.kill)
    guard.start()
    try:
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    finally:
        guard.cancel()
        process.stdout.close()
    assert path.read_text() == "mine"
    assert fuseguard(*command).returncode in (0, 1)
    json.loads(path.read_text())
