"""What a shell may complete an option's value to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def targets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Accelerators and the usual TOSA specifications."""
    del ctx, param
    from fuseguard.target import ACCELERATORS, ALL_TARGETS, FAMILIES

    return _listed(((name, "") for name in dict.fromkeys(("all", *ALL_TARGETS, *FAMILIES, *ACCELERATORS))), incomplete)


def target(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The same for one target."""
    return [item for item in targets(ctx, param, incomplete) if item.value != "all" and "," not in item.value]


def releases(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The measured releases of ExecuTorch."""
    del ctx, param
    from fuseguard.target import MEASURED_RELEASES

    return _listed(((name, "") for name in ("all", *MEASURED_RELEASES)), incomplete)


def release(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """One measured release."""
    del ctx, param
    from fuseguard.target import MEASURED_RELEASES

    return [_item(name) for name in MEASURED_RELEASES if name.startswith(incomplete)]


def severities(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """``RULE=LEVEL``: rules up to the equals sign, levels after it."""
    from fuseguard.engine.finding import Severity

    before, comma, last = incomplete.rpartition(",")
    rule, equals, level = last.partition("=")
    if not equals:
        return [_item(f"{item.value}=", help=item.help) for item in rules(ctx, param, incomplete)]
    levels = (severity.value for severity in Severity)
    return [_item(f"{before}{comma}{rule}={name}") for name in levels if name.startswith(level)]


def packs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Installed rule packs, and directories."""
    del ctx, param
    from fuseguard.engine.registry import RulePackError, load_registry

    try:
        known = [pack.name for pack in load_registry().packs]
    except RulePackError:
        known = []
    names = [_item(name) for name in known if name.startswith(incomplete)]
    return [*names, _item(incomplete, type="dir")]


def rules(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Codes and names of the installed rules and the SU codes."""
    del ctx, param
    from fuseguard.engine.registry import RulePackError, load_registry

    try:
        known = load_registry().everything
    except RulePackError:
        return []  # the command itself will say so
    codes, names = ([(getattr(rule, key), rule.summary) for rule in known] for key in ("code", "name"))
    return _listed((*codes, *names), incomplete)


def report_formats(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """``FORMAT=``, and file names after that."""
    del ctx, param
    from fuseguard.report.formats import FORMATS

    if "=" in incomplete:
        return [_item(incomplete.partition("=")[2], type="file")]
    return [_item(f"{name}=") for name in FORMATS if name.startswith(incomplete.lower())]


def _listed(values: Iterable[tuple[str, str]], incomplete: str) -> list[CompletionItem]:
    """For an option whose value is a list: after a comma, candidates for one more."""
    before, comma, last = incomplete.rpartition(",")
    return [
        _item(f"{before}{comma}{value}", help=about or None)
        for value, about in values
        if value.lower().startswith(last.lower())
    ]


def archive_codes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The codes of findings about files, several with commas between them."""
    del ctx, param
    from fuseguard.engine.archive_rules import ARCHIVE_RULES

    return _listed(((rule.code, rule.summary) for rule in ARCHIVE_RULES), incomplete)


def _item(value: str, type: str = "plain", help: str | None = None) -> CompletionItem:
    from click.shell_completion import CompletionItem  # only where a shell asks

    return CompletionItem(value, type=type, help=help)
