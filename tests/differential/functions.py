"""Judges hand-written functions of one or a few operators each: what the rules say against what the lowering does.

    python tests/differential/functions.py --out functions.jsonl
    python tests/differential/functions.py --out functions.jsonl --config a16w8
    python tests/differential/functions.py --out functions.jsonl --summary
    python tests/differential/functions.py --out one.jsonl --only log_sigmoid

The grammars draw programs of operators that a model of the backend knows. These functions are of the others: they found
DT511 and OP721, and three rules that knew only part of their kind. Each is quantized by Arm's quantizer, checked,
lowered for both profiles and run. If anything is found or broken, it is lowered with the guard as well. There is one
JSON line for each function and profile. A run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "differential"

from fuseguard import check
from fuseguard.engine import Severity
from fuseguard.executorch import prove
from fuseguard.executorch.hurry import hurry_alone, tidy
from fuseguard_testkit.quantizing import quantize

from . import float_functions, integer_functions
from .function_table import FUNCTIONS

__all__ = ["float_functions", "integer_functions"]  # imported for what they add

PROFILES = ("TOSA-1.0+INT", "TOSA-1.0+INT+FP")
_RIGHT = ("exact", "bounded")
#: Functions between two collections of garbage.
_TIDY = 16


class Layers(nn.Module):
    """A function as a module, with one layer of each kind that it may call; the weights are always the same."""

    def __init__(self, name: str) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.function = FUNCTIONS[name][0]
        self.conv, self.conv2 = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.depthwise = nn.Conv2d(4, 8, 3, padding=1, groups=4)
        self.dilated = nn.Conv2d(4, 4, 3, padding=2, dilation=2)
        self.conv1d, self.conv3d = nn.Conv1d(4, 4, 3, padding=1), nn.Conv3d(1, 2, 3, padding=1)
        self.transposed = nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1, output_padding=1)
        self.grouped_transposed = nn.ConvTranspose2d(4, 4, 2, stride=2, groups=2)
        self.linear, self.bilinear, self.embedding = nn.Linear(8, 8), nn.Bilinear(8, 8, 4), nn.Embedding(10, 8)
        self.batch_norm, self.group_norm = nn.BatchNorm2d(4), nn.GroupNorm(2, 4)
        self.layer_norm, self.rms_norm = nn.LayerNorm(8), nn.RMSNorm(8)
        self.instance_norm, self.prelu = nn.InstanceNorm2d(4, affine=True), nn.PReLU(4)
        self.attention, self.gru = nn.MultiheadAttention(8, 2, batch_first=True), nn.GRU(8, 8, batch_first=True)

    def forward(self, *inputs: torch.Tensor) -> object:
        return self.function(self, *inputs)


def judged(name: str, spec: str, config: str) -> dict[str, Any]:
    """What the rules announce and the lowering does, unguarded and guarded. ``outcome`` is "" for no program."""
    record: dict[str, Any] = {"name": name, "target": spec, "config": config, "outcome": "", "codes": [], "guarded": ""}
    inputs = FUNCTIONS[name][1]
    try:
        program = quantize(Layers(name).eval(), inputs, spec, config)
    except Exception as error:  # torch.export or Arm's quantizer
        return record | {"exception": f"{type(error).__name__}: {error}"[:300]}
    findings = [item for item in check(program, spec).findings if item.severity is not Severity.NOTE]
    proof = prove(program, inputs, spec, locate=True)
    record |= {
        "outcome": proof.outcome,
        "exception": (proof.exception or "").strip().partition("\n")[0][:300],
        "codes": sorted({item.code for item in findings}),
        "effects": sorted({item.effect.value for item in findings}),
    }
    if findings or proof.outcome not in _RIGHT:
        record["guarded"] = prove(program, inputs, spec, checks="guard").outcome
    return record


def verdict(record: dict[str, Any]) -> str:
    """``no program``, ``missed``, ``not guarded`` (broken with the guard, too), ``false alarm`` or ``agree``."""
    if not record["outcome"]:
        return "no program"
    right = record["outcome"] in _RIGHT
    if not right and not record["codes"]:
        return "missed"
    if record["guarded"] not in ("", *_RIGHT):
        return "not guarded"
    alarmed = set(record.get("effects", ())) - {"exact", "cpu_fallback", "quality"}
    return "false alarm" if right and alarmed else "agree"


def summary(records: Sequence[dict[str, Any]]) -> str:
    """The counts, then each record that does not agree."""
    counts = Counter(map(verdict, records))
    lines = [f"{number:5} {name}" for name, number in sorted(counts.items())]
    broken = sum(record["outcome"] not in ("", *_RIGHT) for record in records)
    lines.append(f"{broken:5} broken, of {len(records)}")
    lines += [f"{verdict(record)}: {json.dumps(record)}" for record in records if verdict(record) != "agree"]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, appended to")
    parser.add_argument("--config", default="int8-per-channel", help="of the quantizer; a16w8 adds the int16 extension")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only this function; repeatable")
    parser.add_argument("--summary", action="store_true", help="print the counts of --out and stop")
    options = parser.parse_args(argv)
    if not options.summary:
        _run(options.out, options.config, options.only)
    print(summary(_records(options.out)))
    return 0


def _run(out: Path, config: str, only: Sequence[str]) -> None:
    torch.set_num_threads(1)
    hurry_alone()
    extension = "+int16" if config == "a16w8" else ""
    known = {(record["name"], record["target"], record["config"]) for record in _records(out)}
    for number, name in enumerate(only or FUNCTIONS):
        if number % _TIDY == 0:
            tidy()
        for profile in PROFILES:
            spec = profile + extension
            if (name, spec, config) not in known:
                with out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(judged(name, spec, config)) + "\n")


def _records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


if __name__ == "__main__":
    sys.exit(main())
