"""The items of a sweep: one command of fuseguard each, for one model, release and target. And what each came to."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal, TypeAlias

import fuseguard
from fuseguard.cache.identity import code_digest, described, file_digest, key_of
from fuseguard.engine.registry import load_registry
from fuseguard.gate.config import load_config
from fuseguard.sweep.manifest import Manifest, Models

Status: TypeAlias = Literal[
    "done", "unreadable", "failed", "died", "too slow", "out of memory", "no environment", "changed"
]

#: What happened to an item -> what it means.
STATUSES: dict[Status, str] = {
    "done": "there is a verdict",
    "unreadable": "the model, or what it is run on, could not be read or was refused",
    "failed": "the command failed",
    "died": "the process died, twice in a row",
    "too slow": "the item took longer than it may",
    "out of memory": "the item needed more memory than it may",
    "no environment": "the Python of the release cannot be used",
    "changed": "the model was changed while the sweep ran",
}
#: The statuses that say nothing of the item itself. The next run tries these items again.
PASSING: tuple[Status, ...] = ("no environment", "changed")
#: Those that ``--retry`` tries again as well.
BROKEN: tuple[Status, ...] = ("unreadable", "failed", "died", "too slow", "out of memory", *PASSING)

_PROBE_SECONDS = 120
#: Without the current folder, in which a stranger's models may be, on the path.
WITHOUT_FOLDER = "import sys; sys.path[:] = [path for path in sys.path if path]; "


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to do. ``key`` identifies it with all that its result depends on.

    ``arguments`` is the command line after ``fuseguard``, to be run in the manifest's folder. ``python`` runs it.
    ``trouble`` says why it cannot be run; "" if it can.
    """

    key: str
    model: str
    digest: str
    step: str
    release: str
    target: str
    python: str
    arguments: tuple[str, ...]
    trouble: str = ""

    @property
    def command(self) -> str:
        """The command line, to be repeated by hand."""
        return shlex.join(["fuseguard", *self.arguments])

    @property
    def label(self) -> str:
        """In short."""
        return f"{self.step} {self.model} {self.target} {self.release}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an item came to.

    ``exit_code`` is that of the command, 2 if the command did not end. ``outcome`` is the verdict, "" if there is
    none. ``document`` is the command's JSON report, "" if there is none. ``memory_kib`` is the largest resident size
    of the process, None where the system does not tell.
    """

    status: Status
    exit_code: int
    outcome: str = ""
    message: str = ""
    seconds: float = 0.0
    memory_kib: int | None = None
    document: str = field(default="", repr=False)


def plan(manifest: Manifest) -> list[Item]:
    """All items of a sweep, those of one Python after one another. Starts each release's Python once.

    Raises ConfigError, OSError for a file that cannot be read.
    """
    items: list[Item] = []
    checking = key_of(code_digest(), _configuration(manifest))
    for release in manifest.releases:
        environment = _environment(manifest, release)
        for models in manifest.models:
            items += _of_models(manifest, models, release, environment, checking)
    return sorted({item.key: item for item in items}.values(), key=lambda item: item.python != sys.executable)


def _of_models(
    manifest: Manifest, models: Models, release: str, environment: _Environment, checking: str
) -> Iterator[Item]:
    """``checking`` identifies what a check depends on besides the program and its options."""
    files = [text for text in models.inputs if (manifest.folder / text).is_file()]
    inputs = [file_digest(manifest.folder / text) for text in files]
    for model in models.files:
        digest = _digest(manifest.folder / model)
        for step in models.steps:
            for target in manifest.targets:
                arguments = _arguments(manifest, models, model, step, release, target)
                light = step == "check"
                versions = [checking] if light else [environment.key, *inputs]
                yield Item(
                    key=key_of(digest, versions, release, arguments),
                    model=model,
                    digest=digest,
                    step=step,
                    release=release,
                    target=target,
                    python=sys.executable if light else environment.python,
                    arguments=arguments,
                    trouble="" if light else environment.trouble,
                )


def _digest(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError as error:  # the command says so
        return f"unreadable: {error.strerror or error}"


def _arguments(manifest: Manifest, models: Models, model: str, step: str, release: str, target: str) -> tuple[str, ...]:
    shown = ("--output-format", "json")
    if step == "check":
        config = ("--config", manifest.config) if manifest.config is not None else ("--no-config",)
        chosen = ("--policy", manifest.policy, "--fail-on", manifest.fail_on)
        return ("check", model, "--target", target, "--executorch", release, *config, *chosen, *shown)
    dims = [part for dim in models.dims for part in ("--dim", dim)]
    inputs = [part for text in models.inputs for part in ("--inputs", text)]
    common = ("--trust", "--target", target, "--policy", manifest.policy, *shown)
    if step == "repair":
        return ("repair", model, *common, "--diff", *inputs[:2], *dims)
    return ("prove", model, *common, *inputs, *dims, *(("--guard",) if step == "guard" else ()))


@dataclass(frozen=True, slots=True)
class _Environment:
    """The Python of a release. ``key`` identifies all that is installed; ``trouble`` says why it cannot be used."""

    python: str
    key: str
    trouble: str = ""


def _environment(manifest: Manifest, release: str) -> _Environment:
    """Asks the Python of a release what it has; not if nothing is to run there."""
    python = manifest.pythons.get(release, "")
    if manifest.steps == ("check",):
        return _Environment("", "")
    try:
        found = probe(python) if python else described()
    except EnvironmentTrouble as error:
        return _Environment(python, "", str(error))
    trouble = ""
    if found["executorch"] != release:
        has = f"has ExecuTorch {found['executorch']}" if found["executorch"] else "has no ExecuTorch"
        name = python or "the Python that runs this sweep"
        trouble = f"{name} {has}, but the release is {release}. Set 'python' in the manifest."
    elif found["fuseguard"] != fuseguard.__version__:
        trouble = (
            f"{python} has fuseguard {found['fuseguard']}, and this is {fuseguard.__version__}. Install that there."
        )
    return _Environment(python or sys.executable, found["environment"], trouble)


class EnvironmentTrouble(Exception):
    """The Python of a release cannot be used; the text says why and what to do."""


def probe(python: str) -> dict[str, str]:
    """What :func:`fuseguard.cache.identity.described` says in another Python. Raises EnvironmentTrouble."""
    code = f"{WITHOUT_FOLDER}from fuseguard.cache import identity; print(identity.json.dumps(identity.described()))"
    try:
        done = subprocess.run(
            [python, "-c", code], capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False,
            env=environment_of(python),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise EnvironmentTrouble(f"{python} cannot be started: {reason}. Set 'python' in the manifest.") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EnvironmentTrouble(f"{python} cannot import fuseguard: {last}. Install fuseguard of this version there.")
    found: dict[str, str] = json.loads(done.stdout)
    return found


def environment_of(python: str) -> dict[str, str]:
    """The variables for a process of ``python``: its tools, such as vela, come first on PATH."""
    folder = os.path.dirname(python)
    path = os.environ.get("PATH", "")
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{path}" if folder else path}


def _configuration(manifest: Manifest) -> list[str]:
    """The digests of the configuration's files, and the suppressions of it that have expired."""
    if manifest.config is None:
        return []
    config = load_config(Path(manifest.config), load_registry())
    files = [*config.files, *([config.baseline] if config.baseline is not None else [])]
    expired = [str(item.until) for item in config.suppressions if item.until is not None and item.until < date.today()]
    return [*map(_digest, files), *expired]


#: Yields items with what they came to, as they end. Closing it ends what still runs.
Results: TypeAlias = Generator["tuple[Item, Outcome]", None, None]
