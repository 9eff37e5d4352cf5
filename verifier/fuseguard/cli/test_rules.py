"""``fuseguard test-rules``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from fuseguard.cli import candidates, exits, output
from fuseguard.cli.pack_source import find_pack, rules_beside
from fuseguard.engine.registry import RulePack, load_registry
from fuseguard.engine.rule import Rule
from fuseguard.engine.rule_examples import Fault, faults

EPILOG = """\b
Examples:
  fuseguard test-rules
  fuseguard test-rules ./my_rules
  fuseguard test-rules my_package.rules --output-format json

PACK is an installed rule pack, a module (or module:object), a directory or a
file. It is imported, so its code runs. Without PACK, all installed packs are
tested. Exit codes: 0 nothing is wrong with the rules; 1 something is; 2 usage,
a pack that cannot be loaded, or internal error."""


@click.command("test-rules", epilog=EPILOG, short_help="Test the rules of a pack on their own examples.")
@click.argument("packs", nargs=-1, metavar="[PACK]...", shell_complete=candidates.packs)
@output.format_option("text", "json")
@output.color_option
@click.pass_context
def command(ctx: click.Context, packs: tuple[str, ...], output_format: str, color: str) -> None:
    """Test the rules of a pack on their own examples, for every measured release. Needs no torch.

    A rule must report its bad examples and accept its good ones. Findings must name a closed cluster and fill their
    message. Effects tables must have no gap and no row that no example shows. The documentation must be complete. Use
    'fuseguard selftest' to test whether the backend does what a table says.
    """
    installed = load_registry()
    chosen = [find_pack(name, installed) for name in dict.fromkeys(packs)] or list(installed.packs)
    results = [(pack, [(rule, faults(rule, rules_beside(pack, installed))) for rule in pack.rules]) for pack in chosen]
    if output_format == "json":
        from fuseguard.report import json

        output.write_text(json.dump({**json.envelope(), "packs": [_to_dict(pack, rules) for pack, rules in results]}))
    else:
        from fuseguard.report import rule_faults

        output.write_lines(rule_faults.render(results), color)
    ctx.exit(exits.FINDINGS if any(found for _, rules in results for _, found in rules) else exits.CLEAN)


def _to_dict(pack: RulePack, rules: Sequence[tuple[Rule, Sequence[Fault]]]) -> dict[str, Any]:
    return {
        "name": pack.name,
        "version": pack.version,
        "rules": [
            {
                "code": rule.code,
                "name": rule.name,
                "examples": len(rule.bad) + len(rule.good),
                "faults": [
                    {"kind": fault.kind.value, "example": fault.example, "problem": fault.problem} for fault in found
                ],
            }
            for rule, found in rules
        ],
    }
