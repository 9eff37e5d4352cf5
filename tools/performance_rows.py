"""The rows of docs/performance.md: what is measured, what it was, and what it must reach.

``tests/bench/bench.py`` measures them, ``performance_page.py`` makes the page of the results.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "tests" / "bench" / "results.json"
#: The commit before the optimizations that the page is about: each measurement also runs on it.
BEFORE = "5c6f714"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a measurement; ``form`` is how it is written, such as ``{:.2f} s``."""

    key: str
    label: str
    form: str


@dataclass(frozen=True, slots=True)
class Goal:
    """``figure`` must be at most (or at least) ``bound``; ``text`` says so in words.

    ``of_before``: the bound is a share of what the figure was before the optimizations.
    """

    figure: str
    bound: float
    text: str
    at_least: bool = False
    of_before: bool = False

    def met(self, now: Mapping[str, float], before: Mapping[str, float] | None = None) -> bool:
        """Whether the figures reach it. Raises KeyError if they lack it, ValueError if those before are needed."""
        value = now[self.figure]
        if self.of_before:
            if before is None:
                raise ValueError(f"{self.text}: there is no measurement before the optimizations")
            value /= before[self.figure]
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    ``stated`` are the figures that the issue states of the time before all measurements here, on another day.
    ``script`` is the measurement, below tests/bench/measures; ``torch`` says whether it needs torch and executorch.
    ``alone`` is why it is measured on this commit only; "" if on the one before, too. ``apart``: it is measured only
    where it is asked for by name.
    """

    key: str
    what: str
    stated: str
    script: str
    method: str
    figures: tuple[Figure, ...]
    goals: tuple[Goal, ...]
    torch: bool = False
    alone: str = ""
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A line of the record: what was slow, what was changed, and what it gained."""

    row: str
    slow: str
    changed: str
    gained: str


