"""What ``make test`` takes: seconds by the clock, and the number of tests of its first run of pytest.

python tests/bench/measures/tests.py
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from measuring import ROOT, environment, loop_seconds, report


def main() -> None:
    start = time.perf_counter()
    run = subprocess.run(["make", "test"], cwd=ROOT, capture_output=True, text=True, check=True, env=environment())
    seconds = time.perf_counter() - start
    tests = sum(int(number) for number in re.findall(r"(\d+) passed", run.stdout))
    report(seconds=seconds, tests=tests, per_test=seconds / tests / loop_seconds())


if __name__ == "__main__":
    main()
