"""Finds rules: every rule pack registers in the entry point group ``fuseguard.rules``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from fuseguard.engine.archive_rules import ARCHIVE_RULES
from fuseguard.engine.collector import collector_paused
from fuseguard.engine.housekeeping import HOUSEKEEPING, HousekeepingRule
from fuseguard.engine.isolation import stdout_kept
from fuseguard.engine.nearest import nearest
from fuseguard.engine.program_rules import PROGRAM_RULES
from fuseguard.engine.rule import INTERFACE, Rule
from fuseguard.installed import GROUP, rule_packs
from fuseguard.ir.value import Value

__all__ = [
    "GROUP", "Registry", "RulePack", "RulePackError", "SelectorError", "load_registry", "make_pack", "matches",
    "selected",
]  # fmt: skip

_CODE = re.compile(r"^[A-Z]{2,3}\d{3}$")
_NAME = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*$")
_SCOPES = ("node", "edge", "cluster", "graph", "boundary")


class RulePackError(Exception):
    """A rule pack is broken. The text names the pack, the fault and what to do; the CLI exits with 2."""


class SelectorError(ValueError):
    """A code, prefix or name that matches no rule. The text names the nearest."""


class RulePack(Value, frozen=True):
    """An installed pack: its distribution and version, and its rules sorted by code."""

    name: str
    version: str
    rules: tuple[Rule, ...]


class Registry:
    """Rules by code and name."""

    def __init__(self, packs: Iterable[RulePack]) -> None:
        """Raises RulePackError when a code or name is taken twice."""
        self.packs = tuple(packs)
        self._by_code: dict[str, Rule] = {}
        own = (*ARCHIVE_RULES, *PROGRAM_RULES, *HOUSEKEEPING)
        taken = {key: "fuseguard itself" for rule in own for key in (rule.code, rule.name)}
        for pack in self.packs:
            for rule in pack.rules:
                for key in (rule.code, rule.name):
                    if key in taken:
                        raise RulePackError(
                            f"rule packs {taken[key]!r} and {pack.name!r} both define {key!r}; codes and names are "
                            f"unique. Uninstall one of them or have it renamed."
                        )
                    taken[key] = pack.name
                self._by_code[rule.code] = rule

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, sorted by code."""
        return tuple(self._by_code[code] for code in sorted(self._by_code))

    @property
    def everything(self) -> tuple[Rule | HousekeepingRule, ...]:
        """All that a finding can be of: the rules, and the AR, PG and SU codes, sorted by code."""
        own = (*ARCHIVE_RULES, *PROGRAM_RULES, *HOUSEKEEPING)
        return tuple(sorted((*self.rules, *own), key=lambda rule: rule.code))

    def find(self, code_or_name: str) -> Rule | HousekeepingRule | None:
        """As :meth:`get`, among the AR, PG and SU codes too."""
        return next((rule for rule in self.everything if _names(rule, code_or_name.strip())), None)

    def nearest(self, name: str) -> str:
        """``Did you mean 'x'?``, or where nothing is near the rules with these letters: the end of a message."""
        hint = nearest(name, (key for rule in self.everything for key in (rule.code, rule.name)))
        letters = name.strip().upper().rstrip("0123456789")
        family = [rule.code for rule in self.everything if letters and rule.code.rstrip("0123456789") == letters]
        if not hint and family:
            hint = f"The {letters} rules are {', '.join(family)}."
        return hint or "'fuseguard rules' lists all of them."

    def get(self, code_or_name: str) -> Rule | None:
        """The rule called ``FU101`` or ``fused-activation-out-of-range``; case does not matter."""
        wanted = code_or_name.strip()
        for rule in self.rules:
            if wanted.upper() == rule.code or wanted.lower() == rule.name:
                return rule
        return None

    def select(self, select: Sequence[str] = (), ignore: Sequence[str] = ()) -> tuple[Rule, ...]:
        """Rules whose code starts with one of ``select`` (all if empty) and with none of ``ignore``.

        Names are accepted too. Preview rules are chosen only by their full code or name. Raises SelectorError.
        """
        self.check_selectors((*select, *ignore), self.rules)
        return tuple(rule for rule in self.rules if selected(rule, select, ignore))

    def check_selectors(self, selectors: Iterable[str], among: Iterable[Rule | HousekeepingRule] | None = None) -> None:
        """Raises SelectorError for a selector that matches none of ``among``: by default :attr:`everything`."""
        known = self.everything if among is None else tuple(among)
        for selector in selectors:
            if not any(matches(rule, selector) for rule in known):
                raise SelectorError(f"{selector!r} matches no rule. {self.nearest(selector)}")


