"""Choices and groups of commands whose errors name the nearest valid value. click has done a part of it since 8.2."""

from __future__ import annotations

from typing import Any

import click

from fuseguard.cli import exits


class Choice(click.Choice):  # type: ignore[type-arg,unused-ignore]  # generic since click 8.2
    """One of a few values."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            hint = exits.nearest(str(value), [str(choice) for choice in self.choices])
            raise click.BadParameter(f"{error.message} {hint}".rstrip(), ctx, param) from None


class Group(click.Group):
    """Commands below a name."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            hint = exits.nearest(args[0], known)
            ctx.fail(f"No such command {args[0]!r}. {hint or 'Commands are ' + ', '.join(known) + '.'}")
        return super().resolve_command(ctx, args)
