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
  fuseguard schema upgrade-check
  fuseguard schema recording
  fuseguard schema > report.schema.json"""


@click.command("schema", epilog=EPILOG, short_help="Print the JSON Schema of fuseguard's output.")
@click.argument("name", metavar="[NAME]", type=Choice(tuple(SCHEMAS)), default="json")
def command(name: str) -> None:
    """Print the JSON Schema of what fuseguard writes.

    NAME is json (the default) or json-lines for these formats of 'fuseguard check' (for json-lines, the schema of one
    line); upgrade-check, diff, prove, doctor, inspect, why-not or placement for their --output-format json; or
    recording for the file of 'fuseguard selftest --record'.
    """
    from fuseguard.report.json import dump
    from fuseguard.schemas import load_schema

    output.write_text(dump(load_schema(name)))
