"""What a process does first that is spawned to lower programs. Imports nothing heavy, so that imports are quiet too."""

from __future__ import annotations

import contextlib
import logging
import warnings

from fuseguard.engine.internal_error import debugging


def start() -> None:
    """Keep what the packages log to themselves, load the backend and hurry: this process does nothing else.

    What cannot be imported is left for the first case to raise, which tells the process that asked.
    """
    if not debugging():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)

    with contextlib.suppress(ImportError):
        import fuseguard.executorch.case_judge  # noqa: F401 - loads the backend
        from fuseguard.executorch.hurry import hurry_alone

        hurry_alone()
