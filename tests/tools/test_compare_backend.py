"""The comparison of two backends by their sources, on packages of a few lines each.

Protects: a changed pass that is not named, and noise (comments, other files' layout) that hides one.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend_source import read_backend
from compare_backend import Comparison, compare, compare_installed, main, render

ARM = "executorch/backends/arm"
FILES = {
    f"{ARM}/__init__.py": "",
    f"{ARM}/_passes/__init__.py": "from .arm_pass import ArmPass\n",
    f"{ARM}/_passes/arm_pass.py": """
from executorch.exir.pass_base import ExportPass

class ArmPass(ExportPass):
    pass
""",
    f"{ARM}/_passes/helpers.py": "def fold(node):\n    return node\n\ndef other(node):\n    return None\n",
    f"{ARM}/_passes/fold_pass.py": '''
from executorch.backends.arm._passes import ArmPass
from executorch.backends.arm._passes.helpers import fold
from executorch.backends.arm._passes.table_pass import TablePass


class FoldPass(ArmPass):
    """Folds."""

    _passes_required_after = {TablePass}

    def call(self, graph):
        return fold(graph)  # as it is
''',
    f"{ARM}/_passes/table_pass.py": """
from executorch.backends.arm._passes import ArmPass
from executorch.exir.dialects._ops import ops as exir_ops

_SPECIAL = {exir_ops.edge.aten.pow.Tensor_Scalar}


class TablePass(ArmPass):
    table_ops = {exir_ops.edge.aten.tanh.default: 1, exir_ops.edge.aten.exp.default: 2}
    targets = frozenset({exir_ops.edge.aten.abs.default}) | _SPECIAL

    def call(self, graph):
        for node in graph:
            names = ["a", "b"]
            if node.target in (exir_ops.edge.aten.relu.default,):
                return names
""",
    f"{ARM}/_passes/arm_pass_manager.py": """
from executorch.backends.arm._passes.fold_pass import FoldPass
from executorch.backends.arm._passes.table_pass import TablePass


class ArmPassManager:
    def pipeline(self, program):
        self.add_passes([FoldPass(), TablePass(program)])
        if self.spec.support_float():
            self.add_pass(FoldPass(tfa_pass=True))
""",
    "executorch/__init__.py": "",
    "executorch/exir/__init__.py": "",
    "executorch/exir/pass_base.py": "class ExportPass:\n    pass\n\ndef never_used():\n    return 1\n",
}
FOLD = f"{ARM}/_passes/fold_pass.py"
TABLE = f"{ARM}/_passes/table_pass.py"
MANAGER = f"{ARM}/_passes/arm_pass_manager.py"
HELPERS = f"{ARM}/_passes/helpers.py"


def install(folder: Path, **edits: tuple[str, str]) -> Path:
    """A directory of packages. Each edit replaces one text by another in a file, named by the constants above."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, (before, after) in edits.items():
        path = folder / globals()[name]
        assert before in path.read_text()
        path.write_text(path.read_text().replace(before, after))
    return folder


def differ(tmp_path: Path, **edits: tuple[str, str]) -> Comparison:
    return compare(read_backend(install(tmp_path / "old")), read_backend(install(tmp_path / "new", **edits)))


def named(comparison: Comparison) -> list[str]:
    return [f"{change.how} {change.name}" for change in comparison.changes]


def test_comments_docstrings_and_layout_are_no_difference(tmp_path: Path) -> None:
    found = differ(
        tmp_path,
        FOLD=('"""Folds."""', '"""Folds, as\n    it always did."""'),
        HELPERS=("    return node\n", "    # nothing to do\n    return (\n        node\n    )\n"),
    )
    assert found == Comparison((), (), (), {})


