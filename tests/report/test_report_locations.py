"""Where in a checkout a finding is: the user's own line below the source root, and never a path of another machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseguard.engine import Effect, Severity
from fuseguard.engine.finding import Outcome
from fuseguard.ir.graph import SourceLine
from fuseguard.report import markdown
from fuseguard.report.lines import plain
from fuseguard.report.locations import Location, Locator, shown_place
from fuseguard.report.options import Options
from fuseguard.report.text import render
from fuseguard.target import Target
from fuseguard_testkit.report_fakes import finding, of

CODE = "y = relu(conv(x))"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with a model, and a virtual environment in it."""
    (tmp_path / "src/nets").mkdir(parents=True)
    (tmp_path / "src/nets/model.py").write_text(f"\n\ndef forward(self, x):\n    {CODE}\n")
    packages = tmp_path / ".venv/lib/python3.11/site-packages/torch/nn"
    packages.mkdir(parents=True)
    (packages / "conv.py").write_text("\n" * 600)
    return tmp_path


def at(root: Path, *stack: SourceLine) -> Location:
    return Locator(root).locate(finding(stack=stack, source=stack[-1] if stack else None, file="out/m.pt2"))


@pytest.mark.parametrize(
    "file",
    [
        "{root}/src/nets/model.py",
        "/home/runner/work/project/src/nets/model.py",
        "C:\\Users\\me\\project\\src\\nets\\model.py",
        "src/nets/model.py",
        "./src/nets/model.py",
    ],
)
def test_the_line_is_found_wherever_the_program_was_exported(root: Path, file: str) -> None:
    line = SourceLine(file.format(root=root), 4, "forward", CODE)
    assert at(root, line) == Location("src/nets/model.py", 4, 5, 5 + len(CODE))


def test_a_line_that_moved_since_the_export_is_found_by_its_text(root: Path) -> None:
    """An alert belongs where the line is in the commit that is checked. Of several the nearest is meant."""
    moved = SourceLine("src/nets/model.py", 2, "forward", CODE)
    assert at(root, moved) == Location("src/nets/model.py", 4, 5, 5 + len(CODE))
    path = root / "src/nets/model.py"
    path.write_text(f"{CODE}\n" + "\n" * 40 + f"  {CODE}\n")
    assert at(root, moved) == Location("src/nets/model.py", 1, 1, 1 + len(CODE))
    assert at(root, SourceLine("src/nets/model.py", 30, "forward", CODE)).line == 42


def test_a_line_that_is_no_more_keeps_its_number(root: Path) -> None:
    gone = SourceLine("src/nets/model.py", 3, "forward", "y = gelu(x)")
    assert at(root, gone) == Location("src/nets/model.py", 3, 1, 12)
    assert at(root, SourceLine("src/nets/model.py", 900)) == Location("src/nets/model.py", 900, 1, 2)


def test_another_file_of_the_same_name_is_not_taken_for_it(root: Path) -> None:
    """Of /build/nets/model.py only the name fits: it is the root's model.py if that has the line."""
    (root / "model.py").write_text("import torch\n")
    line = SourceLine("/build/elsewhere/model.py", 4, "forward", CODE)
    assert at(root, line).path.endswith("m.pt2")
    assert at(root, SourceLine("model.py", 4, "forward", CODE)).path == "model.py", "it says so itself"
    assert at(root, SourceLine(f"{root}/model.py", 4, "forward", CODE)).path == "model.py"
    (root / "model.py").write_text(f"import torch\n{CODE}\n")
    assert at(root, line) == Location("model.py", 2, 1, 1 + len(CODE))


def test_the_innermost_of_the_users_lines_counts(root: Path) -> None:
    (root / "train.py").write_text("net(x)\n")
    stack = (
        SourceLine("/job/train.py", 1, "main", "net(x)"),
        SourceLine("/job/src/nets/model.py", 4, "forward", CODE),
        SourceLine("/elsewhere/library.py", 9, "helper", "return x"),
        SourceLine(f"{root}/.venv/lib/python3.11/site-packages/torch/nn/conv.py", 548, "forward", "return conv()"),
        SourceLine("<eval_with_key>.7", 5, "forward", "relu = torch.relu(x)"),
    )
    assert at(root, *stack).path == "src/nets/model.py"
    assert at(root, *stack[:1], *stack[2:]).path == "train.py"


@pytest.mark.parametrize(
    "file",
    ["/home/me/other.py", "../../etc/passwd", "/etc/passwd", "nul\0byte.py", "a/" * 2000 + "b.py", "x" * 5000, ""],
)
def test_what_is_not_below_the_root_leaves_the_program(root: Path, file: str) -> None:
    location = at(root, SourceLine(file, 4, "forward", CODE))
    assert (location.path.rpartition("/")[2], location.line) == ("m.pt2", 0)


def test_a_file_cannot_climb_out_of_the_root(root: Path) -> None:
    """A path with .. names nothing, even where the file is there."""
    (root / "secret.py").write_text("x\n")
    assert at(root / "src", SourceLine("src/../secret.py", 1)).line == 0
    assert at(root / "src", SourceLine("/build/../secret.py", 1)).line == 0


def test_the_program_is_told_relative_to_the_root_or_by_its_name_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root / "src")
    locator = Locator(root)
    assert locator.artifact("nets/m.pt2") == "src/nets/m.pt2"
    assert locator.artifact(f"{root}/build/m.pt2") == "build/m.pt2"
    assert locator.artifact("../m.pt2") == "m.pt2"
    assert locator.artifact("../../elsewhere/m.pt2") == "m.pt2"
    assert locator.artifact("/somewhere/else/m.pt2") == "m.pt2"
    assert locator.artifact("") == "program"


@given(st.text(max_size=60), st.integers(0, 2**40))
def test_no_recorded_path_makes_it_fail_or_leave_the_root(file: str, line: int) -> None:
    location = at(Path("/nonexistent/root"), SourceLine(file, line))
    assert not location.path.startswith("/")
    assert ".." not in location.path.split("/")


def test_places_of_a_proof_name_no_folder_of_an_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A wrong op of torchvision's resnet was shown with the path of the environment, over two lines."""
    monkeypatch.chdir(tmp_path)
    installed = "/home/me/.venv/lib/python3.11/site-packages/torchvision/models/resnet.py:92"
    assert shown_place(installed, "layer1.0.relu") == "torchvision/models/resnet.py:92 in layer1.0.relu"
    assert shown_place(f"{tmp_path}/nets/model.py:3") == "nets/model.py:3"
    assert shown_place("", "layer1") == "in layer1"
    assert shown_place("conv2d") == "conv2d"


@pytest.mark.parametrize("several", [False, True])
def test_no_report_for_people_names_the_folder_of_an_environment(several: bool) -> None:
    """Tables of several targets and Markdown summaries gave the whole path on the exporting machine."""
    installed = SourceLine("/home/me/.venv/lib/python3.11/site-packages/torchvision/models/resnet.py", 92)
    targets = tuple(Target.parse(text, "1.5.1") for text in ("TOSA-1.0+INT", "vgf")[: 1 + several])
    outcomes = tuple(Outcome(str(target), Effect.WRONG, Severity.ERROR) for target in targets) if several else ()
    check = replace(of(finding(source=installed, stack=(), outcomes=outcomes)), targets=targets, target=targets[0])
    for text in (plain(render(check)), markdown.render(check, Options(Path("/")))):
        assert "torchvision/models/resnet.py:92" in text
        assert "site-packages" not in text
