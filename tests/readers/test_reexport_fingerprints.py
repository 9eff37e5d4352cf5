"""What a baseline relies on: a model that is calibrated and exported again keeps the fingerprints of its findings."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fuseguard.engine import Finding

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exported")


@cache
def findings_of(folder: Path, *, scale: float, extra: bool) -> dict[str, tuple[Finding, ...]]:
    """Of a network whose ReLUs are joined with signed values: of the live program and of its file in ``folder``.

    ``scale`` is what the calibration data is multiplied by; ``extra`` puts layers in front, between and, into a
    Sequential, inside.
    """
    import torch

    import fuseguard
    from fuseguard_testkit.quantizing import quantize

    class Block(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            pool = [torch.nn.MaxPool2d(3, 1, 1)] if extra else []
            self.body = torch.nn.Sequential(*pool, torch.nn.Conv2d(4, 4, 3, padding=1), torch.nn.ReLU())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([self.body(x), x], 1)

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = torch.nn.Conv2d(4, 4, 1) if extra else None
            self.first = Block()
            self.between = torch.nn.Sequential(torch.nn.Conv2d(8, 8, 1), torch.nn.Sigmoid()) if extra else None
            self.reduce = torch.nn.Conv2d(8, 4, 1)
            self.second = Block()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.stem is not None:
                x = self.stem(x)
            x = self.first(x)
            if self.between is not None:
                x = self.between(x)
            return self.second(self.reduce(x))

    torch.manual_seed(7 if extra else 3)
    exported = quantize(Net(), (scale * torch.randn(1, 4, 8, 8),), "TOSA-1.0+INT")
    path = folder / f"{scale}-{extra}.pt2"
    torch.export.save(exported, path)
    options: dict[str, Any] = {"target": "TOSA-1.0+INT+FP", "executorch": "1.5.1"}
    return {
        "live": fuseguard.check(exported, **options).findings,
        "file": fuseguard.check(path, **options).findings,
    }


def out_of_range(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    """FU101, which both blocks have, by block."""
    return {finding.module.partition(".")[0]: finding for finding in findings if finding.code == "FU101"}


def test_recalibrated_and_extended_it_keeps_its_fingerprints(folder: Path) -> None:
    before = out_of_range(findings_of(folder, scale=1.0, extra=False)["file"])
    after = out_of_range(findings_of(folder, scale=5.0, extra=True)["file"])
    assert before.keys() == after.keys() == {"first", "second"}, "the model must show what the test is about"
    for block in before:
        assert after[block].module != before[block].module, "no layer was moved"
        assert after[block].qparams != before[block].qparams, "it was not recalibrated"
        assert after[block].fingerprint == before[block].fingerprint
    assert after["first"].nodes != before["first"].nodes, "nothing was renumbered"
    assert before["first"].fingerprint != before["second"].fingerprint


def test_a_baseline_of_the_one_holds_for_the_other(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As users see it: nothing new, nothing stale; and a block more is new."""
    from fuseguard.cli.main import cli

    monkeypatch.chdir(tmp_path)
    options = ["m.pt2", "--no-config", "--target", "TOSA-1.0+INT+FP", "--executorch", "1.5.1"]

    def run(*args: str) -> tuple[int, str]:
        result = CliRunner().invoke(cli, [*args, *options])
        return result.exit_code, result.output

    findings_of(folder, scale=1.0, extra=False)
    findings_of(folder, scale=5.0, extra=True)
    shutil.copy(folder / "1.0-False.pt2", "m.pt2")
    assert run("baseline", "create")[0] == 0
    shutil.copy(folder / "5.0-True.pt2", "m.pt2")
    code, output = run("check", "--baseline", "fuseguard-baseline.json")
    assert (code, "SU002" in output, "2 in the baseline" in output) == (0, False, True), output
    code, output = run("baseline", "update")
    assert (code, output.count("\n~ ") + output.startswith("~ ")) == (0, 2), "the module's path has another number"
    assert output.endswith("fuseguard-baseline.json: 2 findings (0 added, 0 removed, 2 changed)\n")


def test_the_live_program_and_its_file_have_the_same_fingerprints(folder: Path) -> None:
    found = findings_of(folder, scale=1.0, extra=False)
    assert [f.fingerprint for f in found["live"]] == [f.fingerprint for f in found["file"]] != []
