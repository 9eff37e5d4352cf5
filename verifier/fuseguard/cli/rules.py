"""``fuseguard rules``."""

from __future__ import annotations

import click

from fuseguard.cli import output
from fuseguard.engine.registry import load_registry

EPILOG = """\b
Examples:
  fuseguard rules
  fuseguard rules --output-format json"""


@click.command("rules", epilog=EPILOG, short_help="List all rules.")
@output.format_option("text", "json")
@output.color_option
def command(output_format: str, color: str) -> None:
    """List all rules of all installed rule packs, and the SU codes, which are about suppressions and baselines."""
    registry = load_registry()
    if output_format == "json":
        from fuseguard.report import json, rule_json

        rules = [rule_json.brief(rule) for rule in registry.everything]
        output.write_text(json.dump({**json.envelope(), "rules": rules}))
    else:
        from fuseguard.report import rule_text

        output.write_lines(rule_text.overview(registry.everything), color, wrap=True)
