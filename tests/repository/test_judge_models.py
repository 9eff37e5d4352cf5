"""The judge says openly where it relies on the rules' own models of the backend. Read from the source, without torch.

Protects: a verdict that rests on the very model that it should test, and nobody knows.
"""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import fuseguard

EXECUTORCH = Path(fuseguard.__file__).parent / "executorch"
ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"
_MODEL = re.compile(r"fuseguard\.backend\.\w+\.\w+")


def own_imports(module: str) -> set[str]:
    """The modules of executorch/ and its packages that one of them imports, as ``lockstep/cells``."""
    tree = ast.parse((EXECUTORCH / f"{module}.py").read_text(encoding="utf-8"))
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    packages = {f"fuseguard.executorch.{path.name}" for path in EXECUTORCH.iterdir() if path.is_dir()}
    names = {node.module for node in imported if node.module not in packages}
    names |= {f"{node.module}.{alias.name}" for node in imported if node.module in packages for alias in node.names}
    inside = (name.removeprefix("fuseguard.executorch.") for name in names if name.startswith("fuseguard.executorch."))
    return {name.replace(".", "/") for name in inside}


def modules_of_the_judge() -> set[str]:
    """judge.py and all that it is made of; the guard, which it may be told to use, is not."""
    found: set[str] = set()
    pending = {"judge"}
    while pending:
        module = pending.pop()
        found.add(module)
        pending |= own_imports(module) - found - {"partition"}
    return found


def shared_models() -> set[str]:
    """The symbols of fuseguard.backend that the judge imports."""
    models = set()
    for module in modules_of_the_judge():
        for node in ast.walk(ast.parse((EXECUTORCH / f"{module}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fuseguard.backend"):
                models |= {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                assert not [alias.name for alias in node.names if alias.name.startswith("fuseguard.backend")], module
    return models


def the_judge() -> str:
    """The section of docs/architecture.md."""
    text = ARCHITECTURE.read_text(encoding="utf-8")
    return text.partition("\n## The judge\n")[2].partition("\n## ")[0]


def test_the_judge_is_made_of_what_it_says() -> None:
    assert {"judge", "explaining", "explanations", "comparing", "float64", "outputs"} <= modules_of_the_judge()
    assert len(shared_models()) >= 4


def test_every_model_that_the_judge_shares_with_rules_is_told() -> None:
    assert set(_MODEL.findall(the_judge())) == shared_models()


def test_the_models_that_are_told_are_there() -> None:
    for name in _MODEL.findall(the_judge()):
        module, _, symbol = name.rpartition(".")
        assert getattr(importlib.import_module(module), symbol).__module__ == module, name
