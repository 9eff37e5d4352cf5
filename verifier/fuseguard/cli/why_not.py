"""``fuseguard why-not``."""

from __future__ import annotations

from pathlib import Path

import click

from fuseguard.cli import candidates, exits, output, settings
from fuseguard.cli.paths import ProgramPath
from fuseguard.engine.registry import load_registry

EPILOG = """\b
Examples:
  fuseguard why-not FU101 relu model.pt2
  fuseguard why-not FU101 relu model.pt2 --target vgf --executorch 1.5.1
  fuseguard why-not duplicate-consumers-merged cat model.pt2

Exit codes: 0 whatever the answer; 2 usage or internal error, or the program
has no such node; 3 the file could not be read."""


@click.command("why-not", epilog=EPILOG, short_help="Explain why a rule does not report a node.")
@click.argument("rule", shell_complete=candidates.rules)
@click.argument("node")
@click.argument("file", type=ProgramPath())
@settings.target_options
@output.format_option("text", "json")
@output.color_option
def command(
    rule: str,
    node: str,
    file: Path,
    target: tuple[str, ...],
    executorch: tuple[str, ...],
    config: Path | None,
    no_config: bool,
    method: tuple[str, ...],
    output_format: str,
    color: str,
) -> None:
    """Say which condition of a rule did not hold for a node, or that the rule reports it.

    RULE is a code or a name, NODE the name of an op as in the program's graph. The answer comes from a run of the rule
    itself: its conditions and those of the backend models that it asks, with their outcomes for this node. Needs no
    torch.
    """
    from fuseguard.engine.why_not import UnknownNode, rule_to_ask, why_not
    from fuseguard.readers import open as readers
    from fuseguard.report import why_not as report

    registry = load_registry()
    found = rule_to_ask(registry, rule)
    gate = settings.resolve(
        registry, target=target, executorch=executorch, config=config, no_config=no_config, method=method
    )
    try:
        graph, _ = readers.read(file, gate.methods)
    except OSError as error:
        raise exits.Refused(f"{file}: cannot be read: {error.strerror or error}.") from error
    try:
        answers = [answer for item in gate.targets for answer in why_not(found, graph, item, node)]
    except UnknownNode as error:
        raise exits.Failure(f"{file}: {error}") from error
    if output_format == "json":
        from fuseguard.report import json

        output.write_text(json.dump(report.to_dict(str(file), answers)))
    else:
        output.write_lines(report.render(found, str(file), answers), color)
