"""How long ``fuseguard check model.pt2`` takes from a cold start, against loading the file with torch.

    python tests/bench/cold_check.py examples/digits/out/digits.pt2 [runs]

Prints minimum, median and maximum wall seconds of whole processes.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

LOAD = "import executorch.exir, torch; torch.export.load({!r})"


def wall_seconds(command: list[str], runs: int) -> list[float]:
    """Wall time of each run, after one that is not counted."""
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        times.append(time.perf_counter() - start)
    return times[1:]


def main() -> None:
    path = Path(sys.argv[1])
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 9
    script = Path(sys.executable).parent / "fuseguard"
    for label, command, count in (
        ("fuseguard check", [str(script), "check", str(path)], runs),
        ("python -c pass", [sys.executable, "-c", "pass"], runs),
        ("torch.export.load", [sys.executable, "-c", LOAD.format(str(path))], 2),
    ):
        times = wall_seconds(command, count)
        print(f"{label:20} min {min(times):.3f}  median {statistics.median(times):.3f}  max {max(times):.3f} s")


if __name__ == "__main__":
    main()
