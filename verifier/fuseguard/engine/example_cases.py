"""The cases of a selftest: every example of every rule, in each of its forms, for each integer profile. Torch-free.

:mod:`fuseguard.executorch.selftest` judges them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fuseguard.engine.finding import Severity
from fuseguard.engine.registry import Registry
from fuseguard.engine.rule import Example, Rule

#: The integer profiles; rules are about integer lowering.
PROFILES: tuple[str, ...] = ("TOSA-1.0+INT", "TOSA-1.0+INT+FP")

Form: TypeAlias = Literal["graph", "program"]


@dataclass(frozen=True, slots=True)
class Case:
    """One example in one form under one profile: ``graph`` is the hand-made Q/DQ program, ``program`` the float
    module after Arm's quantizer.
    """

    code: str
    title: str
    good: bool
    form: Form
    spec: str

    def __str__(self) -> str:
        return f"{self.code} {self.title} ({self.form}, {self.spec})"


#: Instead of an outcome if the judge has not run.
NOT_JUDGED = "-"


@dataclass(frozen=True, slots=True)
class Result:
    """What the table says about a case and what was seen.

    ``expected`` is the worst announced effect ("exact" where nothing is found), ``evidence`` how that is known and
    ``found`` the code and case of each finding, the worst first. ``outcome`` is the judge's outcome, ``cpu`` the number
    of operators left outside delegates, ``guarded`` the outcome with the guard, "" where the guard refuses nothing.
    ``repaired`` is the outcome of the exactly repaired program, "" where nothing was repaired or nobody asked, and
    ``equal`` whether its eager results are those of the program to the bit. ``fault`` says what disagrees, "" if
    nothing does.
    """

    case: Case
    expected: str
    evidence: str
    found: tuple[tuple[str, str], ...]
    outcome: str
    cpu: int
    guarded: str
    detail: str
    fault: str
    repaired: str = ""
    equal: bool | None = None

    @property
    def agrees(self) -> bool:
        return not self.fault

    @property
    def judged(self) -> bool:
        """Whether the judge has an outcome; it has none if the process was killed."""
        return self.outcome != NOT_JUDGED

    @property
    def announced(self) -> tuple[str, ...]:
        """The codes found, sorted."""
        return tuple(sorted({code for code, _ in self.found}))


def cases(rules: Iterable[Rule], profiles: Sequence[str] = PROFILES) -> tuple[Case, ...]:
    """Every example of ``rules`` in each of its forms, under each profile; an example that rules share, once.

    Those of a rule about one accelerator are left out: the judge of a selftest is the TOSA reference model.
    """
    found: dict[tuple[str, str, str], Case] = {}
    for rule in rules:
        if rule.accelerator:
            continue
        for example in (*rule.bad, *rule.good):
            forms: tuple[Form, ...] = ("graph",) if example.program is None else ("graph", "program")
            for form in forms:
                for profile in profiles:
                    case = Case(rule.code, example.title, example in rule.good, form, example.spec(profile))
                    found.setdefault((example.title, form, profile), case)
    return tuple(found.values())


def example_of(case: Case, registry: Registry) -> tuple[Rule, Example]:
    """The example that a case is about, and its rule. Raises KeyError if no rule of ``registry`` has it."""
    rule = registry.get(case.code)
    example = next((item for item in (*rule.bad, *rule.good) if item.title == case.title), None) if rule else None
    if rule is None or example is None:
        raise KeyError(f"no installed rule has the example {case}")
    return rule, example


def repair_policy(rule: Rule) -> str:
    """The policy under which the rule's findings are repaired: ``bit-exact`` where no row of its table is an error."""
    errors = any(row.effect.severity is Severity.ERROR for row in rule.effects.rows)
    return "consistent" if rule.refused or errors else "bit-exact"
