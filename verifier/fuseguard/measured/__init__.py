"""Recorded effects: what was seen of every example of every rule, one file a release.

Importing this lists the folder and decodes nothing; a recording is decoded when it is first asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from fuseguard.measured.recording import RecordedCase, Recording

_FILE = re.compile(r"(\d+(?:\.\d+)+)\.json")


class Recordings:
    """The recordings in a folder. ``releases`` are those that have one, oldest first."""

    def __init__(self, folder: Path | Traversable) -> None:
        self._files = {match[1]: item for item in folder.iterdir() if (match := _FILE.fullmatch(item.name))}
        self.releases: tuple[str, ...] = tuple(sorted(self._files, key=Version))
        self._decoded: dict[str, Recording] = {}

    def recording(self, release: str) -> Recording:
        """The recording of a release. Raises KeyError if there is none, RecordingError for a broken file."""
        if release not in self._decoded:
            from fuseguard.measured.recording import decode

            item = self._files[release]
            self._decoded[release] = decode(item.read_bytes(), item.name)
        return self._decoded[release]

    def of(self, release: Version) -> str:
        """The recorded release that ``release`` is; "" if it has no recording, as a pre-release never has."""
        return next((known for known in self.releases if Version(known) == Version(release.public)), "")

    def seen(self, release: str, rule: str, case: str, profile: str) -> tuple[RecordedCase, ...]:
        """The rule's own examples in which it found ``case`` under ``profile`` on a recorded release."""
        return self.recording(release).seen(rule, case, profile)


def nearest_first(release: Version, among: Sequence[str]) -> list[str]:
    """The releases ``among`` by what they tell of ``release``: the same minor first, then older ones, then newer ones.

    Of two on the same side the nearer one comes first.
    """
    below = sorted((known for known in among if Version(known) <= release), key=Version, reverse=True)
    above = sorted((known for known in among if Version(known) > release), key=Version)
    return sorted([*below, *above], key=lambda known: Version(known).release[:2] != release.release[:2])


def _folder() -> Path | Traversable:
    """Where this package is: a folder, or a part of a wheel that is run without being unpacked."""
    folder = Path(__file__).parent
    if folder.is_dir():
        return folder
    from importlib import resources  # takes as long to import as all else that a check needs of the recordings

    return resources.files(__package__)


#: The recordings that this package ships.
SHIPPED = Recordings(_folder())

#: The measured releases, oldest first.
RELEASES: tuple[str, ...] = SHIPPED.releases
