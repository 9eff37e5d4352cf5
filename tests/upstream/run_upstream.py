"""Runs Arm's own backend tests, as shipped in the installed executorch wheel, under fuseguard's guard.

    python tests/upstream/run_upstream.py --out results.jsonl --cases 2       # a cross-section
    python tests/upstream/run_upstream.py --out results.jsonl                 # all that ships
    python tests/upstream/run_upstream.py --out results.jsonl --summary       # only the table
    python tests/upstream/run_upstream.py --out r.jsonl --mode guard ops/test_relu.py -k tosa_INT

Tests run in chunks, each in a process of its own; results are appended as JSON lines, and a second call goes on where
the first stopped. A test that kills its process is recorded as ``aborted``, one that does not end as ``timeout``.
Nothing is installed: what upstream's tests lack (torchvision, transformers, simulators) is counted in the summary.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from upstream_summary import load, summarize

HERE = Path(__file__).resolve().parent

#: Operators whose tests are run first; then everything else that ships.
FIRST = (
    "conv1d", "conv2d", "conv3d", "depthwise_conv", "transpose_conv2d", "conv_combos", "conv_constant_pad_nd", "linear",
    "relu", "hardtanh", "clamp", "cat", "add", "mul", "sigmoid", "sigmoid_32bit", "mean_dim", "max_pool", "max_pool1d",
    "avg_pool2d", "adaptive_avg_pool2d", "permute", "split", "unary_combos",
)  # fmt: skip
FOLDERS = ("modules", "models", "ops", "misc", "quantizer", "passes")


def arm_tests() -> Path:
    """Arm's test folder in the installed wheel. Raises SystemExit if it is not there."""
    spec = importlib.util.find_spec("executorch")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "backends" / "arm" / "test"
        if folder.is_dir():
            return folder
    raise SystemExit("the installed executorch has no backends/arm/test")


def default_files(root: Path) -> list[str]:
    first = [f"ops/test_{name}.py" for name in FIRST]
    others = [
        path.relative_to(root).as_posix() for folder in FOLDERS for path in sorted((root / folder).rglob("test_*.py"))
    ]
    return [name for name in dict.fromkeys((*first, *others)) if (root / name).is_file()]


def pytest_command(root: Path, options: Sequence[str], prefix: str = "") -> list[str]:
    return [
        *shlex.split(prefix), sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(root),
        "--import-mode=importlib", "-p", "no:cacheprovider", "-p", "guard_plugin", "-q", *options,
    ]  # fmt: skip


def environment() -> dict[str, str]:
    paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    # The backend finds its compilers (vela, model-converter) on PATH.
    tools = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PATH": tools, "OMP_NUM_THREADS": "1"}


def collect(root: Path, files: Sequence[str], keyword: str, prefix: str = "") -> tuple[list[str], dict[str, str]]:
    """Ids of the chosen tests, in order, and what could not be imported, with the reason."""
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "collected.json"
        options = ["--collect-only", "--continue-on-collection-errors", "--guard-collect", str(found), "-k", keyword]
        command = pytest_command(root, [*options, *(str(root / name) for name in files)], prefix)
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, cwd=folder)
        if not found.is_file():
            raise SystemExit(f"collecting failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        content = json.loads(found.read_text())
        return content["tests"], content["errors"]


def thinned(tests: Iterable[str], count: int) -> Iterator[str]:
    """At most ``count`` cases of each test function; 0 means all."""
    seen: dict[str, int] = {}
    for test in tests:
        function = test.partition("[")[0]
        seen[function] = seen.get(function, 0) + 1
        if not count or seen[function] <= count:
            yield test


def run_chunk(root: Path, tests: Sequence[str], arguments: argparse.Namespace, output: Path) -> None:
    """Run ``tests``, again without the one that ended the process if one did."""
    left = list(tests)
    while left:
        with tempfile.TemporaryDirectory() as folder:
            listed = Path(folder) / "tests.txt"
            listed.write_text("".join(f"{root / test}\n" for test in left))
            log = Path(folder) / "log.jsonl"
            options = ["--guard-mode", arguments.mode, "--guard-log", str(log), "--tb=short"]
            options += ["--guard-preview"] * (not arguments.stable) + ["--guard-judge"] * (not arguments.no_judge)
            ended, tail = "aborted", ""
            try:
                command = pytest_command(root, [*options, f"@{listed}"], arguments.prefix)
                done = subprocess.run(
                    command, env=environment(), capture_output=True, text=True, timeout=arguments.timeout, cwd=folder
                )
                tail = (done.stderr or done.stdout)[-300:]
            except subprocess.TimeoutExpired:
                ended = "timeout"
            records = load(log)
            left = _not_done(left, records, ended, tail)
            with output.open("a") as stream:
                stream.writelines(json.dumps(record | {"mode": arguments.mode}) + "\n" for record in records.values())


def _not_done(left: list[str], records: dict[str, dict[str, Any]], ended: str, tail: str) -> list[str]:
    """What is still to be run; a test that was started and left no result gets one."""
    for record in records.values():
        if record.pop("started", False):
            record |= {"outcome": ended, "reason": tail, "seconds": 0.0}
    rest = [test for test in left if test not in records]
    if len(rest) == len(left):
        for test in rest:
            records[test] = {"test": test, "outcome": "not run", "reason": tail, "seconds": 0.0}
        return []
    return rest


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="paths below backends/arm/test; all that ship if left out")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, appended to")
    parser.add_argument("-k", dest="keyword", default="tosa_INT", help="pytest's -k (default: %(default)s)")
    parser.add_argument("--mode", choices=("record", "guard", "off"), default="record")
    parser.add_argument("--stable", action="store_true", help="without preview rules")
    parser.add_argument("--no-judge", action="store_true", help="do not judge the lowered programs")
    parser.add_argument("--cases", type=int, default=0, help="at most this many cases of each test function")
    parser.add_argument("--chunk", type=int, default=120, help="tests in one process")
    parser.add_argument("--timeout", type=float, default=1500, help="seconds for one chunk")
    parser.add_argument("--prefix", default="", help="command to put before python, e.g. nice")
    parser.add_argument("--summary", action="store_true", help="run nothing, print the table of --out")
    arguments = parser.parse_args(argv)
    if not arguments.summary:
        root = arm_tests()
        tests, errors = collect(root, arguments.files or default_files(root), arguments.keyword, arguments.prefix)
        with arguments.out.open("a") as stream:
            known = load(arguments.out)
            for path, reason in errors.items():
                if path not in known:
                    stream.write(json.dumps({"test": path, "outcome": "not collected", "reason": reason}) + "\n")
        left = [test for test in thinned(tests, arguments.cases) if test not in known]
        print(f"{len(tests)} tests collected, {len(left)} to run, {len(errors)} files not importable", flush=True)
        for start in range(0, len(left), arguments.chunk):
            run_chunk(root, left[start : start + arguments.chunk], arguments, arguments.out)
            print(f"{min(start + arguments.chunk, len(left))}/{len(left)}", flush=True)
    print(summarize(load(arguments.out).values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
