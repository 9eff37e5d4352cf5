"""What a report is told beside the result of the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fuseguard.engine.rule import Rule
from fuseguard.report.locations import Locator
from fuseguard.report.placed_ops import PlacedOps


def _say_nothing(text: str) -> None:
    del text


@dataclass(frozen=True, slots=True)
class Options:
    """``source_root`` is the directory that paths in a report are relative to, as a rule that of the repository.

    ``warn`` is called with what a format had to leave out, for the user to be told beside the report.
    ``rules`` are the rules that ran, for formats that describe them. ``quiet`` leaves out notices and the summary, and
    ``statistics`` puts counts by rule in the place of findings, where a format is for people. ``verbose`` writes out
    every finding in the text report, where those with one cause are else one entry. ``placed`` are the ops that a
    placement leaves on the CPU, which the picture of the whole graph marks.
    """

    source_root: Path = field(default_factory=Path.cwd)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    quiet: bool = False
    statistics: bool = False
    warn: Callable[[str], None] = _say_nothing
    verbose: bool = False
    placed: PlacedOps | None = None

    def locator(self) -> Locator:
        return Locator(self.source_root)
