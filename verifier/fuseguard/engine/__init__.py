"""What a rule is, the rules that are installed, and the engine that runs them over a graph."""

from fuseguard.engine.effects import EffectRow, EffectsTable
from fuseguard.engine.finding import Effect, Evidence, Finding, Severity
from fuseguard.engine.registry import Registry, RulePackError, load_registry
from fuseguard.engine.rewrite import (
    VALUE,
    Call,
    Duplicate,
    Edit,
    Fold,
    Insert,
    MakeConstant,
    MakeParameter,
    Pair,
    Replace,
    ReturnInstead,
    Rewrite,
    SetArgument,
    SwapOperands,
    Unannotate,
)
from fuseguard.engine.rule import INTERFACE, Example, Rule
from fuseguard.engine.run import POLICIES, Report, RuleFailure, run

__all__ = [
    "INTERFACE", "POLICIES", "VALUE", "Call", "Duplicate", "Edit", "Effect", "EffectRow", "EffectsTable", "Evidence",
    "Example", "Finding", "Fold", "Insert", "MakeConstant", "MakeParameter", "Pair", "Registry", "Replace", "Report",
    "ReturnInstead", "Rewrite", "Rule", "RuleFailure", "RulePackError", "SetArgument", "Severity", "SwapOperands",
    "Unannotate", "load_registry", "run",
]  # fmt: skip
