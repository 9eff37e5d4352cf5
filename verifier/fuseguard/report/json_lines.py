"""The JSON report as one object per line, for programs that read as it comes: run, findings and errors, summary."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from fuseguard.gate.result import CheckResult, FileResult
from fuseguard.report.json import envelope, failure_dict, finding_dict, summary_dict, target_dict
from fuseguard.report.options import Options
from fuseguard.report.quoting import quoted_tree


def render(result: CheckResult, options: Options | None = None) -> str:
    """The report, a line per record, each ending with a newline."""
    del options
    # Keys and values are those of the JSON report; ASCII for the same reason as there.
    lines = (json.dumps(quoted_tree(record), allow_nan=False, separators=(",", ":")) for record in records(result))
    return "".join(f"{line}\n" for line in lines)


def records(result: CheckResult) -> Iterator[dict[str, Any]]:
    """The records in order: ``type`` says what each is."""
    yield {
        "type": "run",
        **envelope(),
        "target": target_dict(result.target),
        "targets": [target_dict(target) for target in result.targets or (result.target,)],
        "policy": result.policy,
        "rules": list(result.rules),
    }
    for file in result.files:
        yield from _file(file)
    yield {"type": "summary", **summary_dict(result)}


def _file(result: FileResult) -> Iterator[dict[str, Any]]:
    if result.error is not None:
        yield {"type": "error", "file": result.file, "kind": result.error.kind, "message": result.error.message}
    if result.report is None:
        return
    for kind, findings in (("finding", result.report.findings), ("suppressed", result.report.suppressed)):
        for finding in findings:
            yield {"type": kind, "file": result.file, "target": finding.target, **finding_dict(finding)}
    for failure in result.report.failures:
        yield {"type": "failure", "file": result.file, **failure_dict(failure)}
    for notice in result.report.notices:
        yield {"type": "notice", "file": result.file, "message": notice}
