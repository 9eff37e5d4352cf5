"""Rules, findings, and what runs the one to get the other."""

from fuseguard.engine.effects import EffectRow, EffectsTable
from fuseguard.engine.finding import Effect, Evidence, Finding, Severity
from fuseguard.engine.registry import Registry, RulePackError, load_registry
from fuseguard.engine.rule import INTERFACE, Example, Rule
from fuseguard.engine.run import POLICIES, Report, RuleFailure, run

__all__ = [
    "INTERFACE", "POLICIES", "Effect", "EffectRow", "EffectsTable", "Evidence", "Example", "Finding", "Registry",
    "Report", "Rule", "RuleFailure", "RulePackError", "Severity", "load_registry", "run",
]  # fmt: skip
