"""What a process does first that is spawned to lower programs. Imports nothing heavy, so that imports are quiet too."""

from __future__ import annotations

import gc
import logging
import warnings

from fuseguard.engine.internal_error import debugging


def start() -> None:
    """Keep what the packages log to themselves, take one processor, and spare garbage collection what is loaded."""
    if not debugging():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)

    import torch

    import fuseguard.executorch.judge  # noqa: F401 - loads the backend

    torch.set_num_threads(1)
    # Half a million objects of the imports live for ever; searching them for cycles takes a third of a lowering's time.
    gc.collect()
    gc.freeze()
