"""Findings and results that the tests of the report formats share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fuseguard.engine import Effect, Evidence, Finding, Insert, Pair, Report, Rewrite, RuleFailure, Severity
from fuseguard.gate.result import CheckResult, FileError, FileResult
from fuseguard.ir.builder import int8
from fuseguard.ir.graph import SourceLine
from fuseguard.target import Target

TARGET = Target.parse("TOSA-1.0+INT", "1.5.1")

FINDING = Finding(
    code="FU101",
    name="fused-activation-out-of-range",
    effect=Effect.WRONG,
    severity=Severity.ERROR,
    nodes=("conv2d", "relu"),
    cluster=("dequantize", "conv2d", "relu"),
    message="relu is out of range",
    remedy="insert a pair",
    evidence=Evidence.MEASURED,
    evidence_note="#21974",
    source=SourceLine("model.py", 7, "forward", "    y = relu(conv(x))"),
    module="block.conv",
    module_type="torch.nn.Conv2d",
    island="conv2d -> relu",
    island_key="/block.conv:conv#0",
    qparams=(("input", "scale 0.5"), ("output (owned by relu)", "scale 0.25")),
    bound_steps=111,
    bound_value=5.55,
    rewrite=Rewrite((Insert("conv2d", ("relu",), (Pair(int8(0.25, -128)),)),)),
    refuse=True,
)

#: As little as a finding can say.
BARE = Finding(
    code="QP301", name="odd", effect=Effect.QUALITY, severity=Severity.WARNING, nodes=("n",), cluster=("n",),
    message="odd", remedy="fix it", file="m.pt2",
)  # fmt: skip


def finding(**changes: Any) -> Finding:
    return replace(FINDING, **changes)


def report(*findings: Finding, **fields: Any) -> Report:
    return Report(findings, TARGET, "consistent", **{"file": "m.pt2", "nodes": 13, "islands": 2, **fields})


def result(*files: FileResult, exit_code: int = 0) -> CheckResult:
    return CheckResult(TARGET, "consistent", files, ("FU101", "QP301"), exit_code)


def of(*findings: Finding, **fields: Any) -> CheckResult:
    """The result of one file with these findings."""
    return result(FileResult("m.pt2", report(*findings, **fields)))


FAILURE = RuleFailure("FU102", "true_graph_0", "KeyError: 'x'")
UNREADABLE = FileResult("bad.pt2", error=FileError("unreadable", "bad.pt2: is empty; save it again"))
BUGGY = FileResult("bug.pt2", error=FileError("internal", "internal error: KeyError"))
