"""What the HTML report shows, as JSON-ready data. The page's script makes text nodes of it, and never markup."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from fuseguard.engine.finding import Finding, Severity
from fuseguard.engine.run import Report
from fuseguard.gate.result import CheckResult, FileResult
from fuseguard.ir.graph import Graph
from fuseguard.readers import open as readers
from fuseguard.report import rule_json
from fuseguard.report.draw.islands import Drawings, Picture
from fuseguard.report.draw.ranges import CodeRange, code_range
from fuseguard.report.draw.shapes import Shape
from fuseguard.report.excerpts import Excerpts
from fuseguard.report.html_graph import Graphs
from fuseguard.report.json import envelope, failure_dict, finding_dict, summary_dict, target_dict
from fuseguard.report.locations import Locator
from fuseguard.report.numbers import json_number
from fuseguard.report.options import Options
from fuseguard.report.quoting import array, name, quoted
from fuseguard.target import Target

#: Boxes in all drawings of a page. After that, only the first finding of each group is drawn, and the others say so.
MAX_BOXES = 20_000
#: What all findings of a group have in common, and so is said once.
_SHARED = ("code", "name", "case", "severity", "effect", "effect_meaning", "remedy")
#: What is not shown.
_LEFT_OUT = ("nodes", "cluster", "suppression", "island_key")


def check_data(result: CheckResult, options: Options) -> dict[str, Any]:
    """The page of a check."""
    page = _Page(result, options)
    for number, file in enumerate(result.files):
        page.add(number, file)
    targets = result.targets or (result.target,)
    return {
        **envelope(),
        "kind": "check",
        "targets": [{**target_dict(target), **_counts(result, target, targets)} for target in targets],
        "policy": result.policy,
        "fail_on": result.fail_on.value,
        "summary": summary_dict(result),
        "files": [_file(file) for file in result.files],
        "groups": page.groups,
        "findings": page.findings,
        "shapes": list(page.shapes),
        "whole": page.graphs.to_dict(),
        "rules": {code: _rule(options, code) for code in sorted(page.codes) if code in options.rules},
    }


def _counts(result: CheckResult, target: Target, targets: Sequence[Target]) -> dict[str, int]:
    """How many findings of each severity a target has, and how many clusters the guard would refuse there."""
    counts = {f"{severity.value}s": 0 for severity in Severity}
    refused = 0
    for finding in result.findings:
        severity: Severity | None
        outcome = next((item for item in finding.outcomes if item.target == str(target)), None)
        if outcome is None and len(targets) > 1 and finding.effect.of_backend:
            continue
        severity, refuse = (outcome.severity, outcome.refuse) if outcome else (finding.severity, finding.refuse)
        if severity is not None:
            counts[f"{severity.value}s"] += 1
            refused += refuse
    return {**counts, "refused": refused}


def _file(file: FileResult) -> dict[str, Any]:
    report = file.report
    return {
        "file": name(file.file),
        "nodes": report.nodes if report else 0,
        "islands": report.islands if report else 0,
        "findings": len(report.findings) if report else 0,
        "suppressed": len(report.suppressed) if report else 0,
        "upkeep": file.upkeep,
        "error": quoted(file.trouble) if file.error else None,
        "notices": list(report.notices) if report else [],
        "failures": [failure_dict(failure) for failure in (report.failures if report else ())],
    }


def _rule(options: Options, code: str) -> dict[str, Any]:
    known = rule_json.full(options.rules[code], "")
    return {key: known[key] for key in ("summary", "why", "effects", "references")}


@dataclass
class _Page:
    """Collects groups and findings, and the boxes of all drawings, each once."""

    result: CheckResult
    options: Options
    groups: list[dict[str, Any]] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    shapes: dict[tuple[Any, ...], int] = field(default_factory=dict)
    codes: set[str] = field(default_factory=set)
    graphs: Graphs = field(default_factory=Graphs)
    _group_of: dict[tuple[Any, ...], int] = field(default_factory=dict)
    _anchors: set[str] = field(default_factory=set)
    _boxes: int = 0
    #: Numbers of the groups of which a finding is drawn.
    _drawn: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._locator: Locator = self.options.locator()
        self._excerpts = Excerpts(self.options.source_root)

    def add(self, number: int, file: FileResult) -> None:
        report = file.report
        if report is None:
            return
        graph = graph_of(file, report)
        drawings = Drawings(graph) if graph is not None else None
        first = len(self.findings)
        for finding in report.findings:
            self.findings.append(self._finding(number, finding, drawings))
            self.codes.add(finding.code)
        if graph is not None:
            self.graphs.add(number, graph, enumerate(report.findings, first), self.options.placed)

    def _finding(self, file: int, finding: Finding, drawings: Drawings | None) -> dict[str, Any]:
        told = finding_dict(finding)
        shared = {key: told.pop(key) for key in _SHARED}
        for key in _LEFT_OUT:
            del told[key]
        location = self._locator.locate(finding)
        excerpt = self._excerpts.of(finding, location)
        data = {
            **told,
            "id": self._anchor(finding),
            "group": self._group(shared),
            "file": file,
            "place": quoted(f"{location.path}:{location.line}") if location.line else "",
            "installed": quoted(finding.source.packaged) if finding.source and finding.source.installed else "",
            "ops": [name(node) for node in finding.nodes[:8]],
            "excerpt": asdict(excerpt) if excerpt is not None else None,
            "edits": array(finding.rewrite.edits if finding.rewrite else (), lambda edit: quoted(str(edit))),
            "drawing": None,
            "undrawn": False,
            "range": None,
        }
        if drawings is not None:
            data["undrawn"] = self._boxes >= MAX_BOXES and data["group"] in self._drawn
            drawn = None if data["undrawn"] else drawings.draw(finding)
            if drawn is not None:
                self._drawn.add(data["group"])
                data["drawing"] = {
                    "before": self._picture(drawn.before),
                    "after": self._picture(drawn.after) if drawn.after else None,
                    "left_out": drawn.left_out,
                }
            view = drawings.view(finding.graph)
            found = code_range(view, finding) if view is not None else None
            data["range"] = _range(found) if found is not None else None
        return data

    def _group(self, shared: dict[str, Any]) -> int:
        """The number of the group with all this in common: one rule, one case, one effect."""
        key = tuple(shared.values())
        if key not in self._group_of:
            self._group_of[key] = len(self.groups)
            self.groups.append({**shared, "count": 0, "repairable": 0})
        return self._group_of[key]

    def _anchor(self, finding: Finding) -> str:
        """What a link to the finding ends with. Fingerprints are unique within a program, not within a run."""
        told = finding.fingerprint.replace(":", "-")
        base = told if re.fullmatch(r"[0-9A-Za-z-]{4,64}", told) else "x"
        anchor, number = base, 1
        while anchor in self._anchors:
            number += 1
            anchor = f"{base}-{number}"
        self._anchors.add(anchor)
        return anchor

    def _picture(self, picture: Picture) -> dict[str, Any]:
        self._boxes += len(picture.shapes)
        return {
            "nodes": [self._shape(shape) for shape in picture.shapes],
            "edges": [list(edge) for edge in picture.edges],
            "offending": list(picture.offending),
            "cluster": list(picture.cluster),
            "offending_edges": list(picture.offending_edges),
            "added": list(picture.added),
        }

    def _shape(self, shape: Shape) -> int:
        key = (shape.name, shape.label, shape.kind, *shape.lines)
        return self.shapes.setdefault(key, len(self.shapes))


def graph_of(file: FileResult, report: Report) -> Graph | None:
    """The program that was checked: the live one, the one that was read, or the file read once more.

    None where it is no longer there or says something else now: a report has no drawings then.
    """
    if report.graph is not None or file.upkeep:
        return report.graph
    if file.graph is not None:
        return file.graph
    try:
        graph, _ = readers.read(file.file)
    except Exception:  # the file was read a moment ago; whatever has become of it, the findings stand
        return None
    return graph


def _range(found: CodeRange) -> dict[str, Any]:
    qparams = found.qparams
    return {
        "activation": name(found.activation),
        "minimum": json_number(found.minimum) if math.isfinite(found.minimum) else None,
        "maximum": json_number(found.maximum) if math.isfinite(found.maximum) else None,
        "scale": qparams.scale,
        "zero_point": qparams.zero_point,
        "dtype": name(qparams.dtype),
        "qmin": qparams.qmin,
        "qmax": qparams.qmax,
        "low": json_number(qparams.low),
        "high": json_number(qparams.high),
        "dtype_low": json_number(found.dtype_low),
        "dtype_high": json_number(found.dtype_high),
    }
