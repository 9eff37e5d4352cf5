"""The bug reports in examples/upstream: each can be run without fuseguard, and says what was seen and where.

Protects: scripts that an upstream maintainer cannot run, and an index that names others than there are.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fuseguard.engine import Registry
from fuseguard.target import Target
from fuseguard_testkit.paths import ROOT

FOLDER = ROOT / "examples" / "upstream"
SCRIPTS = sorted(FOLDER.glob("*.py"))
#: What a maintainer has installed. tosa_reference_model is in the package tosa-tools, as the scripts say.
PACKAGES = {"torch", "executorch", "tosa_reference_model"}
#: One that computes something else.
SHOWN = FOLDER / "dt503_interpolated.py"


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) >= 22
    assert SHOWN in SCRIPTS


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_compiles_and_imports_no_more_than_it_says(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    compile(tree, path.name, "exec")
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip
    assert imported - set(sys.stdlib_module_names) <= PACKAGES
    said = ast.get_docstring(tree) or ""
    assert re.search(r"Seen with executorch \d", said)
    assert "ExecuTorch releases: " in said
    assert re.search(r"^    \S", said, re.MULTILINE), "what was seen"


def test_the_index_lists_all_scripts(registry: Registry) -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \[(\S+)\]", text, re.MULTILINE) == sorted(path.name for path in SCRIPTS)
    assert set(re.findall(r"rules/(\w+)\.md", text)) <= {rule.code for rule in registry.rules}


@pytest.mark.torch
@pytest.mark.slow
def test_a_script_shows_what_it_says() -> None:
    pytest.importorskip("tosa_reference_model")
    if not Target.parse("TOSA-1.0+INT").release_in("==1.5.1"):
        pytest.skip("it was written for 1.5.1")
    done = subprocess.run([sys.executable, str(SHOWN)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 1, done.stderr
    (found,) = re.findall(r"expected (\S+), actual (\S+)$", done.stdout, re.MULTILINE)
    said = ast.get_docstring(ast.parse(SHOWN.read_text(encoding="utf-8"))) or ""
    assert f"expected {found[0]}, actual {found[1]}" in said
