"""The JSON report. Keys are only ever added within one major ``schema_version``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import fuseguard
from fuseguard.engine.finding import Finding, Outcome, Severity, Suppression, SuppressionKind
from fuseguard.engine.interface import Value
from fuseguard.engine.run import Report, RuleFailure
from fuseguard.gate.result import CheckResult, FileResult, of_report
from fuseguard.ir.graph import SourceLine
from fuseguard.ir.layout import layout_of
from fuseguard.ir.qparams import QParams
from fuseguard.report.json_text import indented
from fuseguard.report.numbers import json_number
from fuseguard.report.options import Options
from fuseguard.report.quoting import array, labelled, name, quoted_tree
from fuseguard.report.statistics import statistics
from fuseguard.target import Target, is_measured

SCHEMA_VERSION = "1.1"


def render(result: CheckResult, options: Options | None = None) -> str:
    """The report as one JSON object, ending with a newline."""
    del options  # it holds everything, and paths as they were recorded
    return dump(to_dict(result))


def dump(document: dict[str, Any]) -> str:
    """JSON text in ASCII, so that no locale can break the writing. What it quotes of a file is quoted here."""
    return indented(quoted_tree(document))


def envelope() -> dict[str, Any]:
    """The keys that every JSON document of fuseguard starts with."""
    return {"schema_version": SCHEMA_VERSION, "tool": {"name": "fuseguard", "version": fuseguard.__version__}}


def to_dict(result: CheckResult) -> dict[str, Any]:
    """The report as JSON-ready data."""
    return {
        **envelope(),
        "target": target_dict(result.target),
        "targets": [target_dict(target) for target in result.targets or (result.target,)],
        "policy": result.policy,
        "rules": list(result.rules),
        "files": [_file(file) for file in result.files],
        "summary": summary_dict(result),
    }


def report_dict(report: Report) -> dict[str, Any]:
    """The report on one program, as JSON-ready data."""
    return to_dict(of_report(report))


def summary_dict(result: CheckResult) -> dict[str, Any]:
    """Counts over all files; ``statistics`` has one entry per rule that found something."""
    return {
        "errors": result.count(Severity.ERROR),
        "warnings": result.count(Severity.WARNING),
        "notes": result.count(Severity.NOTE),
        "nodes": result.nodes,
        "islands": result.islands,
        "suppressed": result.count_suppressed(SuppressionKind.IGNORE, SuppressionKind.FIXME),
        "fixme": result.count_suppressed(SuppressionKind.FIXME),
        "baseline": result.count_suppressed(SuppressionKind.BASELINE),
        "files": len(result.programs),
        "files_unreadable": result.errors("unreadable"),
        "files_failed": result.errors("internal"),
        "rule_failures": result.failures,
        "statistics": [
            {"code": row.code, "name": row.name, "findings": row.findings, "repairable": row.repairable}
            for row in statistics(result)
        ],
        "exit_code": result.exit_code,
    }


def target_dict(target: Target) -> dict[str, Any]:
    """A target; ``executorch_measured`` says whether effects were measured on exactly its release."""
    return {
        "name": str(target),
        "spec": target.spec,
        "profile": target.profile,
        "extensions": sorted(target.extensions),
        "accelerator": target.accelerator,
        "executorch": str(target.release),
        "executorch_measured": is_measured(target.release),
    }


def _file(result: FileResult) -> dict[str, Any]:
    report, error = result.report, result.error
    document: dict[str, Any] = {
        "file": result.file,
        "nodes": report.nodes if report else 0,
        "islands": report.islands if report else 0,
        "quantized": report.quantized if report else None,
        "inputs": [value_dict(value) for value in report.interface.inputs] if report else [],
        "outputs": [value_dict(value) for value in report.interface.outputs] if report else [],
        "findings": [finding_dict(finding) for finding in report.findings] if report else [],
        "suppressed": [finding_dict(finding) for finding in report.suppressed] if report else [],
        "failures": [failure_dict(failure) for failure in (report.failures if report else ())],
        "notices": list(report.notices) if report else [],
    }
    if error is not None:
        document["error"] = {"kind": error.kind, "message": error.message}
    return document


def value_dict(value: Value) -> dict[str, Any]:
    """An input or output; its qparams are null if it is not quantized."""
    return {
        "name": name(value.name),
        "program": name(value.program),
        "dtype": value.dtype,
        "shape": list(value.shape),
        **layout_dict(value.dim_order),
        "codes": value.codes,
        **qparams_dict(value.qparams),
    }


def layout_dict(dim_order: Sequence[int] | None) -> dict[str, Any]:
    """How a tensor lies in memory; both null if that is not known."""
    return {
        "layout": layout_of(dim_order) or None,
        "dim_order": None if dim_order is None else list(dim_order),
    }


def qparams_dict(qparams: QParams | None) -> dict[str, Any]:
    """The qparams of an input or output; all null for None, scale and zero point for unknown or per-channel ones."""
    document: dict[str, Any] = dict.fromkeys(("scale", "zero_point", "quant_min", "quant_max", "quantized_dtype"))
    if qparams is not None:
        document |= {"quant_min": qparams.qmin, "quant_max": qparams.qmax, "quantized_dtype": qparams.dtype or None}
        if qparams.known and not qparams.per_channel:
            document |= {"scale": json_number(qparams.scale), "zero_point": qparams.zero_point}
    return document


def failure_dict(failure: RuleFailure) -> dict[str, Any]:
    """A rule that raised."""
    return {"code": failure.code, "graph": failure.graph, "error": failure.error}


def finding_dict(finding: Finding) -> dict[str, Any]:
    """A finding; absent facts are null, never missing keys."""
    return {
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity.value,
        "effect": finding.effect.value,
        "effect_meaning": finding.effect.meaning,
        "case": finding.case,
        "evidence": finding.evidence.value if finding.evidence else None,
        "evidence_note": finding.evidence_note,
        "evidence_release": finding.evidence_release or None,
        "message": finding.message,
        "remedy": finding.remedy,
        "nodes": array(finding.nodes),
        "cluster": array(finding.cluster),
        "graph": name(finding.graph),
        "source": source_dict(finding.source),
        "called_from": source_dict(finding.called_from),
        "module": name(finding.module),
        "module_type": name(finding.module_type),
        "island": name(finding.island),
        "island_key": finding.island_key,
        "qparams": [{"label": name(label), "value": value} for label, value in labelled(finding.qparams)],
        "details": [{"label": label, "value": value} for label, value in finding.details],
        "bound_steps": json_number(finding.bound_steps),
        "bound_value": json_number(finding.bound_value),
        "repairable": finding.repairable,
        "unsafe_repair": finding.unsafe_repair,
        "refused": finding.refuse,
        "caused_by": finding.caused_by,
        "fingerprint": finding.fingerprint,
        "outcomes": [outcome_dict(outcome) for outcome in finding.outcomes],
        "suppression": _suppression(finding.suppression),
    }


def outcome_dict(outcome: Outcome) -> dict[str, Any]:
    """What one target makes of a place; all null where the rule finds nothing there."""
    return {
        "target": outcome.target,
        "effect": outcome.effect.value if outcome.effect else None,
        "severity": outcome.severity.value if outcome.severity else None,
        "evidence": outcome.evidence.value if outcome.evidence else None,
        "evidence_note": outcome.evidence_note,
        "evidence_release": outcome.evidence_release or None,
        "refused": outcome.refuse,
        "bound_steps": json_number(outcome.bound_steps),
        "bound_value": json_number(outcome.bound_value),
    }


def _suppression(suppression: Suppression | None) -> dict[str, Any] | None:
    if suppression is None:
        return None
    return {
        "kind": suppression.kind.value,
        "reason": suppression.reason,
        "until": suppression.until.isoformat() if suppression.until else None,
        "scope": suppression.scope,
        "origin": source_dict(suppression.origin),
    }


def source_dict(source: SourceLine | None) -> dict[str, Any] | None:
    if source is None:
        return None
    return {"file": source.file, "line": source.line, "function": source.function, "code": source.code}
