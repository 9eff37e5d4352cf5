"""fuseguard: checks the invariants that ExecuTorch's Arm backend assumes of a quantized program.

Importing this package needs no torch; neither does checking a file.
"""

from fuseguard.api import check
from fuseguard.engine.finding import Effect, Finding, Severity
from fuseguard.engine.run import Report
from fuseguard.readers.errors import UnreadableInput
from fuseguard.target import Target, TargetError

__version__ = "0.1.0"

__all__ = [
    "Effect",
    "Finding",
    "Report",
    "Severity",
    "Target",
    "TargetError",
    "UnreadableInput",
    "__version__",
    "check",
]
