"""Keeps arrays for later: small ones in memory, large ones in files. A network is so never in memory as a whole."""

from __future__ import annotations

import itertools
import os
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]

#: Bytes from which on an array is kept in a file. Most programs of the rules' examples have no such array.
LARGE = 1 << 16

_NUMBERS = itertools.count()


class Kept:
    """An array that is not changed any more. Its file lasts as long as this object."""

    __slots__ = ("__weakref__", "_array", "_path", "dtype", "shape")

    def __init__(self, array: Array | None, path: Path | None, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._array = array
        self._path = path
        self.shape = shape
        self.dtype = dtype
        if path is not None:
            weakref.finalize(self, path.unlink, missing_ok=True).atexit = False  # the folder goes as a whole

    @classmethod
    def of(cls, array: Array) -> Kept:
        if array.nbytes < LARGE:
            return cls(array, None, array.shape, array.dtype)
        path = Path(f"{prefix()}.npy")
        np.save(path, array, allow_pickle=False)
        return cls(None, path, array.shape, array.dtype)

    @classmethod
    def at(cls, path: str) -> Kept:
        """What another process has written to a file whose name starts with :func:`prefix`."""
        header = np.load(path, mmap_mode="r", allow_pickle=False)
        return cls(None, Path(path), header.shape, header.dtype)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    def load(self) -> Array:
        """The array. Of a large one, each call reads the file again: hold it no longer than you use it."""
        if self._array is not None:
            return self._array
        assert self._path is not None
        found: Array = np.load(self._path, allow_pickle=False)
        return found


class KeptByName(Mapping[str, Array]):
    """Arrays by name, each of them loaded when it is asked for."""

    def __init__(self, kept: Mapping[str, Kept]) -> None:
        self._kept = kept

    def __getitem__(self, name: str) -> Array:
        return self._kept[name].load()

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


def prefix() -> str:
    """What the path of a new file starts with, in a folder of this process that is removed when the process ends."""
    return os.path.join(_folder(os.getpid()).name, str(next(_NUMBERS)))


@cache
def _folder(process: int) -> tempfile.TemporaryDirectory[str]:
    del process  # a forked process has a folder of its own
    return tempfile.TemporaryDirectory(prefix="fuseguard-")
