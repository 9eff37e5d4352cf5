"""Reads what Vela writes about a TOSA graph: the summary (CSV) and the debug database. Needs no torch."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from fuseguard.executorch.engines.npu import NpuOp
from fuseguard.readers.budget import Budget
from fuseguard.readers.tosa import read_tosa

_TABLE = re.compile(r'<table name="(\w+)">\s*<!\[CDATA\[\n(.*?)\]\]>', re.DOTALL)
_ON_CPU = "Passthrough"
_CONSTANTS = ("CONST", "CONST_SHAPE")


def read_summary(folder: Path) -> Mapping[str, str]:
    """Vela's summary by column. ``cycles_total`` is for one inference, ``sram_memory_used`` in KiB.

    Raises ValueError: there is no summary, or it is not one.
    """
    for path in folder.glob("*_summary_*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            row: dict[str, str] | None = next(csv.DictReader(file), None)
        if row is not None and {"cycles_total", "sram_memory_used"} <= row.keys():
            return row
    raise ValueError("Vela has written no summary")


def read_ops(folder: Path, tosa: bytes) -> tuple[NpuOp, ...]:
    """What Vela makes of each operator of a TOSA graph, in the graph's order; () without a debug database.

    The table ``source`` has the position of each operator in the TOSA graph (``ext_key``), ``perf`` the estimate of
    each command. A command runs on the NPU unless it is a ``Passthrough`` (ethosu/vela/stats_writer.py:
    postprocess_regor_performance_database). The table ``queue`` does not tell: it lacks what DMA does.
    """
    tables = {name: list(csv.DictReader(rows.splitlines())) for name, rows in _tables(folder)}
    if not {"source", "perf"} <= tables.keys():
        return ()
    positions = {row["id"]: int(row["ext_key"]) for row in tables["source"]}
    commands: dict[int, list[tuple[bool, int]]] = {}
    for row in tables["perf"]:
        if row["source_id"] in positions:
            on_npu = row["operator"] != _ON_CPU
            commands.setdefault(positions[row["source_id"]], []).append((on_npu, int(row["op_cycles"])))
    return tuple(
        _op(op.kind, op.outputs[0] if op.outputs else "", commands.get(number, []))
        for number, op in enumerate(read_tosa(tosa, Budget()).ops)
        if op.kind not in _CONSTANTS
    )


def _op(kind: str, tensor: str, commands: list[tuple[bool, int]]) -> NpuOp:
    cycles = [number for on_npu, number in commands if on_npu]
    if not commands:
        return NpuOp(kind, tensor, "fused")
    return NpuOp(kind, tensor, "NPU" if cycles else "left out", len(cycles), sum(cycles))


def _tables(folder: Path) -> Iterator[tuple[str, str]]:
    for path in folder.glob("*_debug.xml"):
        for table in _TABLE.finditer(path.read_text(encoding="utf-8")):
            yield table[1], table[2]
