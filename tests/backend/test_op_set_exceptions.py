"""The project's sets of op kinds have the kinds of the backend's lists and the exceptions that op_sets.py gives reasons
for, and no others.

Protects: that what a list of the backend says stands in one place, and that no copy of it drifts away unseen.
"""

from __future__ import annotations

from collections.abc import Collection

import pytest
from packaging.specifiers import SpecifierSet

from fuseguard.backend import (
    early_dtypes,
    elementwise,
    int32_rescales,
    partition,
    proper_quantization,
    quantized_operands,
    table_codes,
)
from fuseguard.backend.op_set import OpSet, ops
from fuseguard.backend.op_sets import EXCEPTIONS, LISTS, ON_INT, TABLE_OPS, entered
from fuseguard.ir import Trait, canonical_target, lookup
from fuseguard.ir.ops import KINDS
from fuseguard.measured import RELEASES
from fuseguard_rules.dtype import dt508_table_codes_taken_for_floats as dt508
from fuseguard_rules.operator import op703_max_pool_stride_omitted as op703
from fuseguard_rules.operator import op709_sum_over_merged_dims as op709


def kinds_with(traits: Trait) -> set[str]:
    return {kind for kind in KINDS if lookup(kind).has(traits)}


KNOWN = KINDS | partition._FURTHER
LATER = {kind for kind in entered(EXCEPTIONS["SINCE"].lists) if kind in KNOWN}

#: Every set of the project that models lists of the backend, and every copy of it.
PROJECT: dict[str, tuple[Collection[str], ...]] = {
    "UNARY": (kinds_with(Trait.UNARY),),
    "LOOKUP_FUNCTIONS": (table_codes.FUNCTIONS,),
    "ARITHMETIC": (kinds_with(Trait.ARITHMETIC),),
    "INT32_TARGETS": (int32_rescales.TARGETS,),
    "INT32_SUMS": (int32_rescales.SUMS,),
    "INT32_PICKS_AND_COMPARISONS": ((*int32_rescales.PICKS, *int32_rescales.COMPARISONS),),
    "INT32_COMPARISONS": (int32_rescales.COMPARISONS,),
    "BROUGHT_TO_ONE_SCALE": (int32_rescales.AT_SMALLEST_SCALE,),
    "UNCHECKED": (quantized_operands._UNCHECKED,),
    "QUANTIZE": (kinds_with(Trait.QUANTIZE),),
    "DEQUANTIZE": (kinds_with(Trait.DEQUANTIZE),),
    "CONTROL_FLOW": (kinds_with(Trait.CONTROL_FLOW),),
    "CONSTANT": (kinds_with(Trait.CONSTANT),),
    "ACTIVATION": (kinds_with(Trait.ACTIVATION), early_dtypes._BOUNDED),
    "AVERAGES": (early_dtypes._AVERAGES,),
    "MAX_POOLS": (dt508._POOLS, [target.split(".")[1] for target in op703._POOLS]),
    "CHANNELS_LAST": (elementwise.CHANNELS_LAST,),
    "REDUCTIONS_PASSED_ON_1.4": (op709._REDUCTIONS,),
    "ELEMENTWISE": (  # has_one_operand
        (kinds_with(Trait.UNARY | Trait.ACTIVATION | Trait.ARITHMETIC) - {"sum"}) | elementwise._BY_ELEMENT,
    ),
    "CHECKED": (proper_quantization.TARGETED,),
    "WITHOUT_COMPUTE": (partition._DROPPED,),
    "KNOWN": (KNOWN,),
    "TRANSPARENT": (kinds_with(Trait.TRANSPARENT),),
}


def test_every_mirror_is_compared() -> None:
    assert set(EXCEPTIONS) == {*PROJECT, "SINCE"}


@pytest.mark.parametrize("name", PROJECT)
def test_a_set_of_the_project_is_that_of_the_backend(name: str) -> None:
    for kinds in PROJECT[name]:
        assert set(kinds) == EXCEPTIONS[name].kinds()


def test_ops_are_new_since_the_release_that_lists_them() -> None:
    assert partition._SINCE.keys() | EXCEPTIONS["SINCE"].less.keys() == LATER
    assert {kind: entered(EXCEPTIONS["SINCE"].lists)[kind] for kind in partition._SINCE} == partition._SINCE


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_an_exception_is_one_and_has_a_reason(name: str) -> None:
    mirror = EXCEPTIONS[name]
    assert not mirror.more.keys() & mirror.listed()
    assert mirror.less.keys() <= mirror.listed()
    assert all(reason.strip() for reason in (*mirror.more.values(), *mirror.less.values()))


def test_a_reason_that_refers_to_others_finds_them() -> None:
    for mirror in EXCEPTIONS.values():
        for kind, reason in (*mirror.more.items(), *mirror.less.items()):
            others = [name for name in EXCEPTIONS if reason.startswith("see ") and name in reason.split()]
            assert not reason.startswith("see ") or any(kind in EXCEPTIONS[name].more for name in others), reason


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_spelled_canonically_and_changes_on_known_releases(name: str) -> None:
    op_set = LISTS[name]
    assert op_set.source.endswith(".py")
    assert not op_set.source.startswith("/")
    for op, releases in op_set.ops.items():
        assert canonical_target(op) == op
        assert any(op in op_set.on(release) for release in RELEASES), f"{op} is listed by no release"
        assert releases == "*" or SpecifierSet(releases)


def test_a_list_is_that_of_the_release() -> None:
    assert "aten.log10.default" not in TABLE_OPS.on("1.2.0")
    assert "aten.log10.default" in TABLE_OPS.on("1.3.0")
    assert "aten.index_put.default" in ON_INT.on("1.2.0")
    assert "aten.index_put.default" not in ON_INT.on("1.3.1")
    assert "round" in TABLE_OPS.kinds("1.4.0rc1")
    assert TABLE_OPS.on() == TABLE_OPS.on("1.5.1")


def test_a_list_that_a_release_does_not_have_is_empty_there() -> None:
    op_set = OpSet("SOME", "some.py", ops("abs.default"), ">=1.4")
    assert not op_set.exists_on("1.3.1")
    assert not op_set.on("1.3.1")
    assert op_set.on("1.4.0") == {"aten.abs.default"}


def test_a_kind_entered_with_the_first_of_its_overloads() -> None:
    old = OpSet("OLD", "a.py", ops("eq.Scalar", {">=1.3": "eq.Tensor abs.default", ">=1.4": "abs.out"}))
    new = OpSet("NEW", "b.py", ops("neg.default"), ">=1.5")
    assert entered([old, new]) == {"abs": "1.3", "neg": "1.5"}
