"""The layers of the design: which package may import which, and that a file is checked without torch.

Everything here is read from the source, so that an import inside a function or for type checking counts as well.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import networkx as nx
import pytest

import fuseguard
import fuseguard_rules

VERIFIER = Path(fuseguard.__file__).parent
RULES = Path(fuseguard_rules.__file__).parent
TESTS = Path(__file__).parents[1]

#: Every package and top-level module of fuseguard, lowest first. Each may import itself and what stands before it.
LAYERS = (
    "installed", "ranges", "ir", "measured", "target", "engine", "backend", "readers", "gate", "executorch", "schemas",
    "report", "cache", "sweep", "api", "model_explorer", "testing", "pytest_plugin", "samples", "cli", "__main__",
)  # fmt: skip
#: Left out of the layers: fuseguard/__init__.py offers names of all of them, and imports each when asked for it.
ROOT = "__init__"

#: What a rule may import.
RULES_MAY_IMPORT = {"ir", "target", "engine", "backend"}

#: The places outside of executorch/ that import torch, which a caller with a live program has.
TORCH_FILES = {"readers/fx.py"}

#: Outside of the backend, effects tables alone ask whether the target's release is in a range, that of announced
#: effects among them. The rest defines the question.
MAY_ASK_FOR_RELEASES = {"engine/effects.py", "ranges.py", "target.py"}
#: What of ``fuseguard.ranges`` asks the same.
ASKS_FOR_RANGE = {f"fuseguard.ranges.{name}" for name in ("bounds", "in_range", "specifiers")}
#: The same question about the examples that show the rows of an effects table.
ASKED_BY_EXAMPLES = "fuseguard.engine.effects.is_in_force"
#: A range as in PEP 440.
RANGE = re.compile(r"\s*(?:[<>]=?|[=!~]=)\s*\d+\.\d+")


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def imports(path: Path) -> set[str]:
    """Every module, and every name of a module, that a file imports anywhere."""
    return set(_imported(ast.parse(path.read_text(encoding="utf-8"))))


def package_of(path: Path) -> str:
    return path.relative_to(VERIFIER).parts[0].removesuffix(".py")


def files() -> list[Path]:
    return sorted(VERIFIER.rglob("*.py"))


def test_every_package_has_a_layer() -> None:
    assert {package_of(path) for path in files()} == {*LAYERS, ROOT}


@pytest.mark.parametrize("package", LAYERS)
def test_a_package_imports_only_what_is_below_it(package: str) -> None:
    below = set(LAYERS[: LAYERS.index(package) + 1])
    for path in files():
        if package_of(path) != package:
            continue
        for module in imports(path):
            top, _, rest = module.partition(".")
            assert top != "fuseguard_rules", f"{path.name} imports {module}: rules are found by their entry point"
            if top == "fuseguard" and rest and rest.split(".")[0] in LAYERS:
                assert rest.split(".")[0] in below, f"{path.relative_to(VERIFIER)} imports {module}"


def test_no_two_modules_import_each_other() -> None:
    """Imports for type checking are left out: they are no dependency when the program runs."""
    edges: nx.DiGraph[str] = nx.DiGraph()
    for root in (VERIFIER, RULES):
        names = {".".join(path.relative_to(root.parent).with_suffix("").parts): path for path in root.rglob("*.py")}
        for name, path in names.items():
            tree = _without_type_checking(ast.parse(path.read_text(encoding="utf-8")))
            edges.add_edges_from((name, module) for module in _imported(tree) if module in names and module != name)
    assert not list(nx.simple_cycles(edges))


class _WithoutTypeChecking(ast.NodeTransformer):
    def visit_If(self, node: ast.If) -> ast.AST | None:
        names = (part.id for part in ast.walk(node.test) if isinstance(part, ast.Name))
        return None if "TYPE_CHECKING" in names else self.generic_visit(node)


def _without_type_checking(tree: ast.AST) -> ast.AST:
    return _WithoutTypeChecking().visit(tree)


def rule_files() -> list[Path]:
    return sorted(path for path in RULES.rglob("*.py") if path.stem[:2].isalpha() and path.stem[2:5].isdigit())


def test_rule_files_are_named_after_the_rule_in_them(registry: fuseguard.engine.Registry) -> None:
    own = next(pack for pack in registry.packs if pack.name == "fuseguard")
    expected = {f"{rule.code.lower()}_{rule.name.replace('-', '_')}" for rule in own.rules}
    assert {path.stem for path in rule_files() if "examples" not in path.parts} == expected


def test_rules_import_the_layers_below_and_examples_and_no_other_rule() -> None:
    rules = {path.stem for path in rule_files() if "examples" not in path.parts}
    for path in RULES.rglob("*.py"):
        if path == RULES / "__init__.py":
            continue  # it lists the rules
        for module in imports(path):
            parts = module.split(".")
            if parts[0] == "fuseguard" and len(parts) > 1:
                assert parts[1] in RULES_MAY_IMPORT, f"{path.name} imports {module}"
            if parts[0] == "fuseguard_rules":
                assert not rules.intersection(parts), f"{path.name} imports the rule {module}"
                assert "examples" in parts, f"{path.name} imports {module}, which is neither a layer nor an example"


def test_examples_import_no_backend_model() -> None:
    """An example that is built with the model under test would agree with it whatever it says."""
    for path in (RULES / "examples").rglob("*.py"):
        assert not [module for module in imports(path) if module.startswith("fuseguard.backend")], path.name


def test_only_the_backend_and_effects_tables_ask_for_releases() -> None:
    for root in (VERIFIER, RULES):
        for path in root.rglob("*.py"):
            relative = path.relative_to(root).as_posix()
            if relative.startswith("backend/") or relative in MAY_ASK_FOR_RELEASES:
                continue
            tree = ast.parse(path.read_text(encoding="utf-8"))
            names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            assert "release_in" not in names, f"{relative} asks for a range of releases"
            asked = {*ASKS_FOR_RANGE, *([] if relative == "engine/rule.py" else [ASKED_BY_EXAMPLES])}
            assert not asked.intersection(_imported(tree)), f"{relative} asks for a range of releases"


def test_a_rule_names_releases_only_in_its_effects_table() -> None:
    """Messages and explanations, which are prose, may name them; what a rule decides must not depend on it."""
    for path in rule_files():
        if "examples" in path.parts:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        table = [node for call in ast.walk(tree) if _calls(call, "EffectsTable") for node in ast.walk(call)]
        named = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and node not in table]
        assert not [text for text in named if isinstance(text, str) and RANGE.match(text)], path.name
        message = [
            keyword.value
            for call in ast.walk(tree)
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "finding"
            for keyword in call.keywords
            if keyword.arg == "release"
        ]
        asked = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "release"]
        assert [node for node in asked if node not in message] == [], f"{path.name} decides by the release"


def _calls(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def test_the_ir_names_no_release_and_no_pass() -> None:
    for path in (VERIFIER / "ir").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "release" not in text.lower(), path.name
        assert not re.findall(r"\w+Pass\b", text), path.name


def test_torch_is_imported_only_where_it_belongs() -> None:
    for path in files():
        relative = path.relative_to(VERIFIER).as_posix()
        if relative.startswith("executorch/") or relative in TORCH_FILES:
            continue
        tree = _without_type_checking(ast.parse(path.read_text(encoding="utf-8")))
        top_level = {module.split(".")[0] for module in _imported(tree)}
        allowed = {"torch", "numpy"} if relative.startswith("cli/prove") else set()
        assert not (top_level & {"torch", "executorch", "torchao", "numpy"}) - allowed, relative


def test_importing_fuseguard_and_its_rules_imports_no_torch() -> None:
    code = (
        "import sys, fuseguard; from fuseguard.engine import load_registry; load_registry(); "
        "print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_files_stay_under_400_lines() -> None:
    for path in [*VERIFIER.rglob("*.py"), *RULES.rglob("*.py")]:
        assert len(path.read_text(encoding="utf-8").splitlines()) < 400, path.name


def test_test_modules_have_names_of_their_own() -> None:
    """pytest imports the modules of folders that are no packages by their names alone, and refuses the second one."""
    names = Counter(path.name for path in TESTS.rglob("test_*.py"))
    assert [name for name, times in names.items() if times > 1] == []
