"""The results of the zoo as data: one row for each program, quantization, release and target."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import fuseguard
from zoo.layout import VERSION
from zoo.program import Program

_WAYS = {"prove": "unguarded", "guard": "guarded", "repair": "repaired"}
#: Outcomes of a lowering that cannot be trusted.
WRONG = ("wrong", "crash", "undefined", "runtime_fault")
_MESSAGE = 200


def documents(store: Path, step: str, model: str, release: str, target: str) -> tuple[str, str, dict[str, Any]] | None:
    """Status, message and JSON report of the newest run; None if there was none, {} if it has no report."""
    if not store.exists():
        return None
    with closing(sqlite3.connect(store)) as connection:
        row = connection.execute(
            "SELECT status, message, document FROM results WHERE step = ? AND model = ? AND release = ? AND target = ? "
            "ORDER BY finished DESC LIMIT 1",
            (step, model, release, target),
        ).fetchone()
    if row is None:
        return None
    status, message, packed = row
    return status, message, json.loads(zlib.decompress(packed)) if packed else {}


def nodes_of(store: Path, model: str) -> int:
    """How many nodes the newest check has seen; 0 if nobody has checked it."""
    if not store.exists():
        return 0
    with closing(sqlite3.connect(store)) as connection:
        row = connection.execute(
            "SELECT document FROM results WHERE step = 'check' AND model = ? AND length(document) > 0 "
            "ORDER BY finished DESC LIMIT 1",
            (model,),
        ).fetchone()
    return 0 if row is None else sum(file["nodes"] for file in json.loads(zlib.decompress(row[0]))["files"])


def refused(store: Path, model: str, release: str, target: str) -> bool:
    """Whether the guard would keep something of the program off the accelerator; False if nobody has checked it."""
    found = documents(store, "check", model, release, target)
    return found is not None and bool(found[2]) and any(item["refused"] for item in _findings(found[2]))


def _findings(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [finding for file in document["files"] for finding in file["findings"]]


def collect(
    known: Mapping[str, Program], folder: Path, store: Path, releases: Sequence[str], targets: Sequence[str]
) -> dict[str, Any]:
    """All that is known of the programs, JSON-ready. What was not run is null."""
    failures_file = folder / "build.json"
    failures = json.loads(failures_file.read_text(encoding="utf-8")) if failures_file.exists() else {}
    return {
        "version": VERSION,
        "fuseguard": fuseguard.__version__,
        "programs": [
            {
                "name": entry.name, "family": entry.family, "source": entry.source, "licence": entry.licence,
                "special": entry.special, "weights": entry.weights, "quantizer": entry.quantizer,
                "configs": list(entry.configs),
                "not_built": {
                    config: _short(failures[f"{entry.name}.{config}"])
                    for config in entry.configs
                    if f"{entry.name}.{config}" in failures
                },
            }
            for entry in known.values()
        ],
        "items": [
            row
            for entry in known.values()
            for config in entry.configs
            for release in releases
            for target in targets
            if (row := _row(store, entry.name, config, release, target)) is not None
        ],
    }  # fmt: skip


def _row(store: Path, name: str, config: str, release: str, target: str) -> dict[str, Any] | None:
    where = (f"{name}.{config}.pt2", release, target)
    checked = documents(store, "check", *where)
    if checked is None:
        return None
    row: dict[str, Any] = {"program": name, "config": config, "release": release, "target": target}
    row["check"] = _check(*checked)
    for step, way in _WAYS.items():
        found = documents(store, step, *where)
        row[way] = None if found is None else _lowering(*found)
    found = documents(store, "evaluate", *where)
    row["scores"] = None if found is None or not found[2] else _scores(found[2])
    return row


def _check(status: str, message: str, document: Mapping[str, Any]) -> dict[str, Any]:
    if not document:
        return {"status": status, "message": _short(message), "nodes": 0, "findings": {}, "refused": 0}
    findings = _findings(document)
    counts = Counter((item["code"], item["effect"]) for item in findings)
    return {
        "status": status,
        "message": "",
        "nodes": sum(file["nodes"] for file in document["files"]),
        "findings": {f"{code} {effect}": number for (code, effect), number in sorted(counts.items())},
        "refused": sum(item["refused"] for item in findings),
    }


def _lowering(status: str, message: str, document: Mapping[str, Any]) -> dict[str, Any]:
    if not document or document["outcome"] is None:
        return {"status": status, "outcome": "", "message": _short(message)}
    cpu = None if document["cpu_ops"] is None else sum("quantize_per" not in op for op in document["cpu_ops"])
    row = {
        "status": status, "outcome": document["outcome"], "delegated_ops": document["delegated_ops"], "cpu_ops": cpu,
        "message": _short(document.get("exception") or ""),
    }  # fmt: skip
    if "repairs" in document:
        made = Counter(item["code"] for item in document["repairs"])
        return {**row, "repairs": dict(sorted(made.items())), "remaining": len(document["remaining"]),
                "guarded": document["guarded"], "eager_error": document["eager_error"]}  # fmt: skip
    wrong = [cell for cell in document["cells"] if cell["status"] == "wrong" and cell["certain"]]
    return {
        **row,
        "sqnr_db": document["sqnr_db"],
        "max_error_steps": document["max_error_steps"],
        "mismatches": document["mismatches"],
        "elements": document["elements"],
        "wrong_cells": len(wrong),
        "unpredicted_cells": sum(not cell["findings"] for cell in wrong),
    }


def _scores(document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "metric": document["metric"],
        "samples": document["samples"],
        "programs": {
            one["program"]: {"score": one["score"], "predictions_changed": one["predictions_changed"]}
            for one in document["programs"]
        },
    }


def _short(message: str) -> str:
    """The beginning in one line, and no path of this machine."""
    words = message[: 10 * _MESSAGE].split()
    return " ".join(word.rpartition("/")[2] if word.startswith(("/", '"/')) else word for word in words)[:_MESSAGE]
