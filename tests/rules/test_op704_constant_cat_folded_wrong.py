"""OP704 where its examples do not reach, torch-free.

Protects: only what an old release folds into one constant is reported, in the plug-in's graph as well.
"""

from __future__ import annotations

import pytest

from fuseguard.engine import VALUE, Call, Effect, Insert, Pair
from fuseguard.ir import Arg, Graph, QParams, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.operator.op704_constant_cat_folded_wrong import ConstantCatFolded
from fuseguard_testkit.linting import find

SHAPE = (1, 4, 8, 8)
QPARAMS = int8(0.05)


def joined(*parts: str, target: str = "aten.cat.default", annotated: bool = True) -> Graph:
    b = GraphBuilder()
    values = []
    for number, part in enumerate(parts):
        if part == "constant":
            values.append(b.dequantize(b.constant(f"c{number}", SHAPE), QPARAMS))
        elif part == "float":
            values.append(b.constant(f"c{number}", SHAPE, "float32"))
        else:
            values.append(b.quantized_input(f"x{number}", SHAPE, QPARAMS))
    return b.output(b.requantize(b.call(target, tuple(values), 1, annotated=annotated), QPARAMS))


@pytest.mark.parametrize(
    ("graph", "release", "found"),
    [
        (joined("constant", "constant"), "1.2.0", True),
        (joined("constant", "constant", target="aten.stack.default"), "1.2.0", True),
        (joined("constant", "constant"), "1.3.1", False),
        (joined("constant"), "1.2.0", False),
        (joined("constant", "input"), "1.2.0", False),
        (joined("float", "float"), "1.2.0", False),
        (joined("constant", "constant", annotated=False), "1.2.0", False),
    ],
)
def test_only_constants_joined_by_an_old_release_are_folded_wrong(graph: Graph, release: str, found: bool) -> None:
    assert bool(find(ConstantCatFolded(), graph, release=release)) == found


def cat_of(*members: str, b: GraphBuilder) -> Graph:
    return b.output(b.requantize(b.call("aten.cat.default", members, 1, shape=(1, 4 * len(members), 8, 8)), QPARAMS))


@pytest.mark.parametrize(
    ("target", "arguments", "found"),
    [
        ("aten.permute.default", ((0, 1, 3, 2),), True),
        ("aten.tanh.default", (), True),
        ("aten.split.Tensor", (4, 1), True),
        ("aten.abs.default", (), False),  # RESCALEs stand around it
    ],
)
def test_what_is_folded_before_the_cat_is_a_constant_to_it(
    target: str, arguments: tuple[Arg, ...], found: bool
) -> None:
    b = GraphBuilder()
    value = b.call(target, b.dequantize(b.constant("c0", SHAPE), QPARAMS), *arguments, shape=SHAPE)
    if "split" in target:
        value = b.call("operator.getitem", value, 0, shape=SHAPE)
    other = b.dequantize(b.constant("c1", SHAPE), QPARAMS)
    assert bool(find(ConstantCatFolded(), cat_of(b.requantize(value, QPARAMS), other, b=b), release="1.2.0")) == found


def test_one_constant_read_twice_is_folded_right() -> None:
    """The pass goes by the first place of a node among the inputs, and both members are the same node by then."""
    b = GraphBuilder()
    codes = b.constant("c0", SHAPE)
    assert not find(ConstantCatFolded(), cat_of(*(b.dequantize(codes, QPARAMS) for _ in "xy"), b=b), release="1.2.0")


@pytest.mark.parametrize("annotated", [True, False])
def test_what_comes_of_floats_is_a_constant_where_floats_are_lowered(annotated: bool) -> None:
    """The guard refuses it on every profile alike, as it does everything that breaks on one of them."""
    b = GraphBuilder()
    values = [b.constant(f"c{number}", SHAPE, "float32") for number in (0, 1)]
    values = [b.requantize(b.call("aten.view.default", value, SHAPE, annotated=annotated), QPARAMS) for value in values]
    graph = cat_of(*values, b=b)
    effects = {}
    for spec in ("TOSA-1.0+INT", "TOSA-1.0+INT+FP"):
        (finding,) = find(ConstantCatFolded(), graph, spec, "1.2.0")
        effects[spec] = finding.effect
        assert finding.refuse
        assert "view, view_1" in finding.message
    assert effects == {"TOSA-1.0+INT": Effect.EXACT, "TOSA-1.0+INT+FP": Effect.WRONG}


def test_the_smallest_member_is_made_no_constant() -> None:
    b = GraphBuilder()
    large, small = (
        b.dequantize(b.constant(f"c{number}", (1, size, 8, 8)), qparams)
        for number, (size, qparams) in enumerate(((4, QPARAMS), (2, int8(0.031, 7))))
    )
    graph = cat_of(large, small, b=b)
    (finding,) = find(ConstantCatFolded(), graph, release="1.2.0")
    assert finding.repairable
    rewrite = ConstantCatFolded().repair(View(graph), Target.parse("TOSA-1.0+INT", "1.2.0"), finding)
    assert rewrite is not None
    (edit,) = rewrite.edits
    assert edit == Insert(small, ("cat",), (Call("aten.maximum.default", (VALUE,)), Pair(int8(0.031, 7))))


def test_codes_that_the_backend_has_no_maximum_for_are_not_repaired() -> None:
    b = GraphBuilder()
    qparams = QParams.per_tensor(0.05, 128, 0, 255, "uint8")
    members = (b.dequantize(b.constant(name, SHAPE, "uint8"), qparams) for name in ("c0", "c1"))
    (finding,) = find(ConstantCatFolded(), cat_of(*members, b=b), release="1.2.0")
    assert not finding.repairable


def test_the_plug_ins_graph_does_not_label_constants() -> None:
    """An edge graph without its signature: the cat must be refused there as well."""
    b = GraphBuilder("edge")
    codes = tuple(b.dequantize(b.input(name, SHAPE, "int8"), QPARAMS) for name in "xy")
    graph = b.output(b.requantize(b.call("aten.cat.default", codes, 1), QPARAMS))
    assert find(ConstantCatFolded(), graph, release="1.2.0")
    b = GraphBuilder("edge")
    values = tuple(b.quantized_input(name, SHAPE, QPARAMS) for name in "xy")
    graph = b.output(b.requantize(b.call("aten.cat.default", values, 1), QPARAMS))
    assert not find(ConstantCatFolded(), graph, release="1.2.0")


def test_the_view_that_a_stack_leaves_behind_its_cat_is_refused_with_it() -> None:
    """Left on the accelerator it would be given floats for codes, and lowering dies (seen on 1.2.0, INT+FP)."""
    b = GraphBuilder("edge")
    codes = tuple(b.dequantize(b.input(name, SHAPE, "int8"), QPARAMS) for name in "xy")
    joint = b.call("aten.cat.default", codes, 1, shape=(1, 8, 8, 8))
    graph = b.output(b.requantize(b.call("aten.view_copy.default", joint, (1, 2, 4, 8, 8)), QPARAMS))
    (finding,) = find(ConstantCatFolded(), graph, release="1.2.0")
    assert finding.nodes == ("cat", "view_copy")
