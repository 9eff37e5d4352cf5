"""What tests of tools/fuzz.py judge files with: each fails on some of them, in another way."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path

Subject = Callable[[Path, int], str]
#: The numbers on which the subjects that hang, die or take memory do so.
NUMBERS = (7, 31)


class Planted(Exception):
    signature = "planted"


def planted() -> Subject:
    """Fails on what is in the file: one file in a hundred or so."""

    def subject(path: Path, number: int) -> str:
        if zlib.crc32(path.read_bytes()) % 97 == 0:
            raise Planted("a fault")
        return "refused" if number % 2 else "report"

    return subject


def _at_numbers(act: Callable[[], object]) -> Subject:
    def subject(path: Path, number: int) -> str:
        if number in NUMBERS:
            act()
        return "refused"

    return subject


def hanging() -> Subject:
    return _at_numbers(lambda: time.sleep(600))


def dying() -> Subject:
    return _at_numbers(lambda: os._exit(0))


def hogging() -> Subject:
    """Asks for more memory than a worker may have."""
    return _at_numbers(lambda: bytearray(2**30))


def importing() -> Subject:
    """Imports a torch, which is made up where there is none."""

    def act() -> None:
        import sys
        import types

        sys.modules.setdefault("torch", types.ModuleType("torch"))

    return _at_numbers(act)
