"""Runs the torch-free tests on the other versions of Python that the package supports, those that are installed here.

    python3 tools/python_versions.py                    # 3.10, 3.12 and 3.13, all at once
    python3 tools/python_versions.py 3.12               # only this one
    python3 tools/python_versions.py -- tests/ir -x     # with other arguments for pytest

``python3.X`` on PATH and the versions of pyenv count. A version that is not installed is named and left out; it is no
error. ``tools/release_env.py`` builds the environments, ``.venvs/core-3.X`` on top of a shared one outside of the
checkout, when they are first needed. The exit code is 1 if a test fails or an environment cannot be built.

Needs only the standard library.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
#: ``make test`` runs all tests on 3.11, for which the packages of every release are pinned.
VERSIONS = ("3.10", "3.12", "3.13")
#: The tests of ``make test-fast``.
MARKS = "not torch and not slow and not thorough and not campaign and not network"
#: What is left out of them, because it is the same on any Python: the repository's files and tools, a page's script,
#: and what all rules say of all examples on every release. tests/rules/test_examples.py runs each rule.
LEFT_OUT = (
    "tests/docs", "tests/repository", "tests/tools", "tests/browser", "tests/rules/test_linear_work.py",
    "tests/rules/test_recorded_effects.py",
)  # fmt: skip

#: Prints the version, and fails where no environment can be made: Debian packages venv apart.
_PROBE = "import sys, ensurepip, venv; print('.'.join(map(str, sys.version_info[:3])))"


@dataclass(frozen=True)
class Interpreter:
    """An installed Python that can make environments."""

    path: Path
    version: str

    @property
    def series(self) -> str:
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True)
class Outcome:
    """What became of the tests on one Python: pytest's last line, and all that was printed if they failed."""

    interpreter: Interpreter
    ok: bool
    summary: str
    output: str


def find(series: str) -> Interpreter | None:
    """The first usable Python of ``series`` (``3.12``); None if there is none."""
    for path in _candidates(series):
        try:
            done = subprocess.run([str(path), "-c", _PROBE], capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        found = Interpreter(path, done.stdout.strip())
        if done.returncode == 0 and found.series == series:  # a shim of pyenv may be there and run nothing
            return found
    return None


def _candidates(series: str) -> Iterator[Path]:
    on_path = shutil.which(f"python{series}")
    if on_path:
        yield Path(on_path)
    root = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser()
    yield from sorted((root / "versions").glob(f"{series}.*/bin/python"), reverse=True)


def environment(interpreter: Interpreter) -> Path:
    """The Python of the interpreter's environment, built if need be. Raises CalledProcessError."""
    command = [str(interpreter.path), str(CHECKOUT / "tools" / "release_env.py"), "core"]
    overlay = ["--overlay", f"core-{interpreter.series}"]
    done = subprocess.run([*command, *overlay], stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip())


def run_tests(interpreter: Interpreter, arguments: list[str]) -> Outcome:
    """Run pytest with ``arguments`` in the interpreter's environment."""
    try:
        python = environment(interpreter)
    except subprocess.CalledProcessError as error:
        return Outcome(interpreter, False, f"no environment (exit code {error.returncode}, see above)", "")
    command = [str(python), "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", MARKS, *arguments]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=CHECKOUT, check=False
    )
    lines = done.stdout.strip().splitlines()
    return Outcome(interpreter, done.returncode == 0, lines[-1] if lines else "pytest said nothing", done.stdout)


def main(arguments: list[str] | None = None) -> int:
    """Entry point: 0 if the tests pass on every Python that was found."""
    parser = argparse.ArgumentParser(description="Run the torch-free tests on other versions of Python.")
    parser.add_argument("versions", nargs="*", metavar="VERSION", help=f"default: {', '.join(VERSIONS)}")
    given = sys.argv[1:] if arguments is None else arguments
    place = given.index("--") if "--" in given else len(given)
    versions = parser.parse_args(given[:place]).versions or list(VERSIONS)
    interpreters = []
    for series in versions:
        found = find(series)
        if found is None:
            print(f"Python {series}: not installed, so it is not tested")
        else:
            print(f"Python {series}: {found.version}")
            interpreters.append(found)
    sys.stdout.flush()
    pytest_arguments = given[place + 1 :] or ["tests", *(f"--ignore={path}" for path in LEFT_OUT)]
    failed = False
    with ThreadPoolExecutor(max_workers=max(1, len(interpreters))) as pool:
        for outcome in pool.map(lambda found: run_tests(found, pytest_arguments), interpreters):
            if not outcome.ok:
                failed = True
                print(outcome.output)
            print(f"Python {outcome.interpreter.version}: {'ok' if outcome.ok else 'FAILED'}, {outcome.summary}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
