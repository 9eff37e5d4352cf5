"""Measures the rows of docs/performance.md, in one run, and writes them to tests/bench/results.json.

    python tests/bench/bench.py                  # all rows
    python tests/bench/bench.py cold rules       # these; the others stay as they are
    python tests/bench/bench.py --now cold       # on this commit only; "before" stays as it is

Each measurement is a script of its own, which runs on this checkout and, in turn with it, on a work tree of the commit
before the optimizations. It prints its figures, and what ten million additions took in a loop at that time. Then
tools/generate_docs.py makes the page. Needs the environment of a release for the rows with torch; an unmeasured row
without it stays as it is, and is named.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from performance_rows import BEFORE, RESULTS, ROOT, ROWS, Row, results

MEASURES = Path(__file__).parent / "measures"


@contextlib.contextmanager
def earlier(commit: str) -> Iterator[Path | None]:
    """A work tree of the commit; None where the history does not go back to it."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "before"
        made = subprocess.run(
            ["git", "worktree", "add", "--quiet", "--detach", str(tree), commit],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode:
            print(f"no measurement before the optimizations: {made.stderr.strip()}", file=sys.stderr)
            yield None
            return
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=False)


def measured(row: Row, checkout: Path) -> dict[str, float]:
    """The figures of a row on a checkout. The script and what it needs of tests/ are those of this one."""
    path = os.pathsep.join(str(checkout / folder) for folder in ("verifier", "rules"))
    environment = {**os.environ, "PYTHONPATH": path}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, str(MEASURES / row.script)]
    run = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return {key: round(value, 6) for key, value in figures.items()}


def provenance() -> dict[str, str]:
    """When and on what: no name of the machine."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "python": platform.python_version(),
        "processors": str(os.cpu_count()),
        "commit": commit,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"which ones: {', '.join(row.key for row in ROWS)}")
    parser.add_argument("--now", action="store_true", help="only this commit, not the one before the optimizations")
    options = parser.parse_args()
    unknown = set(options.rows) - {row.key for row in ROWS}
    if unknown:
        parser.error(f"there is no row {sorted(unknown)[0]!r}")
    has_torch = importlib.util.find_spec("executorch") is not None
    found = results()
    failed = []
    with contextlib.nullcontext() if options.now else earlier(BEFORE) as tree:
        for row in ROWS:
            if row.key not in options.rows and (options.rows or row.apart):
                continue
            if row.torch and not has_torch:
                print(f"{row.key}: needs torch and executorch; not measured", file=sys.stderr)
                continue
            print(f"{row.key}: {row.what}", file=sys.stderr)
            entry = dict(found.get(row.key, {}))
            try:
                if tree is not None and not row.alone:
                    entry["before"] = measured(row, tree)
                entry["now"] = measured(row, ROOT)
            except (subprocess.CalledProcessError, ValueError, IndexError) as error:
                print(f"{row.key}: failed: {error}", file=sys.stderr)
                failed.append(row.key)
                continue
            found[row.key] = {**provenance(), **entry}
            ordered = {item.key: found[item.key] for item in ROWS if item.key in found}
            RESULTS.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
