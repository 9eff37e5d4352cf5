"""The layout of ``results.json``, and how the results of one run complete those of earlier ones. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Raised when the keys change their meaning.
VERSION = 1
_PLACE = ("program", "config", "release", "target")


def completed(rows: Mapping[str, Any], earlier: Mapping[str, Any]) -> dict[str, Any]:
    """``rows``, and what they lack of ``earlier`` results, for the programs that they list.

    Both are read from a ``results.json``. Where both have a value, that of ``rows`` stays. Rows are in the order of
    the programs. Raises ValueError: ``earlier`` has another layout.
    """
    if earlier["version"] != VERSION:
        raise ValueError(f"the results have version {earlier['version']}, and this is made for {VERSION}")
    new, old = ({_place(row): row for row in data["items"]} for data in (rows, earlier))
    failed = {entry["name"]: entry["not_built"] for entry in earlier["programs"]}
    built = {(row["program"], row["config"]) for row in rows["items"]}
    programs = [
        {
            **entry,
            "not_built": {
                **{
                    config: message
                    for config, message in failed.get(entry["name"], {}).items()
                    if (entry["name"], config) not in built
                },
                **entry["not_built"],
            },
        }
        for entry in rows["programs"]
    ]
    order = {entry["name"]: number for number, entry in enumerate(programs)}
    configs = {entry["name"]: entry["configs"] for entry in programs}
    places = [place for place in {**new, **old} if place[1] in configs.get(place[0], ())]
    items = [_filled(new.get(place), old.get(place)) for place in places]
    items.sort(key=lambda row: (order[row["program"]], configs[row["program"]].index(row["config"]), _place(row)))
    return {**rows, "programs": programs, "items": items}


def _place(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(row[key] for key in _PLACE)


def _filled(new: Mapping[str, Any] | None, old: Mapping[str, Any] | None) -> dict[str, Any]:
    """``new``, with the values of ``old`` where it has none. One of them may be missing."""
    if new is None or old is None:
        return {**(new or {}), **(old or {})}
    return {**old, **{key: value for key, value in new.items() if value is not None}}
