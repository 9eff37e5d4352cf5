"""Derives the constraints of an ExecuTorch release from those of another one.

A pin of the other release stays wherever the release's own metadata allows it, so that two environments differ in what
they must and in nothing else. What the metadata forbids or asks for in addition, pip resolves.

Needs packaging, and a Python with pip of the version that the environments are built with.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from release_env import version_key

#: The extras that fuseguard lowers with. A release is resolved with those that the other one has installed.
EXTRAS = ("vgf", "ethos-u")

#: Never left to pip: another torch is another experiment, and its wheels for a GPU are gigabytes.
BY_HAND = "torch"

Resolve = Callable[[Sequence[str], Sequence[str]], Mapping[str, str]]


class PinError(Exception):
    """The constraints cannot be derived; the text says what to decide."""


@dataclass(frozen=True)
class Pins:
    """The text of a constraints file, and what was chosen in it: one line each, for a human to read."""

    text: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Releases:
    """What two releases ask for (``Requires-Dist``, unparsed) and the constraints of the older one of the two files."""

    release: str
    base: str
    asked: Sequence[str]
    asked_by_base: Sequence[str]
    base_text: str
    by_hand: Mapping[str, str] = field(default_factory=dict)


def nearest(release: str, known: Iterable[str]) -> str:
    """The release to start from: of the same minor version if there is one, else the last one before, else the next.

    Raises PinError if nothing is known.
    """
    others = sorted((version_key(other) for other in known if other != release), reverse=True)
    if not others:
        raise PinError("no other release has been measured")
    wanted = version_key(release)
    same = [other for other in others if other[:2] == wanted[:2]]
    if same:
        found = min(same, key=lambda other: (abs(other[2] - wanted[2]), other > wanted))
    else:
        found = next((other for other in others if other < wanted), others[-1])
    return ".".join(map(str, found))


def derive(releases: Releases, resolve: Resolve) -> Pins:
    """The constraints of ``releases.release``. Raises PinError where a human has to decide first."""
    pins = _pins(releases.base_text)
    extras = _extras(releases.asked_by_base, pins)
    asked, before = _applicable(releases.asked, extras), _applicable(releases.asked_by_base, extras)
    by_hand = {_name(name): version for name, version in releases.by_hand.items()}
    choices = []
    open_requirements, free = [], set()
    for name, requirement in asked.items():
        pin = by_hand.get(name) or pins.get(name)
        if pin and requirement.specifier.contains(pin, prereleases=True):
            open_requirements.append(str(_bare(requirement)))
        elif name in by_hand:
            choices.append(f"{name}=={pin} although {_bare(requirement)} is asked for, by hand")
        elif name == BY_HAND:
            raise PinError(
                f"ExecuTorch {releases.release} asks for {requirement}; {releases.base} is tested with {name}=={pin}. "
                f"Say which one to take: --pin {name}==VERSION"
            )
        elif pin and name in before and before[name].specifier == requirement.specifier:
            choices.append(f"{name}=={pin} although {_bare(requirement)} is asked for, as with {releases.base}")
        else:
            open_requirements.append(str(_bare(requirement)))
            free.add(name)
    kept = {**pins, **by_hand}
    constraints = [f"{name}=={version}" for name, version in kept.items() if name not in free and name != "executorch"]
    resolved = resolve(sorted(open_requirements), constraints)
    changed = {name: version for name, version in resolved.items() if kept.get(name) != version and name != BY_HAND}
    for name, version in sorted(changed.items()):
        was = f"instead of {pins[name]}" if name in pins else "which was not needed before"
        reason = _bare(asked[name]) if name in asked else "asked for by another package"
        choices.append(f"{name}=={version}, {was} ({reason})")
    if BY_HAND in resolved and resolved[BY_HAND] != kept.get(BY_HAND):
        raise PinError(f"pip would install {BY_HAND}=={resolved[BY_HAND]} instead of {kept.get(BY_HAND)}")
    text = _write(releases, {**by_hand, **changed, "executorch": releases.release})
    return Pins(text, tuple(choices) or (f"every pin of {releases.base}",))


def _name(name: str) -> str:
    """The name as pip compares it: in lower case, with hyphens."""
    return canonicalize_name(name)


def _pins(text: str) -> dict[str, str]:
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return {_name(name): version for name, _, version in (line.partition("==") for line in lines if line)}


def _extras(asked: Iterable[str], pins: Mapping[str, str]) -> tuple[str, ...]:
    """Those of EXTRAS of which the constraints pin every package."""
    wanted: dict[str, set[str]] = {}
    for requirement in map(Requirement, asked):
        for extra in EXTRAS:
            marker = requirement.marker
            if marker and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""}):
                wanted.setdefault(extra, set()).add(_name(requirement.name))
    return tuple(extra for extra, names in wanted.items() if names <= pins.keys())


def _applicable(asked: Iterable[str], extras: Sequence[str]) -> dict[str, Requirement]:
    found: dict[str, Requirement] = {}
    for requirement in map(Requirement, asked):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            name = _name(requirement.name)
            if name in found:
                requirement.specifier &= found[name].specifier
            found[name] = requirement
    return found


def _bare(requirement: Requirement) -> Requirement:
    bare = Requirement(str(requirement))
    bare.marker = None
    return bare


def _write(releases: Releases, versions: Mapping[str, str]) -> str:
    """The other release's file with other versions; what is new in its place by the alphabet."""
    left = dict(versions)
    lines = []
    for line in releases.base_text.splitlines():
        name = _name(line.partition("==")[0])
        if line.startswith("#"):
            lines.append(line.replace(f"ExecuTorch {releases.base} ", f"ExecuTorch {releases.release} "))
        elif name in left:
            lines.append(f"{line.partition('==')[0]}=={left.pop(name)}")
        else:
            lines.append(line)
    for name, version in left.items():
        place = next((i for i, line in enumerate(lines) if line[0] != "#" and line.lower() > name), len(lines))
        lines.insert(place, f"{name}=={version}")
    return "\n".join(lines) + "\n"


def metadata_of(python: Path, release: str) -> list[str]:
    """What an ExecuTorch release asks for, from the package index. Raises PinError."""
    (found,) = _pip_report(python, ["--no-deps", f"executorch=={release}"])
    return list(found.get("requires_dist", []))


def newest_release(python: Path) -> str:
    """The newest ExecuTorch release in the package index that the Python can install. Raises PinError."""
    (found,) = _pip_report(python, ["--no-deps", "--only-binary", "executorch", "executorch"])
    return Version(found["version"]).public


def resolve_with(python: Path) -> Resolve:
    """A resolver: pip of that Python, which installs nothing."""

    def resolve(requirements: Sequence[str], constraints: Sequence[str]) -> dict[str, str]:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write("\n".join(constraints))
            file.flush()
            found = _pip_report(python, ["-c", file.name, *requirements])
        return {_name(item["name"]): Version(item["version"]).public for item in found}

    return resolve


def _pip_report(python: Path, arguments: list[str]) -> list[dict[str, Any]]:
    """The metadata of each package that pip would install. Raises PinError."""
    pip = [str(python), "-m", "pip", "install", "--dry-run", "--ignore-installed"]
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [*pip, "--quiet", "--disable-pip-version-check", "--report", report.name, *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            said = "\n".join(line for line in done.stdout.splitlines() if not re.match("WARNING|DEPRECATION", line))
            raise PinError(f"pip cannot resolve this:\n{said}")
        return [item["metadata"] for item in json.load(report)["install"]]
