"""The records of a campaign: JSON lines, the graphs beside them, and the small form that is committed.

Torch-free.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import pickle
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .summaries import is_settled


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of a campaign or of its small form; a last line that was cut off is left out. Raises OSError."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    records = []
    for line in text.splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def graphs_beside(path: Path) -> Path:
    return path.with_suffix(".graphs")


def read_graphs(path: Path) -> dict[int, Any]:
    """The graphs that the rules saw, by the index of their program. They are our own: unpickling them is no risk."""
    beside = graphs_beside(path)
    lines = beside.read_text(encoding="utf-8").splitlines() if beside.exists() else []
    pairs = (line.split(" ", 1) for line in lines if " " in line)
    return {int(index): pickle.loads(zlib.decompress(base64.b64decode(text))) for index, text in pairs}


def write_records(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Replaces a file by JSON lines, so that an interruption leaves the old one or the new one."""
    data = "".join(json.dumps(record) + "\n" for record in records).encode()
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    beside.write_bytes(data)
    beside.replace(path)


def small(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a resumed campaign and the summary need. Of what disagrees, all that was recorded.

    Nodes of findings and the texts of faults are left out; a finding stays once for each code and effect.
    """
    if not is_settled(record):
        return dict(record)
    findings = {(item["code"], item["effect"], item["refuse"]) for item in record["findings"]}
    kept = [dict(zip(("code", "effect", "refuse"), key, strict=True), nodes=[]) for key in sorted(findings)]
    notes = [note for note in record["notes"] if not note.endswith((" alone: wrong", " alone: right"))]
    shorter = {"findings": kept, "notes": notes, "exception": record.get("exception", "")[:60]}
    return {**record, **shorter}


def write_small(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """The form to commit: by index, one record for each program."""
    by_index = {record["index"]: record for record in records}
    write_records(path, [small(by_index[index]) for index in sorted(by_index)])


def resumed(out: Path, store: Path | None) -> list[dict[str, Any]]:
    """The records of ``out``, and of ``store`` those that it lacks. Files that do not exist hold none."""
    records = read_records(out) if out.exists() else []
    known = {record["index"] for record in records}
    if store is not None and store.exists():
        records += [record for record in read_records(store) if record["index"] not in known]
    return records
