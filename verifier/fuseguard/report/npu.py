"""What Vela says about the delegates of a program, as text and as JSON-ready data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fuseguard.engine.shown import counted
from fuseguard.report.lines import Line, table
from fuseguard.report.quoting import quoted

if TYPE_CHECKING:  # its package is that of what imports torch
    from fuseguard.executorch.engines.npu import NpuDelegate, NpuReport

#: What a page and a text say about the figures.
ESTIMATED = (
    "Cycles and SRAM are Vela's estimates. No simulator of Ethos-U is available from the package indexes, so the "
    "results are those of the TOSA reference model."
)
_PLACES = {"NPU": "NPU", "fused": "NPU, in another op", "left out": "nowhere: Vela leaves it out"}


def render(report: NpuReport, cpu_ops: Sequence[str]) -> Iterator[Line]:
    """The table of what runs where. ``cpu_ops``: what is outside of the delegates."""
    yield Line("")
    yield Line((f"Vela {quoted(report.vela)}", "strong"), f" for {_configuration(report)}: {summary(report)}", hang=2)
    rows = [row for delegate in report.delegates for row in _rows(delegate)]
    rows += [("", quoted(op), str(count), "CPU", "", "") for op, count in _counts(cpu_ops).items()]
    if rows:
        yield from table(rows, ("delegate", "op", "count", "runs on", "commands", "cycles"), 2)
    for delegate in report.faults:
        yield Line((f"  delegate {delegate.number}: ", "error"), quoted(delegate.reason), hang=4)
    yield Line((f"  {ESTIMATED}", "dim"), hang=2)


def summary(report: NpuReport) -> str:
    """The figures of all delegates in one line."""
    if report.faults:
        return f"{len(report.faults)} of {counted(len(report.delegates), 'delegate')} cannot be compiled"
    if not report.delegates:
        return "no delegate"
    delegates = counted(len(report.delegates), "delegate")
    return f"{report.cycles:,} cycles in {delegates}, {report.sram / 1024:,.4g} KiB of SRAM at the peak"


def _configuration(report: NpuReport) -> str:
    parts = [part for part in (report.system_config, report.memory_mode) if part]
    return quoted(report.accelerator + (f" ({', '.join(parts)})" if parts else ""))


def _rows(delegate: NpuDelegate) -> list[tuple[str, str, str, str, str, str]]:
    """One row for all operators of a kind that run in the same place."""
    if delegate.fault:
        return []
    if not delegate.ops:
        return [(str(delegate.number), "all", "", "NPU", "", f"{delegate.cycles:,}")]
    groups: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for op in delegate.ops:
        groups.setdefault((op.kind, op.place), []).append((op.commands, op.cycles))
    return [
        (
            str(delegate.number),
            quoted(kind),
            str(len(found)),
            _PLACES.get(place, place),
            str(sum(commands for commands, _ in found)) if place == "NPU" else "",
            f"{sum(cycles for _, cycles in found):,}" if place == "NPU" else "",
        )
        for (kind, place), found in groups.items()
    ]


def _counts(ops: Sequence[str]) -> dict[str, int]:
    return {op: ops.count(op) for op in ops}


def to_dict(report: NpuReport) -> dict[str, Any]:
    """The report as JSON-ready data."""
    return {
        "accelerator": report.accelerator,
        "vela": report.vela,
        "system_config": report.system_config,
        "memory_mode": report.memory_mode,
        "cycles": report.cycles,
        "sram_bytes": report.sram,
        "outcome_as_tosa": report.tosa,
        "note": ESTIMATED,
        "delegates": [
            {
                "number": delegate.number,
                "fault": delegate.fault,
                "message": delegate.message,
                "cycles": delegate.cycles,
                "sram_bytes": delegate.sram,
                "binary_bytes": delegate.binary,
                "ops": [
                    {
                        "kind": op.kind,
                        "tensor": op.tensor,
                        "place": op.place,
                        "commands": op.commands,
                        "cycles": op.cycles,
                    }
                    for op in delegate.ops
                ],
            }
            for delegate in report.delegates
        ],
    }
