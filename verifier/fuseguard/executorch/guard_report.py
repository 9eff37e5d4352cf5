"""What a guard refused and why: every reason, not only the first that the backend keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fuseguard.engine.finding import Effect, Finding, Severity
from fuseguard.engine.run import Report
from fuseguard.engine.shown import Printed, counted, lines_of, one_line, one_line_at, page_of, place_of, some_of

if TYPE_CHECKING:
    from fuseguard.executorch.costs import Cost, Key

_MOST_LINES = 11  # that are printed


@dataclass(repr=False)
class GuardReport(Printed):
    """Filled while a guarded partitioner runs; complete when lowering returns.

    Attributes:
        target: what is lowered for.
        policy: the policy that decides what is refused.
        analyses: a Report for each graph analysed. Control-flow bodies are graphs of their own.
        errors: internal errors as (node or rule, text).
        fixed: faults that no refusal could prevent, and that the guard fixed in the program itself.
        costs: what a refusal costs compared with the repair, by finding of the program. Empty unless asked for:
            ``report.costs = costs_of(program, partitioner)``, or 'fuseguard prove --guard --cost'.
    """

    target: str
    policy: str
    analyses: list[Report] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)
    fixed: list[Finding] = field(default_factory=list)
    costs: dict[Key, Cost] = field(default_factory=dict)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every distinct finding, in the order found."""
        return tuple(dict.fromkeys(finding for report in self.analyses for finding in report.findings))

    @property
    def refused(self) -> dict[str, tuple[str, ...]]:
        """Refused node names of the edge graph, each with the codes of all rules that refuse it."""
        codes: dict[str, dict[str, None]] = {}
        for finding in self.findings:
            if finding.refuse:
                for name in finding.cluster:
                    codes.setdefault(name, {})[finding.code] = None
        return {name: tuple(found) for name, found in codes.items()}

    def add_analysis(self, report: Report) -> None:
        self.analyses.append(report)

    def add_fixed(self, finding: Finding) -> None:
        self.fixed.append(finding)

    def add_error(self, where: str, error: BaseException) -> None:
        entry = (where, f"{type(error).__name__}: {error}")
        if entry not in self.errors:
            self.errors.append(entry)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form: target, policy, refused nodes with codes, findings, errors, costs."""
        return {
            "target": self.target,
            "policy": self.policy,
            "refused": {name: list(codes) for name, codes in self.refused.items()},
            "findings": [_as_dict(finding) for finding in self.findings],
            "fixed": [_as_dict(finding) for finding in self.fixed],
            "errors": [{"where": where, "error": text} for where, text in self.errors],
            "costs": [
                {"code": code, "graph": graph, "nodes": list(nodes), **cost.to_dict()}
                for (code, graph, nodes), cost in self.costs.items()
            ],
        }

    def _repr_html_(self) -> str:
        """What a notebook shows: how many nodes were refused, and a table of the findings."""
        return page_of("guard_html", self)

    def __str__(self) -> str:
        """In short; :meth:`lines` has it all."""
        if not self.findings and not self.errors and not self.fixed:
            return self._head()
        findings = [line for finding in self.findings[:_MOST_LINES] for line in _in_short(finding)]
        others = [*self._fixed_lines(), *self._cost_lines(), *self._error_lines()]
        if 1 + len(findings) + len(others) > _MOST_LINES:
            findings = lines_of(self.findings)
            others = [f"  {len(self.fixed)} fixed in the program itself"] * bool(self.fixed)
            others += [f"  what {counted(len(self.costs), 'finding')} cost: see lines()"] * bool(self.costs)
            for where, _ in self.errors[:1]:
                others.append(f"  {counted(len(self.errors), 'internal error')}, the first at {where}")
        return "\n".join(map(one_line, [self._head(), *findings, *others]))

    def lines(self) -> list[str]:
        """What was refused, reported and fixed, a line for each."""
        findings = []
        for finding in self.findings:
            where = f" at {place_of(finding.source)}" if finding.source else ""
            findings.append(f"  {finding.code} {finding.name}{where}: {_verb(finding)} {', '.join(finding.cluster)}")
        return [self._head(), *findings, *self._fixed_lines(), *self._cost_lines(), *self._error_lines()]

    def _head(self) -> str:
        if not self.findings and not self.errors and not self.fixed:
            return f"fuseguard: nothing refused for {self.target}"
        return f"fuseguard: {counted(len(self.refused), 'node')} refused for {self.target} (policy {self.policy})"

    def _fixed_lines(self) -> list[str]:
        return [f"  {item.code} {item.name}: fixed {', '.join(item.nodes)}" for item in self.fixed]

    def _cost_lines(self) -> list[str]:
        return [f"  {code} at {', '.join(nodes)}: {cost}" for (code, _, nodes), cost in self.costs.items()]

    def _error_lines(self) -> list[str]:
        return [f"  internal error at {where}: {text}" for where, text in self.errors]


def _in_short(finding: Finding) -> tuple[str, str]:
    """The rule and the place, and below them the nodes."""
    place = place_of(finding.source) if finding.source else ""
    return one_line_at(f"  {finding.code} {finding.name}", place), some_of(f"    {_verb(finding)} ", finding.cluster)


def _verb(finding: Finding) -> str:
    if not finding.refuse:
        return "reported"
    if finding.severity is Severity.NOTE and finding.effect is not Effect.BOUNDED:
        return "refused (right here, broken on other targets or releases):"
    return "refused"


def _as_dict(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "name": finding.name,
        "effect": finding.effect.value,
        "severity": finding.severity.value,
        "refused": finding.refuse,
        "nodes": list(finding.nodes),
        "cluster": list(finding.cluster),
        "message": finding.message,
        "source": str(finding.source) if finding.source else "",
        "module": finding.module,
    }
