"""A rule pack or a signal that ends the process: the gate is never green, and no process stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fuseguard_testkit.acting_pack import acting, installed

GOOD = Path(__file__).parents[1] / "readers" / "data" / "conv_cat.pt2"
SCRIPT = Path(sys.executable).parent / "fuseguard"

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes of POSIX")


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("raise SystemExit(0)", "SystemExit"),
        ("import os; os._exit(0)", "ended too early"),
        (acting("os._exit(0)"), "ended too early"),
        (acting("os.kill(os.getpid(), 9)"), "signal 9"),
        (acting("raise SystemExit(0)"), "rule ZZ100 failed"),
    ],
)
def test_a_pack_that_ends_the_process_is_an_error(source: str, word: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [SCRIPT, "check", GOOD, "--executorch", "1.5.1"], capture_output=True, text=True,
        env=installed(tmp_path, source), check=False,
    )  # fmt: skip
    assert done.returncode == 2, done
    assert word in done.stdout + done.stderr


def test_a_pack_that_behaves_changes_nothing(tmp_path: Path) -> None:
    command = [SCRIPT, "check", GOOD, "--executorch", "1.5.1", "--output-format", "json"]
    source = acting("print('hello')")
    done = subprocess.run(
        command, capture_output=True, text=True,
        env=installed(tmp_path, source), check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.startswith("{")
    assert "hello" in done.stderr
    assert "hello" not in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_stays_behind(number: int, tmp_path: Path) -> None:
    source = acting(f"open({str(tmp_path)!r} + '/' + str(os.getpid()), 'w'); time.sleep(50)")
    process = subprocess.Popen(
        [SCRIPT, "check", GOOD, GOOD.with_name("linear.pt2"), "-j", "2", "--executorch", "1.5.1"],
        env=installed(tmp_path, source), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip

    def workers() -> list[int]:
        return [int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()]

    end = time.monotonic() + 40
    while len(workers()) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    assert len(workers()) == 2
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode in (143, -signal.SIGKILL)
    end = time.monotonic() + 10
    while any(Path(f"/proc/{worker}").exists() for worker in workers()) and time.monotonic() < end:
        time.sleep(0.1)
    assert not [worker for worker in workers() if Path(f"/proc/{worker}").exists()]