def selected(rule: Rule | HousekeepingRule, select: Sequence[str] = (), ignore: Sequence[str] = ()) -> bool:
    """Whether ``select`` (everything stable if empty) names the rule and ``ignore`` does not."""
    return (
        (any(matches(rule, selector) for selector in select) if select else not rule.preview)
        and (not rule.preview or any(_names(rule, selector) for selector in select))
        and not any(matches(rule, selector) for selector in ignore)
    )


def matches(rule: Rule | HousekeepingRule, selector: str) -> bool:
    """Whether ``selector`` is the rule's code, the beginning of it, or its name. An empty one matches nothing."""
    return bool(selector) and (rule.code.startswith(selector.upper()) or rule.name == selector.lower())


def _names(rule: Rule | HousekeepingRule, selector: str) -> bool:
    return selector.upper() == rule.code or selector.lower() == rule.name


def load_registry() -> Registry:
    """Import every installed pack. Raises RulePackError for one that is broken: a broken pack must not be
    mistaken for a clean program.
    """
    packs = []
    for name, value, version, load in rule_packs():
        try:
            # Nothing that is made by importing is garbage, so the collector would look through it in vain.
            with stdout_kept(), collector_paused():
                pack = load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a third party's module raises on import, SystemExit included
            raise RulePackError(
                f"rule pack {name!r} ({value}) failed to import: {type(error).__name__}: {error}. "
                f"Repair or uninstall it; fuseguard does not run with only part of its rules."
            ) from error
        packs.append(make_pack(name, version, pack))
    if not packs:
        raise RulePackError(
            "no rule pack is installed, not even fuseguard's own (entry point group 'fuseguard.rules' is empty); "
            "reinstall fuseguard."
        )
    return Registry(packs)


def make_pack(name: str, version: str, pack: Any) -> RulePack:
    """Validate what an entry point resolved to: a module or object with ``INTERFACE`` and ``RULES``.

    Raises RulePackError.
    """
    interface = getattr(pack, "INTERFACE", None)
    if interface != INTERFACE:
        raise RulePackError(
            f"rule pack {name!r} was written for interface {interface!r}; this fuseguard has {INTERFACE}. "
            f"Install a version of the pack that matches."
        )
    rules = []
    for item in getattr(pack, "RULES", ()):
        rule, fault = _made(item) if isinstance(item, type) else (item, _fault(item))
        if fault:
            label = getattr(rule, "code", None) or type(rule).__name__
            raise RulePackError(f"rule {label!r} of pack {name!r} {fault}.")
        rules.append(rule)
    if not rules:
        raise RulePackError(f"rule pack {name!r} has no RULES.")
    return RulePack(name, version, tuple(sorted(rules, key=lambda rule: rule.code)))


@lru_cache(maxsize=1024)
def _made(kind: type) -> tuple[Any, str]:
    """A rule, which has no state, and its fault: once for all checks of a process."""
    rule = kind()
    return rule, _fault(rule)


def _fault(rule: Any) -> str:
    """What is missing from a rule, or ""."""
    if not isinstance(rule, Rule):
        return "is not a fuseguard.engine.Rule"
    for attribute in ("code", "name", "summary", "why", "remedy", "scope", "message"):
        value = getattr(rule, attribute, None)
        if not isinstance(value, str) or not value.strip():
            return f"lacks {attribute!r} (its documentation is part of the rule)"
    if not _CODE.match(rule.code):
        return "has a code that is not two or three capital letters and three digits"
    if not _NAME.match(rule.name):
        return "has a name that is not kebab-case"
    if rule.scope not in _SCOPES:
        return f"has scope {rule.scope!r}; valid are {', '.join(_SCOPES)}"
    if not getattr(rule, "effects", None) or not rule.effects.rows:
        return "has no effects table"
    if not getattr(rule, "bad", None) or not getattr(rule, "good", None):
        return "lacks a bad or a good example"
    return ""
