"""The reference of the Python API: a directive of mkdocstrings for each public name, by what it is for.

mkdocstrings fills in signatures and docstrings when the site is built. It reads the source and imports nothing, so
that no torch is needed. Names come from ``__all__``, so that none can be missing.
"""

from __future__ import annotations

import fuseguard
import fuseguard.executorch

#: Heading -> its names. What ``__all__`` has besides is under the last heading.
_SECTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "fuseguard": {
        "Check": ("check", "check_files", "render", "why_not"),
        "Results": ("Report", "CheckResult", "Finding", "Severity", "Effect", "WhyNot"),
        "Targets and suppressions": ("Target", "SuppressionRule"),
    },
    "fuseguard.executorch": {
        "Guard": ("guard", "support_checks", "report_of", "GuardReport"),
        "Repair and lower": ("repair", "lower", "repair_and_verify", "RepairResult", "VerifiedRepair"),
        "Prove": ("prove", "Proof", "Explanation"),
        "Placement": ("placement", "Placement", "LeftOut", "Reason", "VelaAnswer", "PartitionError"),
        "Costs on an Ethos-U": ("costs_of", "Cost", "Estimate"),
        "Reduce": ("reduce", "Reduction"),
    },
}
_OTHER = {"fuseguard": "Errors", "fuseguard.executorch": "Errors and helpers"}
_ABOUT = {
    "fuseguard": "`import fuseguard` needs no torch, and checking a file needs none either.",
    "fuseguard.executorch": "These names need torch and ExecuTorch. They are imported when they are first used.",
}


def python_page() -> str:
    """The page, in Markdown with directives of mkdocstrings."""
    lines = [
        "# Python reference", "",
        "[Python](../python.md) introduces the API. This page has the signature of every public name, with what it "
        "returns and raises. `make docs` makes it from the docstrings, which `help(fuseguard.check)` shows too.", "",
    ]  # fmt: skip
    for module in (fuseguard, fuseguard.executorch):
        name = module.__name__
        lines += [f"## {name}", "", _ABOUT[name], ""]
        listed = {public for names in _SECTIONS[name].values() for public in names}
        others = tuple(public for public in module.__all__ if public not in listed and public != "__version__")
        for heading, names in {**_SECTIONS[name], _OTHER[name]: others}.items():
            lines += [f"### {heading}", ""]
            for public in names:
                lines += [f"::: {name}.{public}", ""]
    return "\n".join(lines)
