"""What ``fuseguard test-rules`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fuseguard.engine.registry import RulePack
from fuseguard.engine.rule import Rule
from fuseguard.engine.rule_examples import Fault
from fuseguard.engine.shown import counted
from fuseguard.report.lines import Line, Span
from fuseguard.report.quoting import quoted

#: A pack and, for each of its rules, what is wrong with it.
PackFaults = tuple[RulePack, Sequence[tuple[Rule, Sequence[Fault]]]]


def render(results: Sequence[PackFaults]) -> Iterator[Line]:
    """One line a rule, the faults below it, and a summary."""
    for pack, rules in results:
        yield Line((f"{quoted(pack.name)} {quoted(pack.version)}", "strong"))
        width = max(len(rule.name) for rule, _ in rules)
        for rule, found in rules:
            examples = counted(len(rule.bad) + len(rule.good), "example")
            verdict: Span = ("ok", "good") if not found else (counted(len(found), "fault"), "error")
            yield Line(f"  {rule.code}  {rule.name:{width}}  ", verdict, f"  ({examples})")
            for fault in found:
                where = f"example {fault.example!r}: " if fault.example else ""
                yield Line(f"    - {quoted(where + fault.problem)}", hang=6)
        yield Line()
    rules_seen = sum(len(rules) for _, rules in results)
    total = sum(len(found) for _, rules in results for _, found in rules)
    size = f" in {counted(rules_seen, 'rule')}"
    yield Line((counted(total, "fault"), "error" if total else "good"), size)
