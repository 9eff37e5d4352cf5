"""All that needs torch and executorch: the plug-in for Arm's partitioners and the judge."""

from typing import TYPE_CHECKING

from fuseguard.executorch.guard_report import GuardReport
from fuseguard.executorch.partition import guard, report_of, support_checks, target_of

if TYPE_CHECKING:
    from fuseguard.executorch.judge import Proof, prove

__all__ = ["GuardReport", "Proof", "guard", "prove", "report_of", "support_checks", "target_of"]


def __getattr__(name: str) -> object:
    # The judge imports the whole backend; whoever only guards has imported just what they use of it.
    if name in ("Proof", "prove"):
        from fuseguard.executorch import judge

        return getattr(judge, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
