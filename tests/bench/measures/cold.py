"""``fuseguard check`` of a small file from a cold start, with byte code, against a bare start of Python.

    python tests/bench/measures/cold.py [file.pt2]

Seconds are processor time of whole processes, the least of fifteen runs. Modules are those that ``-X importtime``
lists.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from measuring import ROOT, check_command, environment, of_process, report

RUNS = 15
FILE = ROOT / "tests" / "readers" / "data" / "conv_cat.pt2"


def main() -> None:
    command = check_command("--no-config", sys.argv[1] if len(sys.argv) > 1 else str(FILE))
    bare = [sys.executable, "-c", "pass"]
    of_process(command)  # writes the byte code
    checks, starts = [], []
    for _ in range(RUNS):
        checks.append(of_process(command))
        starts.append(of_process(bare))
    modules = imported(command)
    check, start = min(cpu for _, cpu in checks), min(cpu for _, cpu in starts)
    report(
        seconds=check,
        wall=min(wall for wall, _ in checks),
        bare=start,
        ratio=check / start,
        modules=len(modules),
        own=sum(name.startswith("fuseguard") for name in modules),
    )


def imported(command: list[str]) -> list[str]:
    """The modules that a command imports, of those that Python's own start imports, too."""
    run = subprocess.run(
        [command[0], "-X", "importtime", *command[1:]], capture_output=True, text=True, check=False, env=environment()
    )
    lines = (line.rpartition("|")[2].strip() for line in run.stderr.splitlines() if line.startswith("import time:"))
    return [name for name in lines if name != "imported package"]


if __name__ == "__main__":
    main()