def test_a_changed_pass_is_named_with_the_operators_that_it_gained(tmp_path: Path) -> None:
    found = differ(tmp_path, TABLE=("exir_ops.edge.aten.relu.default,", "exir_ops.edge.aten.hardtanh.default,"))
    (change,) = found.changes
    assert (change.how, change.name, change.file) == ("changed", "TablePass", "_passes/table_pass.py")
    assert change.is_pass
    assert (change.operators_added, change.operators_removed) == (("aten.hardtanh.default",), ("aten.relu.default",))
    assert not found.lists, "a tuple in an expression has no name"


def test_passes_added_removed_and_moved_to_another_file(tmp_path: Path) -> None:
    old, new = install(tmp_path / "old"), install(tmp_path / "new")
    (new / ARM / "_passes" / "extra.py").write_text(
        "from executorch.backends.arm._passes import ArmPass\nclass ExtraPass(ArmPass):\n    x = 1\n"
    )
    (new / HELPERS).unlink()
    (new / ARM / "common.py").write_text((old / HELPERS).read_text())
    found = compare(read_backend(old), read_backend(new))
    assert named(found) == ["moved fold", "moved other", "added ExtraPass"]
    assert [change.name for change in found.passes()] == ["ExtraPass"]
    assert [(change.how, change.name) for change in compare(read_backend(new), read_backend(old)).passes()] == [
        ("removed", "ExtraPass")
    ]


def test_a_changed_helper_counts_for_the_pass_that_uses_it(tmp_path: Path) -> None:
    found = differ(tmp_path, HELPERS=("    return node\n", "    return node.args[0]\n"))
    assert named(found) == ["changed fold"]
    assert found.reached == {"executorch.backends.arm._passes.helpers:fold": ("FoldPass",)}


def test_a_helper_that_no_pass_uses_reaches_none(tmp_path: Path) -> None:
    assert differ(tmp_path, HELPERS=("    return None\n", "    return 1\n")).reached == {}


def test_a_base_class_reaches_its_passes_and_an_order_reaches_nothing(tmp_path: Path) -> None:
    changed = differ(tmp_path, TABLE=("table_ops =", "tables ="))
    assert changed.reached == {}, "FoldPass names TablePass, which it must run before"
    new = install(tmp_path / "base")
    (new / ARM / "_passes" / "arm_pass.py").write_text(
        FILES[f"{ARM}/_passes/arm_pass.py"].replace("    pass\n", "    strict = True\n")
    )
    found = compare(read_backend(tmp_path / "old"), read_backend(new))
    assert list(found.reached.values()) == [("FoldPass", "TablePass")]


def test_lists_are_compared_by_element(tmp_path: Path) -> None:
    found = differ(tmp_path, TABLE=("exir_ops.edge.aten.exp.default: 2", "exir_ops.edge.aten.log.default: 2"))
    (change,) = found.lists
    assert (change.path, change.added, change.removed) == (
        "TablePass.table_ops", ("aten.log.default",), ("aten.exp.default",)
    )  # fmt: skip
    (change,) = differ(tmp_path, TABLE=(" | _SPECIAL", " | {exir_ops.edge.aten.neg.default}")).lists
    assert (change.path, change.added, change.removed) == ("TablePass.targets", ("aten.neg.default",), ("*_SPECIAL",))


def test_the_order_of_a_list_and_the_values_of_a_dict_are_no_difference_of_the_list(tmp_path: Path) -> None:
    found = differ(tmp_path, TABLE=("default: 1", "default: 3"))
    assert named(found) == ["changed TablePass"]
    assert found.lists == ()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("FoldPass(), TablePass(program)", "TablePass(program), FoldPass()", [("moved", "TablePass")]),
        ("FoldPass(), ", "", [("removed", "FoldPass")]),
        ("[FoldPass()", "[NewPass(), FoldPass()", [("added", "NewPass")]),
        ("TablePass(program)", "TablePass(program, True)", [("arguments", "TablePass")]),
        ("support_float", "support_integer", [("arguments", "FoldPass")]),
    ],
)
def test_pipelines(tmp_path: Path, before: str, after: str, expected: list[tuple[str, str]]) -> None:
    found = differ(tmp_path, MANAGER=(before, after))
    assert [(change.how, change.name) for change in found.pipelines] == expected
    assert {change.pipeline for change in found.pipelines} == {"ArmPassManager.pipeline"}


