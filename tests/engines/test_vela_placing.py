"""What Vela refuses or leaves to the CPU is listed at the source line of the op that it was compiled for."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import pytest

pytestmark = pytest.mark.torch
pytest.importorskip("executorch")

import torch  # noqa: E402
from torch import nn  # noqa: E402

from fuseguard.executorch import placement, vela_placing  # noqa: E402
from fuseguard.executorch.engines.npu import NpuDelegate, NpuOp  # noqa: E402
from fuseguard.executorch.engines.status import EngineStatus, Piece, vela_status  # noqa: E402
from fuseguard.executorch.placements import Placement, VelaAnswer  # noqa: E402
from fuseguard.executorch.vela_origins import Origin  # noqa: E402
from fuseguard.ir.graph import SourceLine  # noqa: E402
from fuseguard.ir.tosa import TosaOp  # noqa: E402
from fuseguard.report.json import dump  # noqa: E402
from fuseguard.report.lines import plain  # noqa: E402
from fuseguard.report.placement import render, to_dict  # noqa: E402
from fuseguard.schemas import load_schema  # noqa: E402
from fuseguard.target import Target  # noqa: E402
from fuseguard_testkit.quantizing import quantize  # noqa: E402

needs_vela = pytest.mark.skipif(not vela_status().works, reason="Vela is not installed")
newest = pytest.mark.skipif(version("executorch") != "1.5.1", reason="measured on 1.5.1")

KNOWN = {
    "a": Origin("tosa_conv2d_default", "conv2d", "stem", SourceLine("model.py", 7, "forward", "self.stem(x)")),
    "b": Origin("tosa_conv2d_default_1", "linear", "head", SourceLine("model.py", 9, "forward", "self.head(x)")),
    "c": Origin("tosa_table_default", "sigmoid", "", None),
}
OPS = (
    TosaOp("CONST", (), ("w",)), TosaOp("CONV2D", (), ("a",)), TosaOp("CONV2D", (), ("b",)),
    TosaOp("RESCALE", (), ("r",)), TosaOp("TABLE", (), ("c",)),
)  # fmt: skip


def refused(message: str) -> list[str]:
    delegate = NpuDelegate(0, "refused", message)
    return [item.before or item.node for item in vela_placing._refused(delegate, OPS, KNOWN)]


def test_the_ops_of_a_refused_delegate_are_those_of_the_kind_that_the_message_names() -> None:
    assert refused("Non-passthrough operation (Conv2D) could not run on NPU") == ["conv2d", "linear"]
    assert refused("Validation error:\nTable:\n - Unsupported operation") == ["sigmoid"]
    assert refused("out of memory") == ["conv2d", "linear", "sigmoid"]


def test_what_vela_leaves_out_is_listed_with_its_line() -> None:
    delegate = NpuDelegate(0, ops=(NpuOp("CONV2D", "a", "NPU"), NpuOp("TABLE", "c", "left out")))
    [item] = vela_placing._left(delegate, KNOWN)
    reason = item.reasons[0]
    assert (item.before, item.op, reason.kind, reason.check) == ("sigmoid", "TABLE", "vela", "left out")


def shown(answer: VelaAnswer, **options: Any) -> str:
    return plain(render(Placement("ethos-u55-128", "", (), 4, 1, (), answer), "model.pt2", **options))


def test_the_report_says_in_one_line_that_all_is_well_or_that_vela_was_not_asked() -> None:
    well = shown(VelaAnswer("ethos-u55-128", "5.1.0", 2)).splitlines()
    assert well[-1] == "  Vela 5.1.0 compiles 2 delegates for ethos-u55-128 and leaves no op to the CPU."
    note = shown(VelaAnswer("ethos-u55-128", note="ethos-u-vela is not installed: pip install ethos-u-vela"))
    assert note.splitlines()[-1].startswith("  Vela was not asked: ethos-u-vela is not installed")


def test_the_report_lists_each_op_at_its_line_and_json_has_the_same() -> None:
    delegate = NpuDelegate(0, "refused", "operation (Conv2D) could not run on NPU")
    ops = tuple(vela_placing._refused(delegate, OPS, KNOWN))
    answer = VelaAnswer("ethos-u55-128", "5.1.0", 1, ((0, delegate.reason),), ops)
    text = shown(answer)
    assert "Vela 5.1.0 refuses delegate 0, so that lowering raises: operation (Conv2D) could not run on NPU" in text
    assert "does not say which of these 2 ops" in text
    assert "model.py:7" in text
    found = Placement("ethos-u55-128", "", (), 4, 1, (), answer)
    assert "Vela 5.1.0 refuses 1 of 1 delegate" in str(found)
    assert "refuses 1 of 1 delegate" in found._repr_html_()
    document = json.loads(dump(to_dict(found, "model.pt2")))
    jsonschema.Draft202012Validator(load_schema("placement")).validate(document)
    assert [item["source"]["line"] for item in document["vela"]["ops"]] == [7, 9]
    assert document["vela"]["refused"] == [{"delegate": 0, "message": delegate.reason}]


class Fork(nn.Module):
    """Two readers of one convolution: Vela refuses it in int16 for U55."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value = self.conv(x)
        return torch.relu(value) + value


@pytest.fixture(scope="module")
def fork() -> torch.export.ExportedProgram:
    torch.manual_seed(0)
    return quantize(Fork().eval(), (torch.randn(1, 3, 8, 8),), Target.parse("ethos-u55-128").spec, "a16w8")


def test_without_vela_the_placement_says_so(
    fork: torch.export.ExportedProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = EngineStatus("vela", "", (Piece("ethos-u-vela", False, "is not installed", "pip install ethos-u-vela"),))
    monkeypatch.setattr(vela_placing, "vela_status", lambda: missing)
    answer = placement(fork, "ethos-u55-128").vela
    assert answer is not None
    assert answer.note == "ethos-u-vela is not installed: pip install ethos-u-vela"
    assert placement(fork, "ethos-u55-128", vela=False).vela is None
    assert placement(fork, "TOSA-1.0+INT").vela is None


@needs_vela
@newest
@pytest.mark.slow
def test_a_convolution_that_vela_refuses_is_named_at_its_line(fork: torch.export.ExportedProgram) -> None:
    found = placement(fork, "ethos-u55-128", guarded=False)
    assert not found.ops, "Arm's partitioner takes all of it"
    answer = found.vela
    assert answer is not None
    [(number, message)] = answer.refused
    assert (number, answer.delegates) == (0, 1)
    assert "Conv2D" in message
    [op] = answer.ops
    assert (op.before, op.op, op.module) == ("conv2d", "CONV2D", "conv")
    assert op.source is not None
    assert Path(op.source.file).name == "test_vela_placing.py"
    assert "self.conv(x)" in op.source.code


@needs_vela
@newest
@pytest.mark.slow
def test_the_guard_keeps_that_convolution_on_the_cpu(fork: torch.export.ExportedProgram) -> None:
    found = placement(fork, "ethos-u55-128")
    [reasons] = [op.reasons for op in found.ops if not op.is_quantizer]
    assert {reason.check for reason in reasons} >= {"OP727"}
    assert found.vela is not None
    assert found.vela.refused == ()


@needs_vela
@newest
@pytest.mark.slow
def test_a_program_that_vela_compiles_leaves_nothing_out() -> None:
    program = quantize(Fork().eval(), (torch.randn(1, 3, 8, 8),), Target.parse("ethos-u85-256").spec)
    answer = placement(program, "ethos-u85-256").vela
    assert answer is not None
    assert (answer.note, answer.refused, answer.ops, answer.delegates) == ("", (), (), 1)
