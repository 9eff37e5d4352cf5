"""Made-up recordings and announcements, in place of those that ship."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fuseguard import measured
from fuseguard.engine.effects import AnnouncedEffects
from fuseguard.measured.announced import Announcement, Concern
from fuseguard_testkit.recordings import recording, recordings


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes these recordings the ones that there are."""

    def put(**cases: tuple[Any, ...]) -> None:
        made = [recording(name.strip("_").replace("_", "."), items) for name, items in cases.items()]
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        monkeypatch.setattr(measured, "SHIPPED", recordings(folder, *made))

    return put


@pytest.fixture
def announce(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes these concerns of the rule, of one change in 1.6, the only ones."""

    def put(*concerns: Concern, **fields: Any) -> None:
        values = {"pr": "#99", "date": "2026-09-21", "state": "merged", "change": "fixes it", "concerns": concerns}
        announcement = Announcement(**{**values, **fields})
        monkeypatch.setattr("fuseguard.engine.evidence.ANNOUNCED_EFFECTS", AnnouncedEffects([announcement]))

    return put
