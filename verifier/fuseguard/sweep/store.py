"""The results of sweeps, in one SQLite file that several processes may write to.

Each result is committed with others in one transaction: a process that is killed loses only what it had not handed
over, and the file is never half-written. The key of a row is that of its item, so no result is there twice.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fuseguard.cache.database import opened
from fuseguard.sweep.items import BROKEN, PASSING, Item, Outcome

_WAIT = 60.0  # seconds for another writer
_ASKED = 500  # keys in one query; SQLite takes 999 variables at least
_VERSION = 1

_KEPT = "Every result that was stored before is kept. Put that right and sweep again: only what is missing is done."

_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
  key TEXT PRIMARY KEY, model TEXT NOT NULL, digest TEXT NOT NULL, step TEXT NOT NULL, release TEXT NOT NULL,
  target TEXT NOT NULL, status TEXT NOT NULL, exit_code INTEGER NOT NULL, outcome TEXT NOT NULL, message TEXT NOT NULL,
  seconds REAL NOT NULL, memory_kib INTEGER, command TEXT NOT NULL, document BLOB NOT NULL, finished REAL NOT NULL
) WITHOUT ROWID
"""
_PUT = """
INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET status = excluded.status, exit_code = excluded.exit_code, outcome = excluded.outcome,
  message = excluded.message, seconds = excluded.seconds, memory_kib = excluded.memory_kib,
  document = excluded.document, finished = excluded.finished
WHERE results.status != 'done'
"""


class StoreError(Exception):
    """The store cannot be read or written; the text says why and what to do."""


class Store:
    """One file. Not to be shared by threads; each process and thread opens its own."""

    def __init__(self, path: Path) -> None:
        """Opens the file, or makes it. Raises StoreError."""
        self.path = path
        with self._told("open"):
            self._connection = opened(path, _WAIT, self._prepare)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _VERSION):
            raise StoreError(f"{self.path} was written by another version of fuseguard; name another store.")
        connection.execute(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {_VERSION}")

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def put(self, results: Iterable[tuple[Item, Outcome]]) -> None:
        """Store all of ``results`` or, if that fails, none. A verdict that is there stays. Raises StoreError."""
        rows = [_row(item, outcome) for item, outcome in results]
        if not rows:
            return
        with self._told("write to"):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany(_PUT, rows)
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # a full disk has rolled back already
                    self._connection.execute("ROLLBACK")
                raise

    def finished(self, items: Sequence[Item], *, retry: bool = False) -> set[str]:
        """The keys of those items that need not be done again. ``retry``: those that broke are done again."""
        again = BROKEN if retry else PASSING
        return {key for key, outcome in self._read(items, with_documents=False) if outcome.status not in again}

    def outcomes(self, items: Sequence[Item], *, with_documents: bool = False) -> dict[str, Outcome]:
        """What the store has on ``items``, by key."""
        return dict(self._read(items, with_documents))

    def __len__(self) -> int:
        with self._told("read"):
            number: int = self._connection.execute("SELECT count(*) FROM results").fetchone()[0]
        return number

    def _read(self, items: Sequence[Item], with_documents: bool) -> Iterator[tuple[str, Outcome]]:
        document = "document" if with_documents else "x''"
        for start in range(0, len(items), _ASKED):
            keys = [item.key for item in items[start : start + _ASKED]]
            marks = ", ".join("?" * len(keys))
            with self._told("read"):
                rows = self._connection.execute(
                    f"SELECT key, status, exit_code, outcome, message, seconds, memory_kib, {document} FROM results "
                    f"WHERE key IN ({marks})",
                    keys,
                ).fetchall()
            for key, *values, packed in rows:
                outcome = Outcome(*values)
                yield key, replace(outcome, document=zlib.decompress(packed).decode()) if packed else outcome

    @contextlib.contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, zlib.error) as error:
            raise StoreError(f"cannot {doing} the store {str(self.path)!r}: {error}. {_KEPT}") from error


def _row(item: Item, outcome: Outcome) -> tuple[object, ...]:
    document = zlib.compress(outcome.document.encode(), 6) if outcome.document else b""
    return (
        item.key, item.model, item.digest, item.step, item.release, item.target, outcome.status, outcome.exit_code,
        outcome.outcome, outcome.message, outcome.seconds, outcome.memory_kib, item.command, document, time.time(),
    )  # fmt: skip


def in_order(items: Sequence[Item], outcomes: Mapping[str, Outcome]) -> list[tuple[Item, Outcome]]:
    """The items that have an outcome, with it."""
    return [(item, outcomes[item.key]) for item in items if item.key in outcomes]
