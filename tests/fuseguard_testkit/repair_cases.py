"""The bad examples of the rules that know a repair, and which of them are repaired on which target. Torch-free."""

from __future__ import annotations

from fuseguard.engine import Example, Rule, run
from fuseguard.engine.example_cases import repair_policy
from fuseguard.engine.finding import Severity
from fuseguard.engine.registry import load_registry
from fuseguard.target import MEASURED_RELEASES, Target

PROFILES = ("TOSA-1.0+INT+FP", "TOSA-1.0+INT")
SELECTED = load_registry().select()
RULES = [rule for rule in SELECTED if rule.repairable]
EXAMPLES = [(rule, example) for rule in RULES for example in rule.bad]
#: Rules that repair for one profile alone: under the other one, the op stays on the CPU, where it is right, and an op
#: that a repair adds would be one more there.
ONE_PROFILE = dict.fromkeys(("OP723", "OP729", "PL404", "QP307"), PROFILES[0])
#: One in so many examples is judged without being thorough, and one at least of every rule.
_SHORT = 3


def fixed(rule: Rule, example: Example, spec: str, release: str | None = None) -> set[str]:
    """The codes of what an exact repair is announced for; ``release`` None means the installed one."""
    report = run(example.graph(), Target.parse(spec, release), SELECTED, repair_policy(rule))
    refused = {item.code: item.refused for item in SELECTED}
    return {
        finding.code
        for finding in report.findings
        if finding.repairable and (finding.refuse or (not refused[finding.code] and finding.severity is Severity.ERROR))
    }


def reach_the_judge(rule: Rule, example: Example, release: str | None = None) -> bool:
    """Whether the rule repairs the example under all profiles that it repairs for, on ``release``."""
    return all(rule.code in fixed(rule, example, example.spec(profile), release) for profile in _profiles(rule))


def _profiles(rule: Rule) -> tuple[str, ...]:
    return (ONE_PROFILE[rule.code],) if rule.code in ONE_PROFILE else PROFILES


def _short() -> dict[int, str]:
    """The examples of the short run, with the profile that each is judged under, by turns where there are two."""
    chosen = set(range(0, len(EXAMPLES), _SHORT))
    for rule in RULES:
        own = [number for number, (owner, _) in enumerate(EXAMPLES) if owner is rule]
        shown = [n for n in own if any(reach_the_judge(*EXAMPLES[n], release) for release in MEASURED_RELEASES)]
        if not chosen.intersection(shown):
            chosen.update(shown[:1])
    found = {}
    for turn, number in enumerate(sorted(chosen)):
        profiles = _profiles(EXAMPLES[number][0])
        found[number] = profiles[turn % len(profiles)]
    return found


#: Number of an example among EXAMPLES -> profile.
SHORT = _short()
