"""JSON as text for people and programs alike."""

from __future__ import annotations

import json
from typing import Any

import msgspec


def indented(document: Any) -> str:
    """``document`` as ``json.dumps`` writes it with an indent of 2, which takes Python itself ten times as long.

    Raises ValueError for a number that JSON does not have.
    """
    compact = json.dumps(document, allow_nan=False, separators=(",", ":"))
    try:
        return msgspec.json.format(compact, indent=2) + "\n"
    except msgspec.DecodeError:  # half of a surrogate pair, which a file's name may have
        return json.dumps(document, allow_nan=False, indent=2) + "\n"
