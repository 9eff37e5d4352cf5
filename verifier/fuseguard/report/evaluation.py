"""What ``fuseguard evaluate`` found, as text and as JSON-ready data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fuseguard.report.json import envelope
from fuseguard.report.lines import Line, table
from fuseguard.report.numbers import json_number
from fuseguard.report.quoting import quoted

if TYPE_CHECKING:  # it imports torch
    from fuseguard.executorch.evaluating import Evaluation

_HEADER = ("program", "lowering", "score", "change", "predictions changed", "delegated", "on the CPU")


def render(
    evaluations: Sequence[Evaluation], file: str, target: str, metric: str, samples: int, dropped: Sequence[str] = ()
) -> Iterator[Line]:
    """A row for each way. ``dropped`` are sentences about those that lose more than they may."""
    yield Line((quoted(f"{file}: {metric} on {samples} samples, {target}"), "strong"))
    base = next(one.score for one in evaluations if one.way == "quantized")
    assert base is not None
    rows = []
    for one in evaluations:
        lowered = bool(one.outcome)
        change = "" if one.score is None or one.way == "quantized" else f"{one.score - base:+.4f}"
        rows.append(
            (
                one.way,
                one.outcome.replace("_", " "),
                "none" if one.score is None else f"{one.score:.4f}",
                change,
                "" if one.changed is None else f"{one.changed:.1%}",
                f"{one.delegated_ops} ops" if lowered else "",
                f"{_on_cpu(one)} ops" if lowered else "",
            )
        )
    yield from table(rows, _HEADER)
    for one in evaluations:
        if one.exception:
            yield Line(f"{one.way}: {quoted(one.exception.strip().partition(chr(10))[0])}", hang=2)
    for text in dropped:
        yield Line((text, "error"), hang=2)


def to_dict(
    evaluations: Sequence[Evaluation], file: str, target: str, metric: str, samples: int, dropped: Sequence[str] = ()
) -> dict[str, Any]:
    """The same as JSON-ready data."""
    return {
        **envelope(),
        "file": file,
        "target": target,
        "metric": metric,
        "samples": samples,
        "programs": [
            {
                "program": one.way,
                "score": json_number(one.score),
                "predictions_changed": json_number(one.changed),
                "outcome": one.outcome or None,
                "delegated_ops": one.delegated_ops,
                "cpu_ops": list(one.cpu_ops),
                "exception": one.exception,
            }
            for one in evaluations
        ],
        "dropped": list(dropped),
    }


def _on_cpu(one: Evaluation) -> int:
    return sum("quantize_per" not in op for op in one.cpu_ops)
