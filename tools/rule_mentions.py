"""Finds the rules of this checkout that name something of the backend, such as a pass.

A rule names it anywhere in its own file: in ``why``, in a reference of its effects table, in a comment. A module
that holds no rule (a model of a pass) counts for the rules that import it, directly or through other modules.

Needs only the standard library.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

#: Directories of the checkout that hold rules and what they know of the backend, with the root of their imports.
SOURCES = (("rules", "fuseguard_rules"), ("verifier", "fuseguard"))

#: Shorter names are words of everyday language.
SHORTEST = 6

#: How many codes a line of text lists before it says how many more there are.
SHOWN = 12


@dataclass(frozen=True)
class Mention:
    """One file that names something that differs. ``rules`` are the codes in it, or of the rules that import it."""

    file: str
    rules: tuple[str, ...]
    direct: bool
    names: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        named = ", ".join(f"{name} ({how})" for name, how in self.names)
        if self.direct:
            return f"{', '.join(self.rules)} names {named}"
        more = f" and {len(self.rules) - SHOWN} more" if len(self.rules) > SHOWN else ""
        return f"{self.file} names {named}; rules that import it: {', '.join(self.rules[:SHOWN]) or 'none'}{more}"


@dataclass(frozen=True)
class _Source:
    path: Path
    text: str
    codes: tuple[str, ...]
    imports: frozenset[str]


def mentions(checkout: Path, names: Mapping[str, str]) -> tuple[Mention, ...]:
    """The files that name one of ``names`` (name -> how it differs): those of rules first."""
    sources = _read(checkout)
    pattern = re.compile(r"\b(" + "|".join(sorted(map(re.escape, _distinct(names)))) + r")\b")
    found = []
    for module, source in sources.items():
        hits = sorted(set(pattern.findall(source.text))) if _distinct(names) else []
        if hits:
            rules = source.codes or _importers(module, sources)
            named = tuple((name, names[name]) for name in hits)
            found.append(Mention(str(source.path.relative_to(checkout)), rules, bool(source.codes), named))
    return tuple(sorted(found, key=lambda mention: (not mention.direct, mention.rules * mention.direct, mention.file)))


def _distinct(names: Iterable[str]) -> list[str]:
    """Those that are no words of everyday language or names of operators: ``TableOps``, ``DQ_OPS``, ``to_2tuple``."""
    mixed = (name for name in names if name.upper() != name and name.lower() != name)
    return [name for name in (*mixed, *(n for n in names if "_" in n.strip("_"))) if len(name) >= SHORTEST]


def _read(checkout: Path) -> dict[str, _Source]:
    sources = {}
    for folder, package in SOURCES:
        root = checkout / folder
        for path in sorted((root / package).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            tree = ast.parse(text)
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            sources[name] = _Source(path, text, tuple(_codes(tree)), frozenset(_imports(tree)))
    return sources


def _codes(tree: ast.Module) -> Iterable[str]:
    """The codes of the rules that a module defines: classes with ``code = "FU101"``."""
    for line in (line for node in tree.body if isinstance(node, ast.ClassDef) for line in node.body):
        if isinstance(line, ast.Assign) and [ast.unparse(target) for target in line.targets] == ["code"]:
            code = line.value.value if isinstance(line.value, ast.Constant) else ""
            if re.fullmatch(r"[A-Z]{2}\d{3}", str(code)):
                yield str(code)


def _imports(tree: ast.Module) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _importers(module: str, sources: Mapping[str, _Source]) -> tuple[str, ...]:
    """The codes of the rules that import a module, directly or through modules that hold no rule."""
    seen, waiting = {module}, [module]
    codes: set[str] = set()
    while waiting:
        imported = waiting.pop()
        for name, source in sources.items():
            if imported in source.imports and name not in seen:
                seen.add(name)
                codes.update(source.codes)
                # A package only collects names: who imports it need not use this one.
                if not source.codes and source.path.name != "__init__.py":
                    waiting.append(name)
    return tuple(sorted(codes))
