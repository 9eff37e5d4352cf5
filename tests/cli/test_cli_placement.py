"""``fuseguard placement``: consent first, then the report. tests/plugin/test_placing.py tests the answers."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import Result

from fuseguard.ir.graph import SourceLine
from fuseguard.schemas import load_schema
from fuseguard_testkit.paths import DATA

Cli = Callable[..., Result]
FILE = str(DATA / "conv_cat.pt2")


def test_without_trust_nothing_is_loaded(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuseguard.cli.placement._placement", lambda *_: pytest.fail("went on without --trust"))
    result = cli("placement", FILE)
    assert result.exit_code == 3
    assert "runs code from the file" in result.output


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("none.pt2", "--trust"), 3, "no such file"),
        ((FILE, "--trust", "--target", "ethos"), 2, "ethos"),
        ((FILE, "--trust", "--policy", "all"), 2, "'all' is not one of"),
    ],
)
def test_what_is_wrong_is_told_before_torch_is_imported(
    cli: Cli, arguments: tuple[str, ...], code: int, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fuseguard.cli.placement._placement", lambda *_: pytest.fail("went on"))
    result = cli("placement", *arguments)
    assert (result.exit_code, text in result.output) == (code, True), result.output


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed")
def test_without_torch_it_says_what_to_install(cli: Cli) -> None:
    result = cli("placement", FILE, "--trust")
    assert result.exit_code == 2
    assert "pip install '.[prove]'" in result.output


@pytest.mark.torch
def test_the_report_has_each_op_once_for_each_reason(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("executorch")
    from fuseguard.executorch.placements import LeftOut, Placement, Reason

    rank = [Reason("support", "RankCheck", f"add_{n} has rank 7", "... has rank 7") for n in range(30)]
    int64 = Reason("support", "CheckInt64InputsAndOutputs", "Non-constant node", "Non-constant node")
    edge = Reason("boundary", "TOSAPartitioner", "it quantizes x", "quantize")
    line = SourceLine("/home/\x1b[31mme/model.py", 3, "forward", "x + 1")
    ops = [LeftOut(f"add_{n}", f"add{n}", "aten.add.Tensor", "", "block", line, (item,)) for n, item in enumerate(rank)]
    ops[0] = LeftOut("add_0", "add0", "aten.add.Tensor", "", "block", None, (rank[0], int64))
    ops.append(LeftOut("q", "", "quantized_decomposed.quantize_per_tensor.default", "body", "", None, (edge,)))
    found = Placement("TOSA-1.0+INT, ExecuTorch 1.5.1", "", tuple(ops), 4, 1, ("Silly cannot be asked",))

    def given(*_: Any) -> Placement:
        return found

    monkeypatch.setattr("fuseguard.cli.placement._placement", given)
    text = cli("placement", FILE, "--trust", "--no-guard").output
    assert "30 ops on the CPU, 4 ops in 1 delegate, for TOSA-1.0+INT, ExecuTorch 1.5.1, without the guard" in text
    assert "Arm's check RankCheck: ... has rank 7" in text
    assert "and 10 more; --verbose shows all" in text
    assert text.count("add0") == 2
    assert "1 op with more than one reason" in text
    assert "1 quantize op that reads floats" in text
    assert "not asked: Silly cannot be asked" in text
    assert "\x1b" not in text
    assert "add29" in cli("placement", FILE, "--trust", "--verbose").output
    document = json.loads(cli("placement", FILE, "--trust", "--output-format", "json").output)
    jsonschema.Draft202012Validator(load_schema("placement")).validate(document)
    assert (document["cpu_ops"], len(document["left_out"])) == (30, 31)
    assert Path(document["file"]).name == "conv_cat.pt2"
