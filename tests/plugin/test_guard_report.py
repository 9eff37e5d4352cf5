"""What a guard refused fits on a screen when it is printed, and has the place of each finding."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fuseguard.engine import Effect, Severity
from fuseguard.executorch.guard_report import GuardReport
from fuseguard.ir.graph import SourceLine
from fuseguard_testkit.report_fakes import finding, report

# As an edge program names them.
CLUSTER = (
    "quantized_decomposed_dequantize_per_tensor_default", "quantized_decomposed_dequantize_per_channel_default",
    "quantized_decomposed_dequantize_per_channel_default_1", "aten_convolution_default", "aten_relu_default",
)  # fmt: skip
PLACE = SourceLine(f"/home/someone/{'projects/' * 12}vision/models/feature_extractor.py", 124)
REFUSED = finding(cluster=CLUSTER, nodes=CLUSTER[-2:], source=PLACE)


def test_a_refusal_has_a_line_for_the_place_and_one_for_the_nodes() -> None:
    shown = str(GuardReport("vgf", "consistent", [report(REFUSED)])).splitlines()
    assert shown[0] == "fuseguard: 5 nodes refused for vgf (policy consistent)"
    assert shown[1].startswith("  FU101 fused-activation-out-of-range at .../")
    assert shown[1].endswith("/feature_extractor.py:124")
    assert shown[2] == f"    refused {CLUSTER[0]} and 4 more"
    assert len(shown) == 3
    assert max(map(len, shown)) <= 100


def test_a_refusal_that_is_a_note_says_why() -> None:
    note = finding(effect=Effect.EXACT, severity=Severity.NOTE)
    shown = str(GuardReport("vgf", "consistent", [report(note)])).splitlines()
    assert shown[2] == "    refused (right here, broken on other targets or releases): dequantize, conv2d, relu"
    reported = finding(effect=Effect.EXACT, severity=Severity.NOTE, refuse=False)
    assert str(GuardReport("vgf", "measured", [report(reported)])).splitlines()[2].startswith("    reported ")


@pytest.mark.parametrize("count", [1, 5, 6, 900])
def test_the_print_stays_short_however_many_there_are(count: int) -> None:
    many = [finding(cluster=CLUSTER, source=PLACE, code=f"FU{number:03}") for number in range(count)]
    guarded = GuardReport("vgf", "consistent", [report(*many)])
    shown = str(guarded).splitlines()
    assert len(shown) < 12
    assert max(map(len, shown)) <= 100
    assert len(guarded.lines()) == 1 + count  # all of them


def test_nothing_refused_is_one_line() -> None:
    assert str(GuardReport("vgf", "consistent")) == "fuseguard: nothing refused for vgf"
    one = finding(cluster=("relu",), source=None)
    assert "fuseguard: 1 node refused" in str(GuardReport("vgf", "consistent", [report(one)]))


def test_the_line_of_an_installed_model_begins_at_its_package() -> None:
    """The folder of the environment says nothing to a reader."""
    installed = SourceLine("/home/me/.venv/lib/python3.11/site-packages/torchvision/models/resnet.py", 92)
    guarded = GuardReport("vgf", "consistent", [report(replace(REFUSED, source=installed))])
    for text in (str(guarded), "\n".join(guarded.lines())):
        assert " at torchvision/models/resnet.py:92" in text
