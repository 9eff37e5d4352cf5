"""``fuseguard targets``."""

from __future__ import annotations

from collections.abc import Iterator

import click

from fuseguard.cli import output
from fuseguard.report.lines import Line, table
from fuseguard.target import ACCELERATORS, ALL_TARGETS, EXTENSIONS, FAMILIES, PROFILES

EPILOG = """\b
Examples:
  fuseguard targets
  fuseguard targets --output-format json"""


@click.command("targets", epilog=EPILOG, short_help="List the targets that a program can be checked for.")
@output.format_option("text", "json")
@output.color_option
def command(output_format: str, color: str) -> None:
    """List the targets that --target takes: accelerators, families of them, and TOSA specifications."""
    if output_format == "json":
        from fuseguard.report import json

        output.write_text(json.dump({**json.envelope(), **_facts()}))
    else:
        output.write_lines(_lines(), color, wrap=True)


def _facts() -> dict[str, object]:
    return {
        "accelerators": dict(ACCELERATORS),
        "families": dict(FAMILIES),
        "all": list(ALL_TARGETS),
        "profiles": list(PROFILES),
        "extensions": list(EXTENSIONS),
    }


def _lines() -> Iterator[Line]:
    yield from table(tuple(ACCELERATORS.items()), ("accelerator", "TOSA specification"))
    yield Line()
    yield from table(tuple(FAMILIES.items()), ("family", "stands for"))
    yield Line()
    yield Line("'all' stands for ", ", ".join(ALL_TARGETS), ".")
    yield Line(
        "A TOSA specification is TOSA-1.0 with +INT, +FP or both, and any of these extensions: ",
        ", ".join(f"+{name}" for name in EXTENSIONS), ".",
    )  # fmt: skip
