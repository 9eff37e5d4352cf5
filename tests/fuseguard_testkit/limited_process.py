"""Runs ``fuseguard check`` in a process with 1 GB of address space and a limited processor time."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

MEMORY = 2**30
#: Several times what a check of any accepted file takes where nothing else runs.
SECONDS = 40
#: What a person must never see, whatever the file.
_FORBIDDEN = (b"MemoryError", b"internal error", b"Traceback")
_SCRIPT = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS}))
from fuseguard.cli.main import main
main(["check", "--no-config", "--executorch", "1.5.1", *sys.argv[1:]])
"""


class Checked(NamedTuple):
    """How a check ended: its exit code, what it printed, and its seconds of processor time."""

    code: int
    stdout: bytes
    seconds: float


def check(path: Path, *options: str) -> Checked:
    """Check a file. Fails where the process ends by itself or by a limit, or reports an error of ours."""
    before = _processor_time()
    done = subprocess.run([sys.executable, "-c", _SCRIPT, str(path), *options], capture_output=True, check=False)
    seconds = _processor_time() - before
    assert done.returncode in (0, 1, 2, 3), (done.returncode, done.stderr[-500:])
    told = done.stdout + done.stderr
    assert not [word for word in _FORBIDDEN if word in told], told[-500:]
    return Checked(done.returncode, done.stdout, seconds)


def _processor_time() -> float:
    """Seconds of all ended children so far, those in the kernel included, as RLIMIT_CPU counts them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
