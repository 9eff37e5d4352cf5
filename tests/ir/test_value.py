"""A Value is what a frozen dataclass with slots is, also for what takes dataclasses.

Protects: rules, also those of other packs, that make a changed copy of a rewrite with ``dataclasses.replace``.
"""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest

from fuseguard.engine import Insert, Pair, Rewrite
from fuseguard.ir.value import Value


class Point(Value, frozen=True):
    x: int
    y: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        return self.x + sum(self.y)


@dataclasses.dataclass(frozen=True, slots=True)
class Twin:
    x: int
    y: tuple[int, ...] = ()


def test_it_is_compared_hashed_and_shown_as_a_dataclass_is() -> None:
    assert Point(1, (2,)) == Point(x=1, y=(2,)) != Point(1)
    assert len({Point(1), Point(1), Point(2)}) == 2
    assert repr(Point(1, (2,))) == repr(Twin(1, (2,))).replace("Twin", "Point")
    assert Point(1) != Twin(1)
    assert Point(1, (2, 3)).total == 6
    match Point(4):
        case Point(x, ()):
            assert x == 4


def test_it_never_changes() -> None:
    with pytest.raises(AttributeError):
        Point(1).x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Point(1).z = 2  # type: ignore[attr-defined]


def test_what_takes_dataclasses_takes_it() -> None:
    point = Point(1, (2,))
    assert dataclasses.is_dataclass(point)
    assert dataclasses.is_dataclass(Point)
    assert dataclasses.replace(point, x=3) == Point(3, (2,))
    assert dataclasses.asdict(point) == {"x": 1, "y": (2,)}
    assert [field.name for field in dataclasses.fields(Point)] == ["x", "y"]
    with pytest.raises(TypeError):
        dataclasses.replace(point, z=1)


def test_it_is_copied_and_sent_to_other_processes() -> None:
    rewrite = Rewrite((Insert("a", ("b",), ()),))
    assert copy.copy(rewrite) == copy.deepcopy(rewrite) == pickle.loads(pickle.dumps(rewrite)) == rewrite
    assert dataclasses.replace(rewrite, exact=False).edits is rewrite.edits
    assert [field.name for field in dataclasses.fields(Pair)] == ["qparams"]
