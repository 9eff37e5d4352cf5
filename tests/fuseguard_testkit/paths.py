"""Where this checkout and its committed programs are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Small .pt2 files that tests/readers/make_fixtures.py made.
DATA = ROOT / "tests" / "readers" / "data"
AXE = ROOT / "tests" / "data" / "axe" / "axe.min.js"
