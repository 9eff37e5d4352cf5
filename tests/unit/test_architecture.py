"""The arrows of the design: who may import whom, and that a file is checked without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fuseguard
import fuseguard_rules

VERIFIER = Path(fuseguard.__file__).parent
RULES = Path(fuseguard_rules.__file__).parent
TORCH_FILES = {"readers/fx.py"}

#: folder -> what of fuseguard it may import ("" is the package's own top-level modules)
MAY_IMPORT = {
    "ir": {"ir"},
    "engine": {"ir", "engine", "target"},
    "readers": {"ir", "readers"},
    "report": {"ir", "engine", "target", "report", "readers"},
}


def imports(path: Path) -> set[str]:
    """Every module a file imports anywhere, late imports included, type-checking ones left out."""
    found: set[str] = set()

    class Visitor(ast.NodeVisitor):
        def visit_If(self, node: ast.If) -> None:
            if "TYPE_CHECKING" not in ast.unparse(node.test):
                self.generic_visit(node)

        def visit_Import(self, node: ast.Import) -> None:
            found.update(alias.name for alias in node.names)

        def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
            found.add(node.module or "")

    Visitor().visit(ast.parse(path.read_text()))
    return found


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_arrows_inside_the_verifier(folder: str) -> None:
    for path in (VERIFIER / folder).rglob("*.py"):
        for module in imports(path):
            if module.startswith("fuseguard."):
                assert module.split(".")[1] in MAY_IMPORT[folder], f"{path.name} imports {module}"
            assert not module.startswith("fuseguard_rules"), f"{path.name} imports {module}"


def test_rules_know_only_ir_engine_and_target() -> None:
    for path in RULES.rglob("*.py"):
        for module in imports(path):
            if module.startswith("fuseguard."):
                assert module.split(".")[1] in {"ir", "engine", "target"}, f"{path.name} imports {module}"


def test_torch_is_imported_only_where_it_belongs() -> None:
    for path in VERIFIER.rglob("*.py"):
        relative = path.relative_to(VERIFIER).as_posix()
        if relative.startswith("executorch/") or relative in TORCH_FILES:
            continue
        top_level = {module.split(".")[0] for module in imports(path)}
        allowed = {"torch", "numpy"} if relative == "cli/prove.py" or relative.startswith("cli/prove") else set()
        assert not (top_level & {"torch", "executorch", "torchao", "numpy"}) - allowed, relative


def test_importing_fuseguard_and_its_rules_imports_no_torch() -> None:
    code = (
        "import sys, fuseguard; from fuseguard.engine import load_registry; load_registry(); "
        "print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_engine_files_stay_under_400_lines() -> None:
    for path in [*VERIFIER.rglob("*.py"), *RULES.rglob("*.py")]:
        assert len(path.read_text().splitlines()) < 400, path.name
