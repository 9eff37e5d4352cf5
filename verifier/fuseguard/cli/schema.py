"""``fuseguard schema``."""

from __future__ import annotations

import click

from fuseguard.cli import output
from fuseguard.cli.hints import Choice
from fuseguard.schemas import SCHEMAS

EPILOG = """\b
Examples:
  fuseguard schema
  fuseguard schema json-lines
  fuseguard schema > report.schema.json"""


@click.command("schema", epilog=EPILOG, short_help="Print the JSON Schema of a report.")
@click.argument("name", metavar="[FORMAT]", type=Choice(tuple(SCHEMAS)), default="json")
def command(name: str) -> None:
    """Print the JSON Schema of what 'fuseguard check --output-format FORMAT' writes.

    FORMAT is json (the default) or json-lines, whose schema is that of one line.
    """
    from fuseguard.report.json import dump
    from fuseguard.schemas import load_schema

    output.write_text(dump(load_schema(name)))
