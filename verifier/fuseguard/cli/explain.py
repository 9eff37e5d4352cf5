"""``fuseguard explain``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from fuseguard.cli import exits, output
from fuseguard.engine.housekeeping import HousekeepingRule
from fuseguard.engine.registry import Registry, load_registry, matches
from fuseguard.engine.rule import Rule
from fuseguard.report.lines import Line

EPILOG = """\b
Examples:
  fuseguard explain FU101
  fuseguard explain FU
  fuseguard explain fused-activation-out-of-range
  fuseguard explain --all --output-format json"""


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    del ctx, param
    keys = (key for rule in load_registry().everything for key in (rule.code, rule.name))
    return [key for key in keys if key.lower().startswith(incomplete.lower())]


@click.command("explain", epilog=EPILOG, short_help="Explain a rule: what it finds, why it matters and what to do.")
@click.argument("rules", nargs=-1, metavar="[CODE|NAME|FAMILY]...", shell_complete=_complete)
@click.option("--all", "everything", is_flag=True, help="Explain every rule.")
@output.format_option("text", "json")
@output.color_option
def command(rules: tuple[str, ...], everything: bool, output_format: str, color: str) -> None:
    """Explain a rule: what it finds, why it matters, what happens on each release and what to do."""
    if everything == bool(rules):
        raise click.UsageError("Name a rule ('fuseguard rules' lists them) or use --all, not both.")
    registry = load_registry()
    named = (rule for name in rules for rule in find(registry, name))
    chosen = registry.everything if everything else tuple(dict.fromkeys(named))
    packs = pack_of(registry)
    if output_format == "json":
        from fuseguard.report import json, rule_json

        documents = [
            rule_json.full(rule, packs[rule.code]) if isinstance(rule, Rule) else rule_json.housekeeping(rule)
            for rule in chosen
        ]
        output.write_text(json.dump({**json.envelope(), "rules": documents}))
    else:
        output.write_lines(_lines(chosen, packs), color, wrap=True)


def find(registry: Registry, name: str) -> list[Rule | HousekeepingRule]:
    """The rules with this code, beginning of a code (``FU``) or name. Raises Failure naming the nearest."""
    found = [rule for rule in registry.everything if matches(rule, name.strip())]
    if not found:
        raise exits.Failure(f"No rule is called {name!r}. {registry.nearest(name)}")
    return found


def pack_of(registry: Registry) -> dict[str, str]:
    """The rule pack and version that each code comes from."""
    return {rule.code: f"{pack.name} {pack.version}" for pack in registry.packs for rule in pack.rules}


def _lines(rules: Sequence[Rule | HousekeepingRule], packs: dict[str, str]) -> Iterator[Line]:
    from fuseguard.report import rule_text

    for number, rule in enumerate(rules):
        if number:
            yield Line()
            yield Line(("-" * 80, "dim"))
            yield Line()
        if isinstance(rule, Rule):
            yield from rule_text.explain(rule, packs[rule.code])
        else:
            yield from rule_text.explain_housekeeping(rule)
