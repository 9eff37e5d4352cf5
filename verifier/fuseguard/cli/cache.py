"""``fuseguard cache``."""

from __future__ import annotations

import time

import click

from fuseguard.cache import answers
from fuseguard.cache.answers import Answers, CacheTrouble
from fuseguard.cli import exits, output
from fuseguard.cli.hints import Group

EPILOG = """\b
Examples:
  fuseguard cache info
  fuseguard cache clear"""


_OFF = "The cache is off (FUSEGUARD_CACHE=off).\n"


@click.group("cache", cls=Group, epilog=EPILOG, short_help="Show or clear the cache of proofs.")
def command() -> None:
    """Show or clear the cache of proofs.

    'fuseguard prove' answers from the cache where the program, its inputs, the options and everything that is installed
    are the same. The cache is in ~/.cache/fuseguard, or where FUSEGUARD_CACHE says; FUSEGUARD_CACHE=off turns it off.
    It keeps 256 MiB, or what FUSEGUARD_CACHE_MIB says, and drops the least recently used entries first.
    """


@command.command("info")
def info() -> None:
    """Say where the cache is and what is in it."""
    place = answers.folder()
    if place is None:
        output.write_text(_OFF)
        return
    if not (place / "answers.sqlite").exists():
        output.write_text(f"{exits.clean_lines(str(place))}: empty\n")
        return
    try:
        with Answers(place) as cache:
            found = cache.info()
    except CacheTrouble as error:
        raise exits.Failure(f"{error}. 'fuseguard cache clear' removes the cache.") from error
    oldest = f", the oldest of {when(found.oldest)}" if found.oldest is not None else ""
    output.write_text(
        f"{exits.clean_lines(str(found.path))}\n{found.entries} proofs{oldest}\n"
        f"{found.size / 2**20:.1f} of {found.limit / 2**20:.0f} MiB\n"
    )


@command.command("clear")
def clear() -> None:
    """Remove everything from the cache."""
    place = answers.folder()
    if place is None:
        output.write_text(_OFF)
        return
    try:
        found = answers.clear(place)
    except CacheTrouble as error:
        raise exits.Failure(f"cannot clear the cache: {error}.") from error
    output.write_text("The cache is empty now.\n" if found else "The cache was empty.\n")


def when(seconds: float) -> str:
    """A time as local date and time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
