"""``fuseguard version``."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import import_module, metadata
from typing import Any

import click

import fuseguard
from fuseguard.cli import exits, output
from fuseguard.engine.registry import RulePackError, load_registry
from fuseguard.report.lines import Line
from fuseguard.target import MEASURED_RELEASES

EPILOG = """\b
Examples:
  fuseguard version
  fuseguard version --output-format json"""

#: What fuseguard works with when it is there. Looked up by metadata: importing torch takes seconds.
PACKAGES: tuple[str, ...] = ("executorch", "torch", "torchao", "tosa-tools")


@click.command("version", epilog=EPILOG, short_help="Show the versions of fuseguard and of the packages it works with.")
@output.format_option("text", "json")
@output.color_option
@click.pass_context
def command(ctx: click.Context, output_format: str, color: str) -> None:
    """Show versions of fuseguard, its rule packs, and what it works with. Add the output to every bug report."""
    facts = collect()
    if output_format == "json":
        from fuseguard.report import json

        output.write_text(json.dump({**json.envelope(), **facts}))
    else:
        output.write_lines(_lines(facts), color)
    if facts["rule_pack_error"]:
        ctx.exit(exits.ABNORMAL)


def collect() -> dict[str, Any]:
    """All that the command shows, JSON-ready. A broken rule pack is a fact here, not an error."""
    packs, error = [], None
    try:
        packs = [
            {"name": pack.name, "version": pack.version, "rules": [rule.code for rule in pack.rules]}
            for pack in load_registry().packs
        ]
    except RulePackError as fault:
        error = str(fault)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "report_schema": _report_schema(),
        "reads": _schemas(),
        "measured_releases": list(MEASURED_RELEASES),
        "packages": {name: _version(name) for name in PACKAGES},
        "rule_packs": packs,
        "rule_pack_error": error,
    }


def _report_schema() -> str:
    from fuseguard.report.json import SCHEMA_VERSION

    return SCHEMA_VERSION


def _schemas() -> dict[str, str]:
    """File format -> schema versions that its reader understands."""
    try:
        # The reader alone knows which schema it reads, wherever it keeps that number.
        return {"pt2": f"{import_module('fuseguard.readers.pt2').SCHEMA_MAJOR}.x"}
    except Exception as error:  # a broken dependency is what this command is there to show
        return {"pt2": f"unavailable ({type(error).__name__}: {error})"}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _lines(facts: dict[str, Any]) -> Iterator[Line]:
    yield Line(("fuseguard", "strong"), f" {fuseguard.__version__}")
    rows = [
        ("python", f"{facts['python']} on {facts['platform']}"),
        *((f"reads {name}", f"schema {schema}") for name, schema in facts["reads"].items()),
        ("writes json", f"schema {facts['report_schema']}"),
        ("measured", f"ExecuTorch {', '.join(facts['measured_releases'])}"),
        *((name, version or "not installed") for name, version in facts["packages"].items()),
        *(
            (f"rules {pack['name']}", f"{pack['version']} ({len(pack['rules'])}: {', '.join(pack['rules'])})")
            for pack in facts["rule_packs"]
        ),
    ]
    width = max(len(label) for label, _ in rows)
    for label, value in rows:
        yield Line((f"  {label:{width}}  ", "dim"), value, hang=width + 4)
    if facts["rule_pack_error"]:
        yield Line(("error", "error"), f": {facts['rule_pack_error']}", hang=2)