def test_outside_of_the_backend_only_what_it_uses_counts(tmp_path: Path) -> None:
    old, new = install(tmp_path / "old"), install(tmp_path / "new")
    path = new / "executorch/exir/pass_base.py"
    path.write_text(path.read_text().replace("return 1", "return 2"))
    assert compare(read_backend(old), read_backend(new)).changes == ()
    path.write_text(path.read_text().replace("    pass", "    x = 1"))
    found = compare(read_backend(old), read_backend(new))
    assert [change.name for change in found.outside()] == ["ExportPass"]
    assert [change.file for change in found.outside()] == ["executorch/exir/pass_base.py"]


def test_rules_that_name_what_differs(tmp_path: Path) -> None:
    old, new = install(tmp_path / "old"), install(tmp_path / "new", TABLE=("default: 1", "default: 3"))
    write(
        tmp_path / "checkout",
        {
            "rules/fuseguard_rules/__init__.py": "",
            "rules/fuseguard_rules/fu101.py": 'class A:\n    code = "FU101"\n    why = "TablePass assumes it."\n',
            "rules/fuseguard_rules/qd201.py": (
                'from fuseguard.backend import table\nclass B:\n    code = "QD201"\n    why = "TablePasses"\n'
            ),
            "rules/fuseguard_rules/op701.py": (
                'from fuseguard.backend.chain import x\nclass C:\n    code = "OP701"\n    why = "FoldPass"\n'
            ),
            "verifier/fuseguard/backend/__init__.py": "from fuseguard.backend import table\n",
            "verifier/fuseguard/backend/table.py": '"""What TablePass does."""\n',
            "verifier/fuseguard/backend/chain.py": "from fuseguard.backend.table import y\n",
        },
    )
    comparison, found = compare_installed(old, new, tmp_path / "checkout")
    assert [(item.file, item.rules, item.direct) for item in found] == [
        ("rules/fuseguard_rules/fu101.py", ("FU101",), True),
        ("verifier/fuseguard/backend/table.py", ("OP701", "QD201"), False),
    ]
    assert found[0].names == (("TablePass", "changed"),)
    text = render(comparison, found, "1", "2")
    assert "FU101 names TablePass (changed)" in text
    assert "rules that import it: OP701, QD201" in text


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_versions_of_packages(tmp_path: Path) -> None:
    old, new = install(tmp_path / "old"), install(tmp_path / "new")
    for folder, version in ((old, "2026.5.0"), (new, "2026.8.0")):
        metadata = f"Metadata-Version: 2.1\nName: tosa_tools\nVersion: {version}\n"
        write(folder, {f"tosa_tools-{version}.dist-info/METADATA": metadata})
    comparison, _ = compare_installed(old, new, tmp_path)
    assert comparison.packages == {"tosa-tools": ("2026.5.0", "2026.8.0")}


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = install(tmp_path / "old"), install(tmp_path / "new", TABLE=("default: 1", "default: 3"))
    assert main([str(old), str(new), "--json"]) == 0
    assert [change["name"] for change in json.loads(capsys.readouterr().out)["changes"]] == ["TablePass"]
    assert main([str(old), str(new), "--show", "TablePass"]) == 0
    shown = capsys.readouterr().out
    assert "-    table_ops = {exir_ops.edge.aten.tanh.default: 1" in shown
    assert "+    table_ops = {exir_ops.edge.aten.tanh.default: 3" in shown
    assert main(["0.0.1", str(new)]) == 1
    assert "no constraints/executorch-0.0.1.txt" in capsys.readouterr().err
