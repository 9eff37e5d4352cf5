"""Each list and object of a program's JSON, filled with copies of its first member up to the limits of the reader.

Protects: a part of the format whose size nothing limits. No other test had a list of two million numbers, or four
million names of objects.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from fuseguard.readers.budget import MAX_JSON_BYTES, MAX_JSON_VALUES
from fuseguard_testkit.forging import MODEL, ROOT, pack, records
from fuseguard_testkit.limited_process import check

NAME = f"{ROOT}/{MODEL}"
LONGEST = 10  # seconds of the processor
Place = tuple[str | int, ...]


def containers(value: Any, place: Place = ()) -> Iterator[Place]:
    """Where the lists and objects are."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if isinstance(value, dict | list):
        yield place
    for key, member in members:
        yield from containers(member, (*place, key))


def at(value: Any, place: Place) -> Any:
    for key in place:
        value = value[key]
    return value


PROGRAM = json.loads(records()[NAME])
#: One place of each kind: numbers of lists are left out, and an empty container is a kind of its own.
PLACES = list({
    (*("#" if isinstance(key, int) else key for key in place), bool(at(PROGRAM, place))): place
    for place in containers(PROGRAM)
}.values())  # fmt: skip


def renamed(member: Any, number: int) -> Any:
    """The member with names of its own."""
    if isinstance(member, dict):
        names = ("name", "as_name")
        return {
            key: f"{value}_{number}" if key in names and isinstance(value, str) else renamed(value, number)
            for key, value in member.items()
        }
    return [renamed(value, number) for value in member] if isinstance(member, list) else member


def amplified(place: Place, renaming: bool) -> bytes:
    program = deepcopy(PROGRAM)
    container = at(program, place)
    members = container if isinstance(container, list) else list(container.values())
    member = members[0] if members else 1
    text = json.dumps(member, separators=(",", ":"))
    values = 1 + sum(text.count(sign) for sign in "{[,")
    number = min(MAX_JSON_VALUES * 99 // 100 // values, MAX_JSON_BYTES * 9 // 10 // (len(text) + 12))
    copies = (
        json.dumps(renamed(member, index), separators=(",", ":")) if renaming else text for index in range(number)
    )
    if isinstance(container, list):
        container.append("FILLER")
        filler = ",".join(copies)
        return json.dumps(program, separators=(",", ":")).replace('"FILLER"', filler).encode()
    container["FILLER"] = 0
    filler = ",".join(f'"k{index}":{copy}' for index, copy in enumerate(copies))
    return json.dumps(program, separators=(",", ":")).replace('"FILLER":0', filler).encode()


@pytest.mark.campaign
@pytest.mark.parametrize("renaming", [False, True], ids=["copies", "renamed"])
@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)) or "all")
def test_a_container_as_large_as_allowed(place: Place, renaming: bool, tmp_path: Path) -> None:
    path = pack(tmp_path / "m.pt2", records() | {NAME: amplified(place, renaming)})
    done = check(path)
    path.unlink()
    assert len(done.stdout) < 2**20
    assert done.seconds < LONGEST


def test_places_are_of_all_parts() -> None:
    """That the campaign above goes through the program at all."""
    keys = {key for place in PLACES for key in place}
    assert {"nodes", "inputs", "outputs", "tensor_values", "custom_obj_values", "input_specs", "guards_code"} <= keys
    assert amplified(("guards_code",), False).count(b"1,1,1") > 1_000_000
