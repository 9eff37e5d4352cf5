"""Opens an SQLite file that several processes make and use at the same time."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

_PAUSE = 0.02  # seconds between two tries


def opened(path: Path, wait: float, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    """A connection without implicit transactions, with a write-ahead log, after ``prepare``.

    ``wait`` is how many seconds to wait for another process. SQLite does not wait where two processes make a file or
    change its journal at once: it says "database is locked" immediately, because waiting could be a deadlock. So all
    of it is tried again. ``prepare`` may run several times. Needs a local file system.

    Raises sqlite3.Error.
    """
    deadline = time.monotonic() + wait
    while True:
        connection = sqlite3.connect(path, timeout=wait, isolation_level=None)
        try:
            connection.execute("PRAGMA auto_vacuum = FULL")  # before the first table: the file then shrinks, too
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            prepare(connection)
        except sqlite3.OperationalError as error:
            connection.close()
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)
        except BaseException:
            connection.close()
            raise
        else:
            return connection
