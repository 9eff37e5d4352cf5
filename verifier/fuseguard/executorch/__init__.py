"""All that needs torch and executorch: the plug-in for Arm's partitioners and the judge."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fuseguard.executorch.guard_report import GuardReport
    from fuseguard.executorch.judge import Proof, prove
    from fuseguard.executorch.partition import guard, report_of, support_checks, target_of
    from fuseguard.executorch.repairs import RepairResult, lower, repair

__all__ = [
    "GuardReport", "Proof", "RepairResult", "guard", "lower", "prove", "repair", "report_of", "support_checks",
    "target_of",
]  # fmt: skip

#: Name -> module. Torch takes seconds to import and the backend, which only the judge and the repair need, takes more.
_LATE = {
    "GuardReport": "guard_report",
    "guard": "partition", "report_of": "partition", "support_checks": "partition", "target_of": "partition",
    "Proof": "judge", "prove": "judge",
    "RepairResult": "repairs", "lower": "repairs", "repair": "repairs",
}  # fmt: skip


def __getattr__(name: str) -> object:
    if name in _LATE:
        found: object = getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
