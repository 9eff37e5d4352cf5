"""Answers kept by a key that identifies all they depend on: one SQLite file, bounded in size, shared by processes.

Not diskcache: it keeps pickles, which run code when they are read, and every user of fuseguard would have to install
it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fuseguard.cache.database import opened

#: Where the cache is, or ``off``.
FOLDER_VARIABLE = "FUSEGUARD_CACHE"
#: How many MiB it may have.
SIZE_VARIABLE = "FUSEGUARD_CACHE_MIB"
DEFAULT_MIB = 256
OFF = "off"

_WAIT = 10.0  # seconds for another writer
_VERSION = 1
_FILE = "answers.sqlite"
_LARGEST = 1 / 8  # of the whole cache; a larger answer is not kept

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
  key TEXT PRIMARY KEY, size INTEGER NOT NULL, made REAL NOT NULL, used REAL NOT NULL, payload BLOB NOT NULL
)
"""


class CacheTrouble(Exception):
    """The cache cannot be read or written; the text says why. No answer depends on it."""


class Answer(msgspec.Struct, frozen=True):
    """What a command answered.

    ``document``: its JSON text. ``lines``: its text, each line as spans of text and style, and the indent of what does
    not fit. ``page``: its HTML page. ``made``: when, in seconds since 1970.
    """

    exit_code: int
    document: str
    lines: list[tuple[list[tuple[str, str]], int]]
    page: str
    made: float = 0.0


@dataclass(frozen=True, slots=True)
class Info:
    """``entries`` answers take ``size`` of at most ``limit`` bytes; ``oldest`` is the time of the oldest, or None."""

    path: Path
    entries: int
    size: int
    limit: int
    oldest: float | None


def folder() -> Path | None:
    """Where the cache is; None if it is off.

    ``$FUSEGUARD_CACHE``, else ``fuseguard`` in ``$XDG_CACHE_HOME`` or ``~/.cache``.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return None if named.lower() == OFF else Path(named).expanduser()
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "fuseguard"
    except RuntimeError:  # nobody knows the home folder
        return None


def limit() -> int:
    """How many bytes it may have. Raises CacheTrouble for a variable that is not a number."""
    text = os.environ.get(SIZE_VARIABLE) or str(DEFAULT_MIB)
    if not (text.isascii() and text.isdigit()):
        raise CacheTrouble(f"{SIZE_VARIABLE}={text!r} is not a number of MiB")
    return int(text) * 1024 * 1024


class Answers:
    """The cache in a folder. Any number of processes may use it; what they write is there as a whole or not at all."""

    def __init__(self, place: Path, size: int | None = None) -> None:
        """Raises CacheTrouble. Only the user may read the folder: who may write to it may forge verdicts."""
        self.path = place / _FILE
        self.limit = limit() if size is None else size
        with self._told():
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._connection = opened(self.path, _WAIT, self._prepare)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if connection.execute("PRAGMA user_version").fetchone()[0] not in (0, _VERSION):
            raise CacheTrouble(f"{self.path} was written by another version of fuseguard")
        connection.execute(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {_VERSION}")

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, key: str) -> Answer | None:
        """The answer kept by ``key``; None if there is none. Raises CacheTrouble."""
        with self._told():
            row = self._connection.execute("SELECT payload, made FROM answers WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            answer = msgspec.json.decode(zlib.decompress(row[0]), type=Answer)
            self._connection.execute("UPDATE answers SET used = ? WHERE key = ?", (time.time(), key))
            return msgspec.structs.replace(answer, made=row[1])

    def put(self, key: str, answer: Answer) -> None:
        """Keep an answer, and drop those that were not used for longest until all fit. Raises CacheTrouble."""
        payload = zlib.compress(msgspec.json.encode(answer), 6)
        if len(payload) > self.limit * _LARGEST:
            return
        now = time.time()
        with self._told(), self._transaction():
            row = (key, len(payload), now, now, payload)
            self._connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", row)
            total = self._total()
            for other, size in self._connection.execute("SELECT key, size FROM answers ORDER BY used, made").fetchall():
                if total <= self.limit:
                    break
                self._connection.execute("DELETE FROM answers WHERE key = ?", (other,))
                total -= size

    def info(self) -> Info:
        """What is in it. Raises CacheTrouble."""
        with self._told():
            entries, oldest = self._connection.execute("SELECT count(*), min(made) FROM answers").fetchone()
            return Info(self.path, entries, self._total(), self.limit, oldest)

    def _total(self) -> int:
        total: int = self._connection.execute("SELECT coalesce(sum(size), 0) FROM answers").fetchone()[0]
        return total

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # a full disk has rolled back already
                self._connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, zlib.error, msgspec.MsgspecError) as error:
            raise CacheTrouble(f"{self.path}: {error}") from error


def clear(place: Path) -> bool:
    """Remove the cache, one that cannot be read too. Whether there was one. Raises CacheTrouble."""
    found = False
    for suffix in ("", "-wal", "-shm"):
        path = place / f"{_FILE}{suffix}"
        try:
            path.unlink()
            found = True
        except FileNotFoundError:
            pass
        except OSError as error:
            raise CacheTrouble(f"{path}: {error.strerror or error}") from error
    return found
