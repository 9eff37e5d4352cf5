"""fuseguard: checks the invariants that ExecuTorch's Arm backend assumes of a quantized PyTorch program.

Importing this package needs no torch; neither does checking a file.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fuseguard.api import check, check_files, render, why_not
    from fuseguard.engine.finding import Effect, Finding, Severity
    from fuseguard.engine.run import Report
    from fuseguard.engine.why_not import UnknownNode
    from fuseguard.engine.why_not_answer import WhyNot
    from fuseguard.gate.result import CheckResult
    from fuseguard.gate.suppress import SuppressionError, SuppressionRule
    from fuseguard.readers.errors import UnreadableInput
    from fuseguard.target import Target, TargetError

__version__ = "0.1.0"

__all__ = [
    "CheckResult",
    "Effect",
    "Finding",
    "Report",
    "Severity",
    "SuppressionError",
    "SuppressionRule",
    "Target",
    "TargetError",
    "UnknownNode",
    "UnreadableInput",
    "WhyNot",
    "__version__",
    "check",
    "check_files",
    "render",
    "why_not",
]

#: Name -> module, imported when asked for: pytest imports this package in every run, for fuseguard.pytest_plugin.
_LATE = {
    "CheckResult": "gate.result",
    "Effect": "engine.finding",
    "Finding": "engine.finding",
    "Report": "engine.run",
    "Severity": "engine.finding",
    "SuppressionError": "gate.suppress",
    "SuppressionRule": "gate.suppress",
    "Target": "target",
    "TargetError": "target",
    "UnknownNode": "engine.why_not",
    "UnreadableInput": "readers.errors",
    "WhyNot": "engine.why_not_answer",
    "check": "api",
    "check_files": "api",
    "render": "api",
    "why_not": "api",
}


def __getattr__(name: str) -> object:
    if name in _LATE:
        found: object = getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
