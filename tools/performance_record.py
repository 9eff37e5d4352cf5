"""The record of docs/performance.md: what was slow, what was changed, and what it gained. Figures were measured."""

from __future__ import annotations

from performance_rows import Change

CHANGES: tuple[Change, ...] = ()

#: What was tried and gained nothing, or cost more than it gained.
TRIED: tuple[str, ...] = ()
