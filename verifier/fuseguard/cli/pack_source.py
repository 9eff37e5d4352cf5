"""Finds the rule pack that a user names: an installed one, a module, a directory or a file."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from fuseguard.cli import exits
from fuseguard.engine.registry import Registry, RulePack, RulePackError, make_pack
from fuseguard.engine.rule import Rule


def find_pack(name: str, installed: Registry) -> RulePack:
    """The pack called ``name``: an installed one, ``module`` or ``module:object``, or a path.

    Imports it, and so runs its code. Raises Failure if there is none, RulePackError if it is broken.
    """
    for pack in installed.packs:
        if pack.name == name:
            return pack
    source = _from_path(Path(name)) if _is_path(name) else _from_module(name, installed)
    return make_pack(name, "not installed", source)


def rules_beside(pack: RulePack, installed: Registry) -> tuple[Rule, ...]:
    """The rules that run by default once ``pack`` is installed: its own and those of the other packs."""
    ours = {key for rule in pack.rules for key in (rule.code, rule.name)}
    others = [rule for rule in installed.rules if rule.code not in ours and rule.name not in ours]
    return tuple(rule for rule in (*others, *pack.rules) if not rule.preview)


def _is_path(name: str) -> bool:
    return os.sep in name or name.endswith(".py") or (Path(name).is_dir() and not name.isidentifier())


def _from_path(path: Path) -> ModuleType:
    if not path.exists():
        raise exits.Failure(f"{path}: there is no such file or directory.")
    path = path.resolve()
    if path.is_dir() and not (path / "__init__.py").is_file():
        raise exits.Failure(f"{path} has no __init__.py, which is where a rule pack states INTERFACE and RULES.")
    names = [path.stem if path.is_file() else path.name]
    parent = path.parent
    while (parent / "__init__.py").is_file():  # a package inside a package imports by its full name
        names.insert(0, parent.name)
        parent = parent.parent
    module = _import(".".join(names), parent)
    found = Path(module.__file__ or "").resolve()
    if found != path and found.parent != path:
        raise exits.Failure(
            f"{path}: importing {module.__name__!r} gives {found} instead. Another module has this name; rename yours."
        )
    return module


def _from_module(name: str, installed: Registry) -> Any:
    module_name, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise exits.Failure(_unknown(name, installed))
    try:
        module = _import(module_name, Path.cwd())
    except ModuleNotFoundError as error:
        raise exits.Failure(_unknown(name, installed)) from error
    if attribute and not hasattr(module, attribute):
        raise exits.Failure(
            f"module {module_name!r} has no {attribute!r}. {exits.nearest(attribute, dir(module))}".rstrip()
        )
    return getattr(module, attribute) if attribute else module


def _import(name: str, root: Path) -> ModuleType:
    """Import ``name`` with ``root`` first on the path.

    Raises ModuleNotFoundError if there is none, and RulePackError for whatever goes wrong in it.
    """
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # whatever a third party's module does
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            raise  # the module itself, not something that it imports
        raise RulePackError(f"rule pack {name!r} failed to import: {type(error).__name__}: {error}.") from error


def _unknown(name: str, installed: Registry) -> str:
    known: Sequence[str] = [pack.name for pack in installed.packs]
    hint = exits.nearest(name, known)
    return (
        f"{name!r} is neither an installed rule pack nor a module that can be imported. "
        f"{hint + ' ' if hint else ''}Installed are {', '.join(known)}; for rules that are not, give their directory "
        f"or file, as in ./my_rules."
    )