ROWS = (
    Row(
        "cold",
        "`fuseguard check FILE` cold, small file, with byte code",
        "0.24 s, imports 0.16 s; a bare start of Python 0.015 s",
        "cold.py",
        "Processor time of whole processes, the least of fifteen runs, in turn with bare starts of Python. "
        "`python -X importtime` lists the modules; a test limits their number.",
        (
            Figure("seconds", "check", "{:.3f} s"),
            Figure("bare", "bare start", "{:.3f} s"),
            Figure("ratio", "check / bare start", "{:.1f}"),
            Figure("modules", "modules imported", "{:.0f}"),
            Figure("own", "of these, fuseguard's", "{:.0f}"),
        ),
        (Goal("ratio", 0.5, "half of the time before: 0.12 s instead of 0.24 s", of_before=True),),
    ),
    Row(
        "reading",
        "Reading a .pt2 file of 25,600 nodes",
        "1.1 to 1.6 times a bare decode; peak memory 10 times the JSON",
        "reading.py",
        "A forged chain with stack traces and module paths as torch.export writes them. Each reading and each bare "
        "decode is a process of its own, without garbage collection; the least processor time of two. Memory is the "
        "peak during the reading above that before it.",
        (
            Figure("json_mib", "JSON", "{:.0f} MiB"),
            Figure("seconds", "reading", "{:.2f} s"),
            Figure("of_json", "reading / `json.loads`", "{:.2f}"),
            Figure("of_msgspec", "reading / `msgspec.json.decode`", "{:.2f}"),
            Figure("memory", "peak memory / JSON", "{:.1f}"),
            Figure("memory_msgspec", "the same of `msgspec.json.decode`", "{:.1f}"),
        ),
        (
            Goal("of_json", 1.3, "1.3 times a bare decode (`json.loads`)"),
            Goal("memory", 3.0, "memory 3 times the JSON"),
        ),
    ),
    Row(
        "largest",
        "Largest readable program",
        "40,000 nodes, 64 MiB of JSON for one program",
        "largest.py",
        "The limits of `readers/budget.py`, and the processor time of a check of the slower of two forged programs of "
        "`tests/fuseguard_testkit/costly.py`, each as large as the limits allow.",
        (
            Figure("nodes", "nodes", "{:,.0f}"),
            Figure("json_mib", "JSON of one program", "{:.0f} MiB"),
            Figure("seconds", "the slowest forged program", "{:.2f} s"),
            Figure("peak_mib", "peak memory of all", "{:.0f} MiB"),
        ),
        (
            Goal("nodes", 1_000_000, "1,000,000 nodes, if the budgets of hostile files allow it", at_least=True),
            Goal("peak_mib", 4096, "4 GB"),
        ),
    ),
    Row(
        "rules",
        "All rules",
        "38 to 54 µs for each node, linear",
        "rules.py",
        "Graphs of 10,000 nodes in memory. *chain*: one finding in twelve nodes, all of one rule. *mixed*: the bad "
        "examples of every rule side by side, one finding in ten nodes. The least processor time of five checks; "
        "function calls of one, which nothing disturbs. Doubled: the check of 10,000 nodes over that of 5,000.",
        (
            Figure("chain_microseconds", "chain, for each node", "{:.1f} µs"),
            Figure("chain_additions", "the same in additions of the loop", "{:.0f}"),
            Figure("chain_calls", "function calls for each node", "{:.0f}"),
            Figure("chain_doubled", "time, doubled", "{:.2f}"),
            Figure("chain_calls_doubled", "calls, doubled", "{:.2f}"),
            Figure("mixed_microseconds", "mixed, for each node", "{:.1f} µs"),
            Figure("mixed_additions", "the same in additions of the loop", "{:.0f}"),
            Figure("mixed_calls", "function calls for each node", "{:.0f}"),
            Figure("mixed_doubled", "time, doubled", "{:.2f}"),
            Figure("mixed_calls_doubled", "calls, doubled", "{:.2f}"),
        ),
        (
            Goal("chain_microseconds", 20.0, "chain: 20 µs for each node"),
            Goal("mixed_microseconds", 20.0, "mixed: 20 µs for each node"),
            Goal("chain_calls_doubled", 2.1, "chain: 2.1 times the calls for twice the nodes"),
            Goal("mixed_calls_doubled", 2.1, "mixed: 2.1 times the calls for twice the nodes"),
        ),
    ),
    Row(
        "shared",
        "Many findings on one DQ",
        "quadratic in their number",
        "shared.py",
        "2,000 islands read one dequantize op and have a fault each, so that every finding has all of them as its "
        "cluster. Doubled: 2,000 findings over 1,000.",
        (
            Figure("findings", "findings", "{:,.0f}"),
            Figure("microseconds", "for each finding", "{:.0f} µs"),
            Figure("doubled", "time, doubled", "{:.2f}"),
            Figure("calls_doubled", "calls, doubled", "{:.2f}"),
        ),
        (Goal("calls_doubled", 2.1, "linear: 2.1 times the calls for twice the findings"),),
    ),
    Row(
        "guard",
        "`guard`",
        "+0.15 % of a lowering",
        "guard.py",
        "The seconds inside the guard's checks, as a share of the guarded lowering that they are part of. A "
        "small classifier and one layer of a transformer, INT+FP; one lowering of each.",
        (
            Figure("small", "small classifier, share of the lowering", "{:.2%}"),
            Figure("transformer", "transformer layer, share of the lowering", "{:.2%}"),
        ),
        (
            Goal("small", 0.005, "small classifier: 0.5 %"),
            Goal("transformer", 0.005, "transformer layer: 0.5 %"),
        ),
        torch=True,
        alone="A lowering takes long, and the share is what counts.",
    ),
    Row(
        "live",
        "Live check of an edge program, compared with EXIREdgeDialectVerifier",
        "MobileNetV2 0.33 times, DistilBERT 0.19, digits 0.41",
        "live.py",
        "`fuseguard.check` of a live edge program (`to_edge` of the quantized program) against a run of "
        "EXIREdgeDialectVerifier on it; the least processor time of seven, in turn.",
        (
            Figure("transformer", "two layers of a transformer, check / verifier", "{:.2f}"),
            Figure("small", "small classifier, check / verifier", "{:.2f}"),
            Figure("transformer_ms", "check of the transformer", "{:.1f} ms"),
            Figure("transformer_verifier_ms", "the verifier on it", "{:.1f} ms"),
        ),
        (
            Goal("transformer", 0.15, "transformer: 0.15 times"),
            Goal("small", 0.15, "small classifier: 0.15 times"),
        ),
        torch=True,
    ),
    Row(
        "repair",
        "Repair of many violations, compared with one torch.export of the program",
        "not measured",
        "repair.py",
        "A quantized chain of 40 convolutions, each with an activation at fault, is repaired; the same float program "
        "is exported with torch.export. Processor time of one run each.",
        (
            Figure("findings", "violations", "{:,.0f}"),
            Figure("seconds", "repair", "{:.2f} s"),
            Figure("export", "torch.export", "{:.2f} s"),
            Figure("ratio", "repair / torch.export", "{:.2f}"),
        ),
        (Goal("ratio", 0.5, "0.5 times"),),
        torch=True,
    ),
    Row(
        "files",
        "Many small files, `-j 2` compared with `-j 1`",
        "492 files: 0.90 to 1.07 s compared with 1.17 to 1.26 s; 2.4 ms for each file",
        "files.py",
        "1,000 links to three small programs, whole commands with JSON output. Seconds by the clock; "
        "processor time beside them, which shows what the second process adds when both processors are not free.",
        (
            Figure("files", "files", "{:,.0f}"),
            Figure("milliseconds", "`-j 1`, for each file", "{:.2f} ms"),
            Figure("milliseconds_two", "`-j 2`, for each file", "{:.2f} ms"),
            Figure("cpu_milliseconds", "`-j 1`, processor time for each file", "{:.2f} ms"),
            Figure("faster", "`-j 1` / `-j 2`", "{:.2f}"),
            Figure("cpu_ratio", "processor time, `-j 2` / `-j 1`", "{:.2f}"),
        ),
        (
            Goal("faster", 1.8, "1.8 times faster", at_least=True),
            Goal("milliseconds_two", 1.0, "1 ms for each file"),
        ),
    ),
    Row(
        "prove",
        "`prove` on three inputs, three modes (unguarded, guarded, repaired)",
        "lowers nine times",
        "prove.py",
        "Calls of the lowering during the three proofs of a small program with a violation, on three input sets each. "
        "A count, not seconds.",
        (Figure("lowerings", "lowerings", "{:.0f}"),),
        (Goal("lowerings", 3, "3 lowerings"),),
        torch=True,
    ),
    Row(
        "tests",
        "`make test`",
        "8 min 47 s (4,000 tests)",
        "tests.py",
        "The whole command by the clock, with two workers, and the number of tests that pytest reports.",
        (
            Figure("seconds", "seconds", "{:,.0f} s"),
            Figure("tests", "tests", "{:,.0f}"),
            Figure("per_test", "for each test, in loops", "{:.3f}"),
        ),
        (Goal("seconds", 264, "half of 527 s"),),
        torch=True,
        alone="It runs every test, so `make bench BENCH_ARGS=tests` alone measures it, on this commit only.",
        apart=True,
    ),
)


def results(path: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Row key -> ``now`` and ``before``, each the figures of one measurement, and when and on what it was made."""
    read: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return read
