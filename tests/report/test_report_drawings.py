"""Drawings of findings: which nodes are in them, and how each edit of a repair changes them.

Protects: a picture of a repair that shows something else than the repair does, and drawings whose cost grows with the
program.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from fuseguard.engine import rewrite as edits
from fuseguard.engine.finding import Finding
from fuseguard.engine.rewrite import VALUE, Call, Edit, Pair, Rewrite
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import Graph, Ref
from fuseguard.report.draw.islands import MAX_NODES, Drawings, Picture
from fuseguard_testkit.report_fakes import finding
from fuseguard_testkit.report_programs import islands


def program() -> Graph:
    """x -> Q -> DQ -> sub(DQ, DQ of y) -> relu -> Q -> DQ."""
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4), int8(0.5))
    y = b.quantized_input("y", (1, 4), int8(0.25))
    relu = b.call("aten.relu.default", b.call("aten.sub.Tensor", x, y))
    return b.output(b.requantize(relu, int8(0.125)))


def edges(picture: Picture) -> set[tuple[str, str]]:
    names = [shape.name for shape in picture.shapes]
    assert len(set(picture.edges)) == len(picture.edges)
    return {(names[start], names[end]) for start, end in picture.edges}


def drawn(*made: Edit, nodes: tuple[str, ...] = ("sub", "relu"), graph: Graph | None = None) -> tuple[Picture, Picture]:
    found = finding(nodes=nodes, cluster=nodes, rewrite=Rewrite(made))
    drawing = Drawings(graph or program()).draw(found)
    assert drawing is not None
    assert drawing.after is not None
    return drawing.before, drawing.after


BEFORE = {
    ("x", "quantize_per_tensor"), ("quantize_per_tensor", "dequantize_per_tensor"), ("dequantize_per_tensor", "sub"),
    ("y", "quantize_per_tensor_1"), ("quantize_per_tensor_1", "dequantize_per_tensor_1"),
    ("dequantize_per_tensor_1", "sub"), ("sub", "relu"), ("relu", "quantize_per_tensor_2"),
    ("quantize_per_tensor_2", "dequantize_per_tensor_2"), ("dequantize_per_tensor_2", "output"),
}  # fmt: skip


def test_surroundings_reach_through_quantize_ops_to_the_next_op() -> None:
    before, _ = drawn(edits.Unannotate("relu"))
    assert edges(before) == BEFORE
    assert [before.shapes[number].name for number in before.offending] == ["sub", "relu"]


def names(picture: Picture, positions: tuple[int, ...]) -> list[str]:
    return [f"{picture.shapes[number].label} {picture.shapes[number].name}" for number in positions]


def test_insert_puts_its_steps_between_a_value_and_the_named_users() -> None:
    _, after = drawn(edits.Insert("sub", ("relu",), (Pair(int8(0.125, 3)), Call("aten.view.default", ((1, 4),)))))
    found = edges(after)
    assert ("sub", "relu") not in found
    assert names(after, after.added) == ["quantize new", "dequantize new", "view new"]
    assert after.shapes[after.added[0]].lines == ("scale 0.125, zp 3", "int8 [-128, 127]")
    chain = [(a, b) for a, b in after.edges if a in after.added or b in after.added]
    assert len(chain) == 4


def test_insert_of_a_call_reads_its_other_operands() -> None:
    _, after = drawn(edits.Insert("sub", ("relu",), (Call("aten.add.Tensor", (VALUE, Ref("dequantize_per_tensor"))),)))
    assert {("sub", "new"), ("dequantize_per_tensor", "new"), ("new", "relu")} <= edges(after)


def test_an_argument_that_is_a_node_is_read_instead() -> None:
    _, after = drawn(edits.SetArgument("sub", 1, "other", Ref("dequantize_per_tensor")))
    assert ("dequantize_per_tensor_1", "sub") not in edges(after)
    (shape,) = [shape for shape in after.shapes if shape.name == "sub"]
    assert shape.lines[-1] == "other = dequantize_per_tensor"
    assert names(after, after.added) == ["sub sub"]


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (edits.SetArgument("relu", 1, "stride", (2, 2)), "stride = (2, 2)"),
        (edits.SwapOperands("sub"), "operands swapped"),
        (edits.Unannotate("relu"), "float: annotation removed"),
    ],
)
def test_what_leaves_the_edges_is_written_into_the_box(edit: Edit, line: str) -> None:
    before, after = drawn(edit)
    assert edges(after) == edges(before)
    assert [after.shapes[number].lines[-1] for number in after.added] == [line]


def test_replace_puts_a_copy_of_the_source_and_the_steps_in_the_place_of_a_node() -> None:
    steps = (Call("aten.neg.default"),)
    _, after = drawn(edits.Replace("sub", "dequantize_per_tensor", steps), nodes=("sub",))
    found = edges(after)
    assert not any("sub" in edge for edge in found)
    assert ("new", "relu") in found
    assert not any("dequantize_per_tensor_1" in edge for edge in found), "only sub read it"
    assert ("y", "quantize_per_tensor_1") not in found
    assert names(after, after.added)[0] == "dequantize dequantize_per_tensor"


def test_duplicate_gives_the_users_a_copy_with_dequantize_ops_of_its_own() -> None:
    before, after = drawn(edits.Duplicate(("sub",), ("relu",)))
    assert len(after.shapes) == len(before.shapes) + 3
    assert [after.shapes[number].kind for number in after.added] == ["dq", "dq", "op"]
    positions = {shape.name: number for number, shape in enumerate(before.shapes)}
    assert (positions["sub"], positions["relu"]) not in after.edges


@pytest.mark.parametrize(
    "edit", [edits.MakeConstant("sub", "aten.full.default", (1, 0.5), "float32"), edits.Fold("sub", ("x",))]
)
def test_a_constant_reads_nothing_and_what_only_it_read_goes(edit: Edit) -> None:
    _, after = drawn(edit, nodes=("sub",))
    assert not any(end == "sub" for _, end in edges(after))
    left = {shape.name: shape.kind for shape in after.shapes}
    assert left["sub"] == "constant"
    assert "dequantize_per_tensor_1" not in left
    assert left["x"] == "input", "an input of the program stays"


def test_outputs_return_another_value_and_what_nothing_reads_goes() -> None:
    b = GraphBuilder()
    relu = b.call("aten.relu.default", b.quantized_input("x", (1, 4), int8(0.5)))
    copy = b.call("aten.clone.default", relu)
    made = edits.ReturnInstead(copy, relu)
    _, after = drawn(made, nodes=(relu, copy), graph=b.output(relu, copy))
    assert ("relu", "output") in edges(after)
    assert not [edge for edge in edges(after) if "clone" in edge]


def test_every_edit_has_a_drawing() -> None:
    from typing import get_args

    from fuseguard.report.draw.rewritten import _EDITS

    assert set(_EDITS) == set(get_args(Edit))


def test_a_large_cluster_is_cut_and_counted() -> None:
    graph = islands(60, 60)
    cluster = tuple(node.name for node in graph)[:200]
    drawing = Drawings(graph).draw(finding(nodes=("relu",), cluster=cluster))
    assert drawing is not None
    assert len(drawing.before.shapes) == MAX_NODES
    assert drawing.left_out == 200 - MAX_NODES
    assert "relu" in [shape.name for shape in drawing.before.shapes]


def test_a_finding_of_another_program_has_no_drawing() -> None:
    assert Drawings(program()).draw(finding(nodes=("nowhere",))) is None
    assert Drawings(program()).draw(finding(graph="true_graph_0")) is None
    assert Drawings(program()).draw(finding(nodes=())) is None


def test_the_cost_of_a_drawing_does_not_grow_with_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    def looks(number: int) -> int:
        graph = islands(number, number)
        drawings = Drawings(graph)
        found: Finding = replace(finding(nodes=("relu_1",), cluster=("relu_1",)), rewrite=None)
        drawings.draw(found)  # makes the view
        seen = 0
        real = Graph.__getitem__

        def counting(self: Graph, name: str) -> object:
            nonlocal seen
            seen += 1
            return real(self, name)

        with monkeypatch.context() as patch:
            patch.setattr(Graph, "__getitem__", counting)
            patch.setattr(Graph, "__iter__", lambda self: pytest.fail("looked at every node"))
            drawings.draw(found)
        return seen

    assert looks(300) == looks(3)
