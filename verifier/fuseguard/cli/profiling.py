"""``--profile``: where the time of a command went."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING

import click

from fuseguard.cli import exits

if TYPE_CHECKING:
    from fuseguard.engine.rule import Rule

PROFILE_OPTION = click.option(
    "--profile",
    is_flag=True,
    help="Print to stderr where the time went: by reader, by what rules ask of the program and by rule, with the "
    "number of function calls. Checks one file at a time.",
)
STEPS_OPTION = click.option("--profile", is_flag=True, help="Print to stderr how long each step of the proof took.")


@contextlib.contextmanager
def profiled(wanted: bool, rules: Iterable[Rule]) -> Iterator[None]:
    """Print to stderr where the time of the block went, also if it raises."""
    if not wanted:
        yield
        return
    from cProfile import Profile

    from fuseguard.report.lines import plain
    from fuseguard.report.profile import profile_lines, spent

    profile = Profile()
    started = perf_counter()
    try:
        with profile:
            yield
    finally:
        whole = perf_counter() - started
        exits.tell(plain(profile_lines(spent(profile, rules), whole)).rstrip())


class Steps:
    """Takes the texts that say what is being done now, passes them on, and times them.

    What is done many times (``cell 3 of 24``) is one step, with the number of times.
    """

    def __init__(self, pass_on: Callable[[str], None], clock: Callable[[], float] = perf_counter) -> None:
        self._pass_on = pass_on
        self._clock = clock
        self._name = ""
        self._since = clock()
        self._spent: dict[str, tuple[float, int]] = {}

    def __call__(self, text: str) -> None:
        self._end()
        self._name = "".join(letter for letter in text.partition(" of ")[0] if not letter.isdigit()).strip()
        self._pass_on(text)

    def _end(self) -> None:
        now = self._clock()
        if self._name:
            seconds, times = self._spent.get(self._name, (0.0, 0))
            self._spent[self._name] = seconds + now - self._since, times + 1
        self._since = now

    def tell(self) -> None:
        """Print the steps to stderr, the longest first."""
        from fuseguard.report.lines import plain, table
        from fuseguard.report.quoting import quoted

        self._end()
        self._name = ""
        rows = sorted(self._spent.items(), key=lambda item: -item[1][0])
        shown = [(f"{seconds:.4f}", str(times), quoted(name)) for name, (seconds, times) in rows]
        shown.append((f"{sum(seconds for seconds, _ in self._spent.values()):.4f}", "", "the whole proof"))
        exits.tell(plain(table(shown, ("seconds", "times", "step"))).rstrip())
