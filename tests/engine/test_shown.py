"""What ``print`` shows keeps to its width, and shows of a long path what names the file and the line."""

from __future__ import annotations

import pytest

from fuseguard.engine.shown import end_of, lines_of, one_line_at, place_of, some_of
from fuseguard.ir.graph import SourceLine
from fuseguard_testkit.report_fakes import finding

LONG = SourceLine(f"/home/someone/{'projects/' * 12}vision/models/feature_extractor.py", 124)
WIDEST = 100


def test_a_long_path_keeps_the_file_and_the_line() -> None:
    [line] = lines_of([finding(source=LONG)])
    assert line.startswith("  error FU101 fused-activation-out-of-range at .../")
    assert line.endswith("/models/feature_extractor.py:124")
    assert len(line) <= WIDEST
    short = SourceLine("model.py", 7)
    assert lines_of([finding(source=short)]) == ["  error FU101 fused-activation-out-of-range at model.py:7"]


def test_a_place_in_an_environment_begins_at_the_package() -> None:
    """print(report) and print(guard report) gave the folder of the environment, and lost the file's own folders."""
    installed = SourceLine("/home/me/.venv/lib/python3.11/site-packages/torchvision/models/resnet.py", 92)
    assert place_of(installed) == "torchvision/models/resnet.py:92"
    [line] = lines_of([finding(source=installed)])
    assert line == "  error FU101 fused-activation-out-of-range at torchvision/models/resnet.py:92"


def test_a_long_text_leaves_room_for_the_place() -> None:
    line = one_line_at("x" * 300, str(LONG))
    assert len(line) <= WIDEST
    assert "x... at .../" in line
    assert line.endswith("feature_extractor.py:124")
    assert one_line_at("text", "") == "text"


@pytest.mark.parametrize(("path", "width", "end"), [
    ("model.py:1", 10, "model.py:1"),
    ("/folder/model.py:1", 14, ".../model.py:1"),
    ("/folder/model.py:1", 16, ".../model.py:1"),
    ("without_any_folder.py:1", 12, "...lder.py:1"),
])  # fmt: skip
def test_the_end_of_a_path_begins_at_a_slash_where_there_is_one(path: str, width: int, end: str) -> None:
    assert end_of(path, width) == end


def test_as_many_names_as_fit_are_shown() -> None:
    names = [f"aten_convolution_default_{number}" for number in range(20)]
    line = some_of("refused ", names)
    assert line == f"refused {', '.join(names[:2])} and 18 more"
    assert some_of("refused ", names[:2]) == f"refused {', '.join(names[:2])}"
    assert some_of("refused ", ["n" * 200, "m"]).endswith("... and 1 more")
    assert len(some_of("refused ", ["n" * 200, "m"])) <= WIDEST
    assert some_of("refused ", []) == "refused "
