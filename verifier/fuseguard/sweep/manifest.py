"""The manifest of a sweep: a TOML file, read as strictly as the configuration. Errors name file, line and key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from fuseguard.engine.finding import Severity
from fuseguard.engine.run import POLICIES
from fuseguard.gate.config_file import ConfigError, ConfigFile
from fuseguard.gate.toml_lines import KeyPath
from fuseguard.target import Target, TargetError

#: What can be done with a model -> what it is. All but the first run in the environment of a release.
STEPS: dict[str, str] = {
    "check": "fuseguard check: the findings",
    "prove": "fuseguard prove: the lowering as the backend does it",
    "guard": "fuseguard prove --guard: the lowering with violating clusters on the CPU",
    "repair": "fuseguard repair: what is repaired, and the lowering of the repaired program",
}
#: The steps that load a program with torch.
TRUSTING = tuple(step for step in STEPS if step != "check")
#: Where a release's Python is named in the pattern.
PLACE = "{release}"


class _Model(msgspec.Struct, forbid_unknown_fields=True):
    """One table of ``[[models]]``."""

    files: str | list[str]
    inputs: str | list[str] | None = None
    dims: dict[str, int] | None = None
    steps: list[str] | None = None


class _Table(msgspec.Struct, forbid_unknown_fields=True, rename="kebab"):
    """The manifest as it is written. None: not set."""

    models: list[_Model]
    targets: str | list[str]
    releases: str | list[str]
    steps: list[str] | None = None
    python: str | dict[str, str] | None = None
    store: str = "sweep.sqlite"
    seconds: float = 600
    memory_mib: int | None = None
    policy: str = "consistent"
    fail_on: str = "error"
    config: str | None = None


@dataclass(frozen=True, slots=True)
class Models:
    """Some of the models, and what is done with them. ``files`` are relative to the manifest's folder, and sorted.

    ``inputs`` are values of ``--inputs``, ``dims`` values of ``--dim``.
    """

    files: tuple[str, ...]
    steps: tuple[str, ...]
    inputs: tuple[str, ...]
    dims: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest says. Paths are relative to ``folder``, in which it is.

    ``pythons``: the Python of each release that has one of its own. ``seconds`` and ``memory_mib`` limit one item; the
    latter is None for no limit.
    """

    path: Path
    folder: Path
    models: tuple[Models, ...]
    targets: tuple[str, ...]
    releases: tuple[str, ...]
    pythons: Mapping[str, str]
    store: Path
    seconds: float
    memory_mib: int | None
    policy: str
    fail_on: str
    config: str | None

    @property
    def steps(self) -> tuple[str, ...]:
        """Every step that is done with some model."""
        return tuple(step for step in STEPS if any(step in models.steps for models in self.models))


def load_manifest(path: Path, releases: Sequence[str] = ()) -> Manifest:
    """Read a manifest. ``releases`` take the place of those in it, if there are any.

    Raises ConfigError naming file, line and key, and what is valid; TargetError for one of ``releases``.
    """
    file = ConfigFile.read(path, "manifest")
    table = dict(file.table or {})
    file.check_keys((), table, _Table.__struct_encode_fields__)
    for key in ("models", "targets", "releases"):
        if not table.get(key):
            raise file.error((key,), f"is missing or empty; a sweep needs {_NEEDED[key]}.")
    entries = table["models"]
    for number, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            file.check_keys(("models", number), entry, _Model.__struct_encode_fields__)
    try:
        read = msgspec.convert(table, _Table)
    except msgspec.ValidationError as error:
        raise file.invalid(error) from error
    for release in releases:
        Target.parse("TOSA-1.0+INT", release)
    return _checked(file, read, tuple(releases))


_NEEDED = {
    "models": 'at least one table [[models]] with files = ["models/*.pt2"]',
    "targets": 'at least one target, as in targets = ["TOSA-1.0+INT+FP"]',
    "releases": 'at least one ExecuTorch release, as in releases = ["1.5.1"]',
}


