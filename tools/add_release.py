"""Adds an ExecuTorch release: constraints, environment, comparison with its nearest neighbour, recording.

    make release RELEASE=1.5.0
    python3 tools/add_release.py 1.6.0 --pin torch==2.15.0     # a version that a human chose
    python3 tools/add_release.py 1.5.0 --until compare         # without the recording, which takes longest

Each step is done unless its result is there, so that an interrupted run goes on. What needs a human decision is printed
last, and written to ``build/release-<release>.txt`` with the whole comparison. docs/adding-a-release.md says what to do
about it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compare_backend import Comparison, change_text, compare_installed, list_text, render
from recordings import Recording, differences, read_recording
from release_env import EnvError, HeavyEnv, Overlay, known_releases
from release_pins import PinError, Releases, derive, metadata_of, nearest, newest_release, resolve_with
from rule_mentions import Mention

#: Stands for the newest release in the package index.
NEWEST = "newest"

STEPS = ("constraints", "environment", "compare", "record")

#: The recordings, which are part of the package.
MEASURED = Path("verifier", "fuseguard", "measured")


@dataclass
class Addition:
    """What was found out about a release so far. ``took`` is the wall time of each step, in seconds."""

    release: str
    base: str
    checkout: Path
    choices: tuple[str, ...] = ()
    comparison: Comparison | None = None
    mentions: tuple[Mention, ...] = ()
    recording: Recording | None = None
    base_recording: Recording | None = None
    faults: tuple[str, ...] | None = None
    took: dict[str, float] = field(default_factory=dict)

    @property
    def constraints(self) -> Path:
        return constraints_of(self.release, self.checkout)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        say(f"{name} ...")
        started = time.monotonic()
        yield
        self.took[name] = time.monotonic() - started


def constraints_of(release: str, checkout: Path) -> Path:
    return checkout / "constraints" / f"executorch-{release}.txt"


def recording_of(release: str, checkout: Path) -> Path:
    return checkout / MEASURED / f"{release}.json"


def measured_releases(checkout: Path) -> tuple[str, ...]:
    """The releases that can be built and have a recording; all that can be built where none has one yet."""
    known = known_releases(checkout)
    return tuple(release for release in known if recording_of(release, checkout).is_file()) or known


def make_constraints(addition: Addition, by_hand: Mapping[str, str]) -> None:
    """Write the constraints file unless it is there. Raises PinError and EnvError."""
    if addition.constraints.is_file():
        addition.choices = (f"{addition.constraints.name} was there already",)
        return
    python = _built(addition.base, addition.checkout).python
    releases = Releases(
        release=addition.release,
        base=addition.base,
        asked=metadata_of(python, addition.release),
        asked_by_base=metadata_of(python, addition.base),
        base_text=constraints_of(addition.base, addition.checkout).read_text(encoding="utf-8"),
        by_hand=by_hand,
    )
    pins = derive(releases, resolve_with(python))
    addition.constraints.write_text(pins.text, encoding="utf-8")
    addition.choices = pins.choices


def _built(release: str, checkout: Path) -> HeavyEnv:
    heavy = HeavyEnv.of(release, checkout)
    heavy.build()
    return heavy


def build(addition: Addition) -> None:
    """Build both environments. Raises EnvError."""
    for release in (addition.base, addition.release):
        Overlay(_built(release, addition.checkout), addition.checkout, release).build()


def compare(addition: Addition) -> None:
    old, new = (HeavyEnv.of(release, addition.checkout).packages for release in (addition.base, addition.release))
    addition.comparison, addition.mentions = compare_installed(old, new, addition.checkout)


def record(addition: Addition, jobs: int) -> None:
    """Judge every example of every rule with the release, and read what was recorded of it and of its neighbour.

    Raises EnvError if nothing was recorded, ValueError if a recording cannot be read.
    """
    path = recording_of(addition.release, addition.checkout)
    if not path.is_file():
        overlay = Overlay(HeavyEnv.of(addition.release, addition.checkout), addition.checkout, addition.release)
        command = [str(overlay.path / "bin" / "fuseguard"), "selftest", "--record", str(path), "-j", str(jobs)]
        # The backend looks for its tools on PATH.
        environment = {**os.environ, "PATH": f"{overlay.path / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}
        done = subprocess.run(
            [*command, "--output-format", "json"], stdout=subprocess.PIPE, text=True, check=False, env=environment
        )
        # It ends with 1 where an effects table disagrees with what was seen. That is a result, not a failure.
        if done.returncode not in (0, 1) or not path.is_file():
            raise EnvError(f"fuseguard selftest ended with exit code {done.returncode}; see what it said above")
        addition.faults = tuple(_faults(json.loads(done.stdout)))
    addition.recording = read_recording(path)
    base = recording_of(addition.base, addition.checkout)
    addition.base_recording = read_recording(base) if base.is_file() else None


def _faults(selftest: Mapping[str, Any]) -> Iterator[str]:
    """The cases of a selftest in which the effects table says something else than was seen."""
    for case in selftest["cases"]:
        if not case["agrees"]:
            yield f"{case['code']} {case['example']} ({case['form']}, {case['target']}): {case['fault']}"


def decisions(addition: Addition) -> str:
    """What a human has to look at, as text."""
    lines = [f"ExecuTorch {addition.release}, compared with {addition.base}"]
    _part(lines, "Pins that differ or were decided", addition.choices)
    if addition.comparison is not None:
        _part(lines, "Passes that differ", map(change_text, addition.comparison.passes()))
        _part(lines, "Lists that differ", map(list_text, addition.comparison.lists))
        _part(lines, "Rules that name something that differs", map(str, addition.mentions))
    if addition.recording is not None:
        base = addition.base_recording
        changed = differences(base, addition.recording) if base is not None else None
        _part(lines, "Cases whose effect changed", changed, f"there is no recording of {addition.base}")
        _part(
            lines, "Cases that disagree with the effects tables", addition.faults,
            "the recording was there already; fuseguard selftest compares again",
        )  # fmt: skip
    took = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in addition.took.items())
    return "\n".join([*lines, "", f"Wall time: {took}", ""])


def _part(lines: list[str], title: str, items: Iterable[str] | None, why_unknown: str = "") -> None:
    """Add a part with its items. None: they are not known, and ``why_unknown`` says why."""
    if items is None:
        lines += ["", f"{title}: unknown: {why_unknown}"]
        return
    items = list(items)
    lines += ["", f"{title}: {len(items) or 'none'}", *(f"  {item}" for item in items)]


def say(text: str) -> None:
    print(f"add_release: {text}", file=sys.stderr, flush=True)


def add(addition: Addition, by_hand: Mapping[str, str], jobs: int, until: str) -> None:
    """Do the steps up to and including ``until``. Raises PinError and EnvError."""
    steps: Sequence[Callable[[], None]] = (
        lambda: make_constraints(addition, by_hand),
        lambda: build(addition),
        lambda: compare(addition),
        lambda: record(addition, jobs),
    )
    for name, do in zip(STEPS, steps, strict=True):
        with addition.step(name):
            do()
        if name == until:
            break


def main(arguments: list[str] | None = None) -> int:
    """Entry point: 0 if every step was done, whatever it found; 1 with the reason if one could not be."""
    parser = argparse.ArgumentParser(description="Add an ExecuTorch release.")
    parser.add_argument("release", help="such as 1.5.0, or newest: that of the package index")
    parser.add_argument("--base", help="the measured release to start from; default: the nearest")
    parser.add_argument("--pin", action="append", default=[], metavar="NAME==VERSION", help="a version, chosen by hand")
    parser.add_argument("--jobs", "-j", type=int, default=2, help="lower this many examples at once; default: 2")
    parser.add_argument("--until", choices=STEPS, default=STEPS[-1], help="the last step to do")
    options = parser.parse_args(arguments)
    checkout = Path(__file__).resolve().parent.parent
    by_hand = dict(pin.split("==", 1) for pin in options.pin if "==" in pin)
    if len(by_hand) != len(options.pin):
        parser.error("write a pin as NAME==VERSION")
    try:
        if options.release == NEWEST:
            options.release = newest_release(_built(measured_releases(checkout)[0], checkout).python)
        base = options.base or nearest(options.release, measured_releases(checkout))
        addition = Addition(options.release, base, checkout)
        say(f"{options.release} starts from {base}")
        add(addition, by_hand, options.jobs, options.until)
    except (EnvError, PinError, ValueError) as error:
        say(str(error))
        return 1
    text = decisions(addition)
    print(text)
    report = checkout / "build" / f"release-{options.release}.txt"
    report.parent.mkdir(exist_ok=True)
    whole = render(addition.comparison, addition.mentions, base, options.release) if addition.comparison else ""
    report.write_text(f"{text}\n{whole}\n", encoding="utf-8")
    say(f"the whole comparison is in {report.relative_to(checkout)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
