"""An overlay for Google's Model Explorer: the nodes of one program, coloured by the worst that was found there.

The JSON is that of ``NodeDataProviderGraphData`` (model-explorer 0.1.34, types.ts), and its keys the names of FX nodes,
as the stock adapter for ``.pt2`` files has them. Nothing of Model Explorer is imported.
"""

from __future__ import annotations

import json
from typing import Any

from fuseguard.engine.finding import Finding, Severity
from fuseguard.gate.result import CheckResult
from fuseguard.report.numbers import counted
from fuseguard.report.options import Options
from fuseguard.report.quoting import quoted, quoted_tree

_GRAPH = "graph"  # what the stock adapter calls the graph of every .pt2 file
_COLOURS = {Severity.ERROR: "#d93025", Severity.WARNING: "#f9ab00", Severity.NOTE: "#4285f4"}
_CLUSTER = "#e8d5d3"


def render(result: CheckResult, options: Options | None = None) -> str:
    """The overlay, ending with a newline. Raises ValueError for several programs: it names no file."""
    if len(result.programs) > 1:
        raise ValueError("model-explorer is about the nodes of one program; check one at a time")
    options = options or Options()
    findings = [finding for finding in result.findings if finding.nodes]
    shown = [finding for finding in findings if not finding.graph]
    if len(shown) < len(findings):
        hidden = counted(len(findings) - len(shown), "finding")
        options.warn(
            f"{hidden} in control-flow bodies left out of the overlay: Model Explorer shows no nodes of these."
        )
    data = {
        "name": _name(result),
        "results": _results(shown),
        "showExpandedSummaryOnGroupNode": True,  # how many of each value are in a collapsed module
    }
    return json.dumps(quoted_tree({_GRAPH: data}), indent=2) + "\n"


def _name(result: CheckResult) -> str:
    """What the overlay is called in the list of them, which has to say if something was not checked."""
    if any(file.error is not None for file in result.programs):
        return "fuseguard: the program could not be checked"
    failed = f", {counted(result.failures, 'rule failure')}" if result.failures else ""
    counts = ", ".join(counted(number, level.value) for level in Severity if (number := result.count(level)))
    target = str(result.target) if len(result.targets) <= 1 else counted(len(result.targets), "target")
    return f"fuseguard: {counts or 'nothing found'}{failed} ({target})"


def _results(findings: list[Finding]) -> dict[str, dict[str, Any]]:
    """By node: its worst severity and all codes; for the rest of a closed cluster, which one it belongs to."""
    at: dict[str, list[Finding]] = {}
    around: dict[str, list[Finding]] = {}
    seen: set[tuple[int, str]] = set()
    for finding in findings:
        for name in dict.fromkeys(finding.nodes):
            at.setdefault(name, []).append(finding)
        if (id(finding.cluster), finding.code) not in seen:  # findings share clusters
            seen.add((id(finding.cluster), finding.code))
            for name in finding.cluster:
                around.setdefault(name, []).append(finding)
    results: dict[str, dict[str, Any]] = {}
    for name, found in at.items():
        worst = max((finding.severity for finding in found), key=lambda severity: severity.rank)
        results[name] = {"value": f"{worst.value}: {_codes(found)}", "bgColor": _COLOURS[worst]}
    for name, found in around.items():
        if name not in results:
            results[name] = {"value": f"cluster of {_codes(found)}", "bgColor": _CLUSTER}
    return results


def _codes(findings: list[Finding]) -> str:
    return ", ".join(sorted({quoted(finding.code) for finding in findings}))
