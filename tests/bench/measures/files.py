"""Many small files with ``-j 1`` and with ``-j 2``: seconds by the clock of whole commands.

    python tests/bench/measures/files.py [files]

The files are links to three of the tests' programs: a convolution, a linear layer and a split.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from measuring import ROOT, check_command, of_process, report

DATA = ROOT / "tests" / "readers" / "data"
PROGRAMS = ("conv_cat", "linear", "split")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            (Path(folder) / f"program{number:05}.pt2").symlink_to(DATA / f"{PROGRAMS[number % len(PROGRAMS)]}.pt2")
        taken: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
        for jobs, times in taken.items():
            times.append(of_process(check_command("--no-config", "--output-format", "json", "-j", str(jobs), folder)))
    alone, two = (min(wall for wall, _ in taken[jobs]) for jobs in (1, 2))
    cpu, cpu_two = (min(cpu for _, cpu in taken[jobs]) for jobs in (1, 2))
    report(
        files=count,
        milliseconds=alone / count * 1e3,
        milliseconds_two=two / count * 1e3,
        cpu_milliseconds=cpu / count * 1e3,
        cpu_ratio=cpu_two / cpu,
        faster=alone / two,
    )


if __name__ == "__main__":
    main()
