"""The configuration: ``[tool.fuseguard]`` of a pyproject.toml, or a fuseguard.toml.

The nearest one, from the current folder upwards, applies. Errors name file, line and key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from fuseguard.engine.finding import Severity, SuppressionKind
from fuseguard.engine.registry import Registry, SelectorError
from fuseguard.engine.run import POLICIES
from fuseguard.gate import toml_lines
from fuseguard.gate.archive import code_to_allow
from fuseguard.gate.baseline import displayed
from fuseguard.gate.config_file import ConfigError, ConfigFile
from fuseguard.gate.suppress import SuppressionError, SuppressionRule, code_of
from fuseguard.gate.targets import matrix
from fuseguard.ir.graph import SourceLine
from fuseguard.target import TargetError

__all__ = ["Config", "ConfigError", "find_config", "load_config", "nearest_config"]

NAMES: tuple[str, ...] = ("fuseguard.toml", "pyproject.toml")  # of two in one folder the first holds


class _Suppression(msgspec.Struct, forbid_unknown_fields=True):
    """One table of ``[[tool.fuseguard.suppressions]]``."""

    rule: str = ""
    reason: str = ""
    module: str = ""
    op: str = ""
    node: str = ""
    file: str = ""
    kind: str = "ignore"
    until: date | None = None


class _Table(msgspec.Struct, forbid_unknown_fields=True, rename="kebab"):
    """``[tool.fuseguard]`` as it is written. None: not set here."""

    extend: str | list[str] | None = None
    target: str | list[str] | None = None
    executorch: str | list[str] | None = None
    policy: str | None = None
    select: list[str] | None = None
    ignore: list[str] | None = None
    severity: dict[str, Any] | None = None
    fail_on: str | None = None
    require_quantized: bool | None = None
    baseline: str | None = None
    allow_code: list[str] | None = None
    suppressions: list[_Suppression] | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """What a configuration and all that it extends say. None, or nothing: they do not say.

    ``files`` are those that were read, the last one being the one that was asked for; paths are relative to the file
    that they are in. ``suppressions`` name their rule by its code.
    """

    files: tuple[Path, ...] = ()
    targets: tuple[str, ...] | None = None
    releases: tuple[str, ...] | None = None
    policy: str | None = None
    select: tuple[str, ...] | None = None
    ignore: tuple[str, ...] | None = None
    severities: Mapping[str, Severity] = field(default_factory=dict)
    fail_on: Severity | None = None
    require_quantized: bool | None = None
    baseline: Path | None = None
    allow_code: tuple[str, ...] | None = None
    suppressions: tuple[SuppressionRule, ...] = ()

    def over(self, base: Config) -> Config:
        """This configuration, and ``base`` where it says nothing. Severities and suppressions add up."""
        return Config(
            files=(*base.files, *self.files),
            targets=base.targets if self.targets is None else self.targets,
            releases=base.releases if self.releases is None else self.releases,
            policy=base.policy if self.policy is None else self.policy,
            select=base.select if self.select is None else self.select,
            ignore=base.ignore if self.ignore is None else self.ignore,
            severities={**base.severities, **self.severities},
            fail_on=base.fail_on if self.fail_on is None else self.fail_on,
            require_quantized=base.require_quantized if self.require_quantized is None else self.require_quantized,
            baseline=base.baseline if self.baseline is None else self.baseline,
            allow_code=base.allow_code if self.allow_code is None else self.allow_code,
            suppressions=(*base.suppressions, *self.suppressions),
        )


def find_config(start: Path) -> Path | None:
    """The nearest configuration from the folder ``start`` upwards, or None. Raises ConfigError if it is not TOML.

    A pyproject.toml without ``[tool.fuseguard]`` is passed by.
    """
    for folder in (start.absolute(), *start.absolute().parents):
        for name in NAMES:
            path = folder / name
            if _is_file(path) and ConfigFile.mentions(path) and ConfigFile.read(path).table is not None:
                return path
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder above that may not be looked into
        return False


def nearest_config(start: Path, registry: Registry) -> Config:
    """The configuration that holds in the folder ``start``; an empty one if there is none. Raises ConfigError."""
    path = find_config(start)
    return Config() if path is None else load_config(path, registry)


def load_config(path: Path, registry: Registry) -> Config:
    """Read a configuration and what it extends. Raises ConfigError naming file, line and key."""
    return _load(path, registry, ())


def _load(path: Path, registry: Registry, chain: tuple[Path, ...]) -> Config:
    file = ConfigFile.read(path)
    if file.table is None:
        raise ConfigError(f"{file.name}: has no [tool.fuseguard]. Add one, or name another file.")
    _check_keys(file)
    try:
        table = msgspec.convert(file.table, _Table)
    except msgspec.ValidationError as error:
        raise file.invalid(error) from error
    base = Config()
    chain = (*chain, path.resolve())
    for number, parent in enumerate(_strings(table.extend) or ()):
        where = (path.parent / parent).resolve()
        key = ("extend", number)
        if where in chain:
            raise file.error(key, f"{parent!r} leads back to {displayed(where)}, which extends this file.")
        if not where.is_file():
            raise file.error(key, f"there is no file {parent!r}; the path is taken from the folder of {file.name}.")
        base = _load(where, registry, chain).over(base)
    return _config(file, table, registry).over(base)


def _check_keys(file: ConfigFile) -> None:
    """Unknown keys, before anything else: msgspec names neither the line nor what was meant."""
    if not file.root and "fuseguard" in str((file.table or {}).get("tool")):
        raise file.error(
            ("tool",), f"settings in a {file.path.name} have no [tool.fuseguard] prefix; remove it from the headings."
        )
    file.check_keys((), file.table or {}, _names(_Table))
    entries = (file.table or {}).get("suppressions")
    for number, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            file.check_keys(("suppressions", number), entry, _names(_Suppression))


def _names(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    return struct.__struct_encode_fields__


def _config(file: ConfigFile, table: _Table, registry: Registry) -> Config:
    targets, releases = _strings(table.target), _strings(table.executorch)
    for key, listed in (("target", table.target), ("executorch", table.executorch), ("select", table.select)):
        if listed == []:
            raise file.error((key,), "is empty; name at least one, or leave the key out.")
    for key, values in (("target", targets), ("executorch", releases)):
        for number, value in enumerate(values or ()):
            try:
                matrix(*([value], []) if key == "target" else ([], [value]))
            except TargetError as error:
                raise file.error((key, number), str(error)) from error
    levels = [severity.value for severity in Severity]
    severities = {
        key: Severity(file.choice(("severity", key), value, levels)) for key, value in (table.severity or {}).items()
    }
    _check_selectors(file, table, registry)
    return Config(
        files=(file.path,),
        targets=targets,
        releases=releases,
        policy=None if table.policy is None else file.choice(("policy",), table.policy, POLICIES),
        select=None if table.select is None else tuple(table.select),
        ignore=None if table.ignore is None else tuple(table.ignore),
        severities=severities,
        fail_on=None if table.fail_on is None else Severity(file.choice(("fail-on",), table.fail_on, levels)),
        require_quantized=table.require_quantized,
        baseline=None if table.baseline is None else file.path.parent / table.baseline,
        allow_code=_allowed(file, table.allow_code),
        suppressions=_suppressions(file, table.suppressions or (), registry),
    )


def _allowed(file: ConfigFile, names: Sequence[str] | None) -> tuple[str, ...] | None:
    codes = []
    for number, name in enumerate(names or ()):
        try:
            codes.append(code_to_allow(name))
        except SelectorError as error:
            raise file.error(("allow-code", number), str(error)) from error
    return None if names is None else tuple(codes)


def _check_selectors(file: ConfigFile, table: _Table, registry: Registry) -> None:
    for key, selectors in (("select", table.select), ("ignore", table.ignore), ("severity", table.severity)):
        for place, selector in enumerate(selectors or ()):
            try:
                registry.check_selectors((selector,))
            except SelectorError as error:
                path = (key, selector if key == "severity" else place)
                raise file.error(path, str(error)) from error


def _suppressions(file: ConfigFile, entries: Sequence[_Suppression], registry: Registry) -> tuple[SuppressionRule, ...]:
    rules = []
    for number, entry in enumerate(entries):
        at: toml_lines.KeyPath = ("suppressions", number)
        line, text = file.line((*at, "rule"))
        kind = SuppressionKind(file.choice((*at, "kind"), entry.kind, ("ignore", "fixme")))
        try:
            rules.append(
                SuppressionRule(
                    # An empty name has to be refused as such, not as unknown.
                    rule=code_of(entry.rule, registry) if entry.rule.strip() else "",
                    reason=entry.reason,
                    module=entry.module,
                    op=entry.op,
                    node=entry.node,
                    file=entry.file,
                    kind=kind,
                    until=entry.until,
                    origin=SourceLine(file.name, line, "", text),
                )
            )
        except SuppressionError as error:
            raise file.error((*at, error.key), f"this suppression {error}") from error
    return tuple(rules)


def _strings(value: Any) -> tuple[str, ...] | None:
    """One or several, as the user wrote it."""
    if value is None:
        return None
    return (value,) if isinstance(value, str) else tuple(value)
