"""The largest program that can be read: the limits, and what checking the largest forged programs takes.

python tests/bench/measures/largest.py
"""

from __future__ import annotations

import json
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))
from measuring import best, peak_mib, report

from fuseguard.cli import settings
from fuseguard.engine.registry import load_registry
from fuseguard.gate.files import check_file
from fuseguard.readers.budget import MAX_JSON_BYTES, MAX_NODES
from fuseguard_testkit import costly
from fuseguard_testkit.forging import MODEL, ROOT, pack, records

#: Those that take longest; tests/safety holds all of them to five seconds.
KINDS = ("islands", "matmuls")


def main() -> None:
    gate = settings.resolve(load_registry(), no_config=True)
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name in KINDS:
            text = json.dumps(costly.KINDS[name](), separators=(",", ":"))
            path = pack(Path(folder) / f"{name}.pt2", records() | {f"{ROOT}/{MODEL}": text.encode()})
            slowest = max(slowest, best(partial(check_file, path, gate), 1))
            path.unlink()
    report(nodes=MAX_NODES, json_mib=MAX_JSON_BYTES / 2**20, seconds=slowest, peak_mib=peak_mib())


if __name__ == "__main__":
    main()
