"""Everything that needs torch and executorch: the plug-in for Arm's partitioners, the repair and the judge."""

import importlib
from typing import TYPE_CHECKING

from fuseguard.engine.rounds import EndlessRepair, RepairFault
from fuseguard.executorch.noise import quiet_imports
from fuseguard.readers.trust import UntrustedFile

if TYPE_CHECKING:
    from fuseguard.executorch.costs import Cost, Estimate, costs_of
    from fuseguard.executorch.explanations import Explanation
    from fuseguard.executorch.guard_report import GuardReport
    from fuseguard.executorch.judge import prove
    from fuseguard.executorch.partition import guard, report_of, support_checks, target_of
    from fuseguard.executorch.placements import LeftOut, Placement, Reason, VelaAnswer
    from fuseguard.executorch.placing import PartitionError, placement
    from fuseguard.executorch.proof import Proof
    from fuseguard.executorch.reducing.reduction import LostFailure, NoScript, NothingToReduce, Reduction, reduce
    from fuseguard.executorch.repairs import RepairResult, lower, repair
    from fuseguard.executorch.verified_repair import InexactRepair, VerifiedRepair, repair_and_verify

__all__ = [
    "Cost", "EndlessRepair", "Estimate", "Explanation", "GuardReport", "InexactRepair", "LeftOut", "LostFailure",
    "NoScript", "NothingToReduce", "PartitionError", "Placement", "Proof", "Reason", "Reduction", "RepairFault",
    "RepairResult", "UntrustedFile", "VelaAnswer", "VerifiedRepair", "costs_of", "guard", "lower", "placement",
    "prove", "reduce", "repair", "repair_and_verify", "report_of", "support_checks", "target_of",
]  # fmt: skip

#: Name -> module. Torch takes seconds to import and the backend, which only the judge and the repair need, takes more.
_LATE = {
    "Cost": "costs", "Estimate": "costs", "costs_of": "costs",
    "GuardReport": "guard_report",
    "guard": "partition", "report_of": "partition", "support_checks": "partition", "target_of": "partition",
    "Explanation": "explanations", "Proof": "judge", "prove": "judge",
    "LostFailure": "reducing.reduction", "NothingToReduce": "reducing.reduction",
    "NoScript": "reducing.reduction", "Reduction": "reducing.reduction", "reduce": "reducing.reduction",
    "LeftOut": "placements", "Reason": "placements", "VelaAnswer": "placements",
    "PartitionError": "placing", "Placement": "placements", "placement": "placing",
    "RepairResult": "repairs", "lower": "repairs", "repair": "repairs",
    "InexactRepair": "verified_repair", "VerifiedRepair": "verified_repair", "repair_and_verify": "verified_repair",
}  # fmt: skip


def __getattr__(name: str) -> object:
    if name in _LATE:
        with quiet_imports():
            found: object = getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
