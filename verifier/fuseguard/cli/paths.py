"""Paths of programs on the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from fuseguard.cli import exits


class ProgramPath(click.Path):
    """The path of a program. An empty path, which Path treats as the current directory, is refused."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises Refused for an empty path."""
        if os.fspath(value) == "":
            raise exits.Refused("'': the path is empty, as from a shell variable that is not set; name a .pt2 file.")
        return super().convert(value, param, ctx)
