"""An overlay for Google's Model Explorer: the nodes of one program, coloured by the worst that was found there.

The JSON is that of ``NodeDataProviderGraphData`` (model-explorer 0.1.34, types.ts), and its keys the names of FX nodes,
as the stock adapter for ``.pt2`` files has them. Nothing of Model Explorer is imported.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fuseguard.engine.finding import Finding, Severity
from fuseguard.engine.shown import counted
from fuseguard.gate.result import CheckResult
from fuseguard.report.options import Options
from fuseguard.report.quoting import quoted, quoted_tree

#: What the stock adapter calls the graph of every .pt2 file, and so what the top level of a program is called here.
TOP = "graph"
#: Background and text, with a contrast of at least 4.5 to 1.
_COLOURS = {
    Severity.ERROR: ("#c5221f", "#ffffff"),
    Severity.WARNING: ("#f9ab00", "#202124"),
    Severity.NOTE: ("#1a73e8", "#ffffff"),
}
_CLUSTER = ("#f6d5d1", "#202124")


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
    return json.dumps(quoted_tree({TOP: node_data(overlay_name(result), shown)}), indent=2) + "\n"


def node_data(name: str, findings: Sequence[Finding]) -> dict[str, Any]:
    """The overlay of one graph with the findings in it. The values are words: sums and averages of them are hidden."""
    return {
        "name": name,
        "results": _results(findings),
        "showExpandedSummaryOnGroupNode": True,  # how many of each value are in a collapsed module
        "hideInAggregatedStatsTable": True,
        "showLabelCountColumnsInChildrenStatsTable": True,
    }


def overlay_name(result: CheckResult) -> str:
    """What the overlay is called in the list of them, which has to say if something was not checked."""
    if any(file.error is not None for file in result.programs):
        return "fuseguard: the program could not be checked"
    failed = f", {counted(result.failures, 'rule failure')}" if result.failures else ""
    counts = ", ".join(counted(number, level.value) for level in Severity if (number := result.count(level)))
    target = str(result.target) if len(result.targets) <= 1 else counted(len(result.targets), "target")
    return f"fuseguard: {counts or 'nothing found'}{failed} ({target})"


def _results(findings: Sequence[Finding]) -> dict[str, dict[str, Any]]:
    """By node: its worst severity and effect and all codes; for the rest of a closed cluster, whose it is."""
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
        worst = max(found, key=lambda finding: finding.severity.rank)
        effect = worst.effect.value.replace("_", " ")
        value = f"{worst.severity.value}, {effect}: {_codes(found)}"
        results[name] = _result(value, _COLOURS[worst.severity])
    for name, found in around.items():
        if name not in results:
            refused = "refused with" if any(finding.refuse for finding in found) else "cluster of"
            results[name] = _result(f"{refused} {_codes(found)}", _CLUSTER)
    return results


def _result(value: str, colours: tuple[str, str]) -> dict[str, str]:
    return {"value": value, "bgColor": colours[0], "textColor": colours[1]}


def _codes(findings: list[Finding]) -> str:
    return ", ".join(sorted({quoted(finding.code) for finding in findings}))