def _checked(file: ConfigFile, table: _Table, chosen: tuple[str, ...]) -> Manifest:
    folder = file.path.absolute().parent
    targets, written = _strings(table.targets), _strings(table.releases)
    releases = chosen or written
    for number, release in enumerate(written):
        _target(file, ("releases", number), targets[0], release, about_release=True)
    for number, target in enumerate(targets):
        _target(file, ("targets", number), target, written[0])
    if table.seconds <= 0:
        raise file.error(("seconds",), f"{table.seconds:g} is not valid; give the seconds that one item may take.")
    if table.memory_mib is not None and table.memory_mib < 1:
        raise file.error(("memory-mib",), f"{table.memory_mib} is not valid; give MiB, or leave the key out.")
    steps = _steps(file, ("steps",), table.steps, tuple(STEPS))
    models = tuple(_models(file, number, entry, folder, steps) for number, entry in enumerate(table.models))
    return Manifest(
        path=file.path,
        folder=folder,
        models=models,
        targets=tuple(dict.fromkeys(targets)),
        releases=tuple(dict.fromkeys(releases)),
        pythons=_pythons(file, table.python, releases, written, folder),
        store=folder / table.store,
        seconds=float(table.seconds),
        memory_mib=table.memory_mib,
        policy=file.choice(("policy",), table.policy, POLICIES),
        fail_on=file.choice(("fail-on",), table.fail_on, [severity.value for severity in Severity]),
        config=_config(file, table.config, folder),
    )


def _target(file: ConfigFile, key: KeyPath, target: str, release: str, *, about_release: bool = False) -> None:
    try:
        Target.parse("TOSA-1.0+INT" if about_release else target, release)
    except TargetError as error:
        raise file.error(key, str(error)) from error


def _steps(file: ConfigFile, key: KeyPath, steps: list[str] | None, default: tuple[str, ...]) -> tuple[str, ...]:
    if steps is None:
        return default
    if not steps:
        raise file.error(key, f"is empty. Valid are {', '.join(STEPS)}.")
    chosen = {file.choice((*key, number), step, STEPS) for number, step in enumerate(steps)}
    return tuple(step for step in STEPS if step in chosen)


def _models(file: ConfigFile, number: int, entry: _Model, folder: Path, steps: tuple[str, ...]) -> Models:
    at: KeyPath = ("models", number)
    files: set[str] = set()
    for place, pattern in enumerate(_strings(entry.files)):
        if Path(pattern).is_absolute():
            found = [pattern] if Path(pattern).is_file() else []
        else:
            found = [path.relative_to(folder).as_posix() for path in _glob(file, at, folder, pattern) if path.is_file()]
        if not found:
            where = (*at, "files", place) if isinstance(entry.files, list) else (*at, "files")
            raise file.error(where, f"no file matches {pattern!r}; the pattern is taken from the manifest's folder.")
        files.update(found)
    if not files:
        raise file.error((*at, "files"), "is empty; name at least one file or pattern.")
    inputs = _strings(entry.inputs) if entry.inputs is not None else ("random",)
    for place, text in enumerate(inputs):
        if text.partition(":")[0] != "random" and not (folder / text).is_file():
            where = (*at, "inputs", place) if isinstance(entry.inputs, list) else (*at, "inputs")
            raise file.error(where, f"there is no file {text!r}; give one, or 'random' or 'random:SEED'.")
    dims = tuple(f"{name}={size}" for name, size in (entry.dims or {}).items())
    return Models(tuple(sorted(files)), _steps(file, (*at, "steps"), entry.steps, steps), inputs, dims)


def _glob(file: ConfigFile, at: KeyPath, folder: Path, pattern: str) -> list[Path]:
    try:
        return list(folder.glob(pattern))
    except (ValueError, NotImplementedError) as error:
        raise file.error((*at, "files"), f"{pattern!r} is not a pattern: {error}.") from error


def _pythons(
    file: ConfigFile,
    python: str | dict[str, str] | None,
    releases: tuple[str, ...],
    written: tuple[str, ...],
    folder: Path,
) -> dict[str, str]:
    if python is None:
        return {}
    if isinstance(python, str):
        if PLACE not in python and len(releases) > 1:
            hint = "write it where the path has the release, or make this a table with one Python per release."
            raise file.error(("python",), f"has no {PLACE}, and there are {len(releases)} releases; {hint}")
        return {release: str(folder / python.replace(PLACE, release)) for release in releases}
    file.check_keys(("python",), python, tuple(dict.fromkeys((*releases, *written))))
    return {release: str(folder / path) for release, path in python.items()}


def _config(file: ConfigFile, config: str | None, folder: Path) -> str | None:
    if config is None:
        return None
    if not (folder / config).is_file():
        raise file.error(("config",), f"there is no file {config!r}; the path is taken from the manifest's folder.")
    return str(folder / config)


def _strings(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


__all__ = ["STEPS", "TRUSTING", "ConfigError", "Manifest", "Models", "load_manifest"]
