"""``fuseguard.testing`` and the pytest plug-in: a test of somebody's model fails with the report, or passes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fuseguard.engine import Rule
from fuseguard.engine.registry import RulePackError
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.pt2 import read_pt2
from fuseguard.target import TargetError
from fuseguard.testing import assert_lowerable, assert_rule
from fuseguard_rules import FusedActivationOutOfRange
from fuseguard_testkit.paths import DATA

WRONG, RIGHT = DATA / "conv_cat.pt2", DATA / "linear.pt2"
INT = "TOSA-1.0+INT"


def test_a_lowerable_program_gives_its_report() -> None:
    report = assert_lowerable(RIGHT, INT, executorch="1.5.1")
    assert report.islands == 1
    assert report.findings == ()


def test_a_failure_says_what_fuseguard_check_says() -> None:
    with pytest.raises(AssertionError) as failure:
        assert_lowerable(str(WRONG), INT, executorch="1.5.1")
    text = str(failure.value)
    for part in ("error[FU101] fused-activation-out-of-range", "effect    wrong", "remedy", "1 error, 0 warnings"):
        assert part in text


def test_a_graph_can_be_asserted_too() -> None:
    with pytest.raises(AssertionError, match="FU101"):
        assert_lowerable(read_pt2(WRONG), INT, executorch="1.5.1")


def test_options_are_those_of_check() -> None:
    # On 1.4.1 the convolution stays on the CPU, which is a note.
    assert [f.severity.value for f in assert_lowerable(WRONG, INT, executorch="1.4.1").findings] == ["note"]
    with pytest.raises(AssertionError, match="FU101"):
        assert_lowerable(WRONG, INT, executorch="1.4.1", fail_on="note")
    assert_lowerable(WRONG, INT, executorch="1.5.1", ignore=["FU101"])
    assert_lowerable(WRONG, INT, executorch="1.5.1", select=["QD"])


def test_a_rule_that_failed_is_no_clean_program(monkeypatch: pytest.MonkeyPatch) -> None:
    def boom(self, view, target):
        raise RuntimeError("boom")

    monkeypatch.setattr(FusedActivationOutOfRange, "check", boom)
    with pytest.raises(AssertionError, match="rule FU101 failed: RuntimeError: boom"):
        assert_lowerable(RIGHT, INT, executorch="1.5.1")


@pytest.mark.parametrize(
    ("error", "options"),
    [
        (TargetError, {"target": "TOSA"}),
        (ValueError, {"fail_on": "never"}),
        (ValueError, {"policy": "lax"}),
        (ValueError, {"select": ["ZZ"]}),
        (UnreadableInput, {"program": "nowhere.pt2"}),
    ],
)
def test_a_mistake_in_the_test_is_no_assertion(error: type[Exception], options: dict) -> None:
    with pytest.raises(error):
        assert_lowerable(**{"program": RIGHT, **options})


def test_assert_rule_lists_what_is_wrong() -> None:
    assert_rule(FusedActivationOutOfRange)

    class Wrong(FusedActivationOutOfRange):
        good = FusedActivationOutOfRange.bad

    with pytest.raises(AssertionError, match="reports this good example"):
        assert_rule(Wrong)

    class Incomplete(Rule):
        code = "ZZ100"

        def check(self, view, target):
            yield from ()

    with pytest.raises(RulePackError, match="ZZ100"):
        assert_rule(Incomplete)


MODEL_TESTS = f"""
def test_model(assert_lowerable):
    assert_lowerable({str(WRONG)!r})


def test_explicit(assert_lowerable):
    assert_lowerable({str(WRONG)!r}, "TOSA-1.0+INT", fail_on="error")
"""


def run_pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_model.py").write_text(MODEL_TESTS)
    # hypothesis would be half of what this costs
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-q", *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120)


def test_the_fixture_is_there_by_entry_point_and_fails_with_the_report(tmp_path: Path) -> None:
    done = run_pytest(tmp_path)
    assert done.returncode == 1, done.stdout
    assert "error[FU101] fused-activation-out-of-range" in done.stdout
    assert "test_model.py:3: AssertionError" in done.stdout, "the line of the test, not one of fuseguard"
    assert "2 failed" in done.stdout


def test_the_fixture_takes_its_defaults_from_pytests_configuration(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nfuseguard_target = TOSA-1.0+INT\nfuseguard_executorch = 1.4.1\nfuseguard_fail_on = note\n"
    )
    done = run_pytest(tmp_path)
    assert "1 failed, 1 passed" in done.stdout, "a call's own options win"
    assert "note[FU101]" in done.stdout
    assert "ExecuTorch 1.4.1" in done.stdout


def test_the_fixture_takes_a_configuration_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "fuseguard.toml").write_text('ignore = ["FU101"]\n')
    assert "2 failed" in run_pytest(tmp_path, "-o", "addopts=").stdout
    (tmp_path / "pytest.ini").write_text("[pytest]\nfuseguard_config = fuseguard.toml\n")
    assert "2 passed" in run_pytest(tmp_path).stdout


def test_several_targets_are_asserted_at_once() -> None:
    with pytest.raises(AssertionError, match="FU101") as failure:
        assert_lowerable(WRONG, [INT, "vgf"], ["1.4.1", "1.5.1"])
    assert "1.4.1" in str(failure.value)


def test_the_plug_in_costs_others_nothing() -> None:
    """pytest imports it in every run of everybody who has fuseguard installed."""
    code = "import sys, pytest; before = set(sys.modules); import fuseguard.pytest_plugin; " + (
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["fuseguard", "fuseguard.pytest_plugin"]


def test_the_package_gives_its_names_when_asked() -> None:
    code = "import fuseguard; print(*(getattr(fuseguard, name) is not None for name in fuseguard.__all__))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"True"}
    import fuseguard

    assert set(fuseguard.__all__) <= set(dir(fuseguard))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        fuseguard.nonsense  # noqa: B018
