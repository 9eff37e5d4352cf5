"""Who uses a module of ``fuseguard.backend``, read from the imports, and how its docstring says so."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import fuseguard
import fuseguard_rules
from fuseguard.engine import program_rules
from fuseguard.engine.housekeeping import HousekeepingRule

BACKEND = Path(fuseguard.__file__).parent / "backend"
PROGRAM = Path(fuseguard.__file__).parent / "gate" / "program.py"
RULES = Path(fuseguard_rules.__file__).parent
#: No model of a pass: what every model uses, and the lists, on which models depend by a test.
INFRASTRUCTURE = frozenset(("__init__", "per_view", "releases", "op_set"))
LISTS = frozenset(("op_sets", "op_sets_edge", "op_sets_passes", "op_sets_quantizer", "op_sets_support"))


def models() -> list[Path]:
    """The modules of the backend that model a pass or a decision."""
    return sorted(path for path in BACKEND.glob("*.py") if path.stem not in INFRASTRUCTURE | LISTS)


def sentence_on_users(module: str) -> str:
    """``Rules that depend on it: FU101, FU102, and those of value_range.``"""
    rules, others = _users()[module]
    parts = [", ".join(sorted(rules))] if rules else []
    if others:
        parts.append(("and " if rules else "") + "those of " + " and ".join(sorted(others)))
    return f"Rules that depend on it: {', '.join(parts)}."


@cache
def _users() -> dict[str, tuple[set[str], set[str]]]:
    """By module: the codes of the rules and the names of the backend's models that import it."""
    users: dict[str, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    for path in RULES.glob("*/*.py"):
        code = re.match(r"[a-z]{2}\d{3}(?=_)", path.name)
        for module in _imports(path) if code else ():
            users[module][0].add(code[0].upper() if code else "")
    for module, codes in _codes_of_programs().items():
        users[module][0].update(codes)
    for path in models():
        for module in _imports(path):
            users[module][1].add(path.stem)
    return users


def _codes_of_programs() -> dict[str, set[str]]:
    """By module: the PG codes that loops of the gate over what it found yield. They have no file of their own."""
    tree = ast.parse(PROGRAM.read_text(encoding="utf-8"))
    modules = {
        alias.name: node.module.split(".")[2]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("fuseguard.backend.")
        for alias in node.names
    }
    codes = {name: rule.code for name, rule in vars(program_rules).items() if isinstance(rule, HousekeepingRule)}
    users: dict[str, set[str]] = defaultdict(set)
    for loop in (node for node in ast.walk(tree) if isinstance(node, ast.For)):  # over what a model found
        named = {node.id for node in ast.walk(loop) if isinstance(node, ast.Name)}
        for name in named & modules.keys():
            users[modules[name]] |= {codes[constant] for constant in named & codes.keys()}
    return users


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "fuseguard.backend":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("fuseguard.backend."):
            found.add(node.module.split(".")[2])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[2] for alias in node.names if alias.name.startswith("fuseguard.backend.")}
    return found
