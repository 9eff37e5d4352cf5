"""The docstring of each model of the backend names what it models, the releases that were read, and the rules that
depend on it. A person who adds a release looks there for what a changed pass concerns.
"""

from __future__ import annotations

import ast
import re
from importlib import metadata
from pathlib import Path

import pytest

from fuseguard.target import MEASURED_RELEASES
from fuseguard_testkit.backend_users import LISTS, models, sentence_on_users


@pytest.mark.parametrize("path", models(), ids=lambda path: path.stem)
def test_the_docstring_names_source_releases_and_rules(path: Path) -> None:
    text = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split())
    assert re.search(r"Sources?: .*``\w+", text), "name the pass or the symbol that was read, after `Source:`"
    assert re.search(r"\b1\.\d\.\d\b", text), "name the releases whose source was read"
    expected = sentence_on_users(path.stem)
    assert text.endswith(expected), f"the docstring ends with: {expected}"


def test_every_model_is_used_by_a_rule() -> None:
    assert {path.stem for path in models()} & LISTS == set()
    unused = [path.stem for path in models() if sentence_on_users(path.stem) == "Rules that depend on it: ."]
    assert unused == []


@pytest.mark.torch
def test_the_passes_that_docstrings_name_exist() -> None:
    """Passes come and go, so this runs with the newest measured release only."""
    arm = pytest.importorskip("executorch.backends.arm")
    if metadata.version("executorch") != MEASURED_RELEASES[-1]:
        pytest.skip("docstrings name passes of the newest measured release")
    (folder,) = arm.__path__
    source = "".join(path.read_text(encoding="utf-8") for path in Path(folder).rglob("*.py"))
    for path in models():
        named = re.findall(r"``(\w+Pass)\b", ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")
        assert [name for name in named if f"class {name}(" not in source] == [], path.stem
