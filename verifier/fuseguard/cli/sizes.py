"""The option ``--dim`` of the commands that judge a program: the sizes for one with dynamic shapes. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence

import click

DIM_OPTION = click.option(
    "--dim",
    "dims",
    multiple=True,
    metavar="NAME=SIZE",
    help="Judge a program with dynamic shapes at this size. NAME is the program's own (s77) or a place (x[0]).",
)


def parse_sizes(dims: Sequence[str]) -> dict[str, int]:
    """The size of each name. Raises UsageError: a value is not NAME=SIZE with a whole number."""
    found = {}
    for text in dims:
        name, equals, size = text.partition("=")
        if not (name and equals and size.isascii() and size.isdigit()):
            raise click.UsageError(f"--dim {text}: give a name and a size, such as --dim s77=4.")
        found[name.strip()] = int(size)
    return found
