"""What a finding costs on an Ethos-U. The real estimates are skipped where Vela is not installed."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fuseguard.cli.main import cli
from fuseguard.executorch.engines import status
from fuseguard_testkit.paths import DATA

PROGRAM = DATA / "conv_cat.pt2"
INSTALLED = dict.fromkeys(("torch", "executorch", "torchao", "tosa-tools", "ethos-u-vela"), "1.0")


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, prog_name="fuseguard")


def _words(result: Result) -> str:
    return " ".join(result.output.split())


@pytest.mark.parametrize("command", [("check",), ("repair", "--diff", "--trust"), ("prove", "--guard", "--trust")])
def test_without_vela_the_message_says_what_to_install(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "_version", {**INSTALLED, "ethos-u-vela": None}.get)
    result = _run(*command, str(PROGRAM), "--target", "ethos-u85-256", "--cost")
    assert result.exit_code == 2
    assert "--cost needs Vela's estimate, and the engine vela does not work here" in _words(result)
    assert "pip install ethos-u-vela" in result.output


@pytest.mark.parametrize(
    ("targets", "code", "said"),
    [
        ("vgf", 2, "the engine vela compiles for Ethos-U, and not for vgf"),
        ("ethos-u55-128,ethos-u85-256", 2, "--cost is for one target"),
        ("ethos-u85-256", 3, "--trust"),
    ],
)
def test_what_there_can_be_no_costs_for_is_told_before_anything_is_checked(
    targets: str, code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "_version", INSTALLED.get)
    monkeypatch.setattr("fuseguard.cli.check.check_with", lambda *_, **__: pytest.fail("it was checked"))
    result = _run("check", str(PROGRAM), "--target", targets, "--cost")
    assert (result.exit_code, said in _words(result)) == (code, True), result.output


def test_another_release_than_the_installed_one_has_no_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "_version", INSTALLED.get)
    result = _run("check", str(PROGRAM), "--target", "ethos-u85-256", "--executorch", "1.2.0", "--cost", "--trust")
    assert result.exit_code == 2
    assert "and not with 1.2.0" in _words(result)


def test_a_proof_without_the_guard_has_no_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "_version", INSTALLED.get)
    result = _run("prove", str(PROGRAM), "--target", "ethos-u85-256", "--cost", "--trust")
    assert result.exit_code == 2
    assert "--cost is about what the guard refuses: give --guard, too." in _words(result)


# --- real estimates -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program with one finding of FU101 in a file."""
    pytest.importorskip("executorch")
    if version("executorch") != "1.5.1" or not status.vela_status().works:
        pytest.skip("measured on 1.5.1 with Vela")
    import torch
    from torch import nn

    from fuseguard_testkit.quantizing import quantize

    class Joined(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = (nn.Conv2d(3, 8, 3, padding=1) for _ in range(2))

        def forward(self, x: Any) -> Any:
            return torch.cat([torch.relu(self.one(x)), self.two(x)], 1)

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("costs") / "joined.pt2"
    torch.export.save(quantize(Joined().eval(), (torch.randn(1, 3, 8, 8),), "TOSA-1.0+INT"), path)
    return path


@pytest.mark.torch
@pytest.mark.slow
def test_a_finding_has_one_number_in_check_and_in_repair(saved: Path) -> None:
    """It is the difference of two estimates, which the text states; repair says the same as check."""
    options = ("--target", "ethos-u85-256", "--cost", "--trust")
    result = _run("check", str(saved), *options, "--output-format", "json")
    [finding] = json.loads(result.stdout)["files"][0]["findings"]
    [cost] = [item["value"] for item in finding["details"] if item["label"] == "cost"]
    number, figures = cost.split(" cycles on ethos-u85-256 if it is refused instead of repaired ")
    refused, repaired = (int(figures.strip("()").split()[place].replace(",", "")) for place in (0, 3))
    assert int(number.replace(",", "")) == refused - repaired
    assert "and 2 more ops on the CPU" in figures
    text = _run("repair", str(saved), *options, "--diff", "--no-prove")
    assert f"cost: {cost}" in _words(text)


@pytest.mark.torch
@pytest.mark.slow
def test_a_guarded_proof_says_what_its_refusals_cost(saved: Path) -> None:
    """It is the number of check, in the text and in the JSON; the second answer comes from the cache."""
    options = ("--target", "ethos-u85-256", "--cost", "--trust")
    checked = json.loads(_run("check", str(saved), *options, "--output-format", "json").stdout)
    [finding] = checked["files"][0]["findings"]
    [expected] = [item["value"] for item in finding["details"] if item["label"] == "cost"]
    for _ in range(2):
        result = _run("prove", str(saved), *options, "--guard", "--output-format", "json")
        assert result.exit_code == 0, result.output
        [cost] = json.loads(result.stdout)["guard"]["costs"]
        assert (cost["code"], cost["nodes"], cost["summary"]) == ("FU101", finding["nodes"], expected)
        assert cost["cycles"] == cost["refused_cycles"] - cost["repaired_cycles"]
    assert expected in _words(_run("prove", str(saved), *options, "--guard"))
