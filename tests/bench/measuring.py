"""What the measurements of ``tests/bench/measures`` share. Each is a script that prints its figures as JSON."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ADDITIONS = 10_000_000
#: Of global names, as in a script: a function's local names are twice as fast.
_LOOP = compile(f"total = 0\nfor _ in range({ADDITIONS}):\n    total += 1\n", "loop", "exec")


def loop_seconds() -> float:
    """What ten million additions take in a Python loop, in seconds of processor time: how fast the machine is now."""
    return best(lambda: exec(_LOOP, {}), 2)


def best(work: Callable[[], object], runs: int) -> float:
    """The least seconds of processor time of ``runs`` calls: other processes disturb every run, and none helps."""
    least = float("inf")
    for _ in range(runs):
        start = time.process_time()
        work()
        least = min(least, time.process_time() - start)
    return least


def report(**figures: float) -> None:
    """Print the figures, with the loop beside them."""
    print(json.dumps({**figures, "loop": loop_seconds()}))


def of_process(command: Sequence[str]) -> tuple[float, float]:
    """Seconds by the clock and of processor time that a process takes, with its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, env=environment())
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def environment() -> dict[str, str]:
    """That of this process, in which Python may write byte code: a start without it is mostly compiling."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def check_command(*arguments: str) -> list[str]:
    """``fuseguard check`` of the checkout that is measured: the one that PYTHONPATH names first."""
    return [sys.executable, "-m", "fuseguard.cli.main", "check", *arguments]


def peak_mib() -> float:
    """The largest resident size that this process has had, in MiB. Not ``ru_maxrss``, which a process inherits."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
