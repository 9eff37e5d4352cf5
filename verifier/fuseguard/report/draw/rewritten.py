"""A drawn part of a program with the edits of a repair, for the picture beside it. Makes no program."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fuseguard.engine import rewrite as edits
from fuseguard.ir.graph import Arg, Ref
from fuseguard.ir.view import View
from fuseguard.report.draw.shapes import Shape, operator, quantizer, shape_of


@dataclass
class Sketch:
    """Boxes by name, what each reads in order, and the names of those that a repair adds or changes.

    ``drawn`` are the nodes of the program that had a box before any edit.
    """

    view: View
    shapes: dict[str, Shape]
    inputs: dict[str, list[str]]
    drawn: frozenset[str] = frozenset()
    added: dict[str, None] = field(default_factory=dict)

    @classmethod
    def of(cls, view: View, chosen: Collection[str], wide: Mapping[str, Collection[str]]) -> Sketch:
        """The chosen nodes of a graph, in its order. Looks at no other node: a program may have many findings.

        ``wide`` has nodes with many operands, and the names of these as a set. Of them, only chosen operands count.
        """
        nodes = sorted((view.graph[name] for name in chosen), key=lambda node: node.index)
        shapes = {node.name: shape_of(view, node) for node in nodes}
        inputs = {
            node.name: [name for name in shapes if name in wide[node.name]]
            if node.name in wide
            else [ref.name for ref in node.refs()]
            for node in nodes
        }
        return cls(view, shapes, inputs, frozenset(shapes))

    def copy(self) -> Sketch:
        inputs = {name: list(read) for name, read in self.inputs.items()}
        return Sketch(self.view, dict(self.shapes), inputs, self.drawn, dict(self.added))

    def add(self, shape: Shape, inputs: Sequence[str], wanted: str) -> str:
        """Add a box under a name that is free; return the name."""
        name, number = wanted, 1
        while name in self.shapes:
            number += 1
            name = f"{wanted} ({number})"
        self.shapes[name] = shape
        self.inputs[name] = list(inputs)
        self.added[name] = None
        return name

    def note(self, name: str, text: str) -> None:
        """Write a line into a box, if it is drawn."""
        if name in self.shapes:
            self.shapes[name] = self.shapes[name].noted(text)
            self.added[name] = None

    def reads_instead(self, user: str, old: str, new: str) -> None:
        """Have ``user`` read ``new`` wherever it reads ``old``."""
        if user in self.inputs:
            self.inputs[user] = [new if item == old else item for item in self.inputs[user]]

    def readers(self, name: str) -> list[str]:
        return [user for user, read in self.inputs.items() if name in read]

    def remove(self, name: str) -> None:
        self.shapes.pop(name, None)
        self.inputs.pop(name, None)
        self.added.pop(name, None)


def rewritten(sketch: Sketch, rewrite: edits.Rewrite) -> Sketch:
    """A copy of ``sketch`` with every edit made. What an edit leaves without a reader goes."""
    result = sketch.copy()
    for edit in rewrite.edits:
        _EDITS[type(edit)](result, edit)
    return result


def _insert(sketch: Sketch, edit: edits.Insert) -> None:
    last = _chain(sketch, edit.value, edit.steps)
    for user in edit.users:
        sketch.reads_instead(user, edit.value, last)


def _chain(sketch: Sketch, value: str, steps: Sequence[edits.Pair | edits.Call]) -> str:
    for step in steps:
        if isinstance(step, edits.Pair):
            value = sketch.add(quantizer("new", "q", step.qparams), [value], "new quantize")
            value = sketch.add(quantizer("new", "dq", step.qparams), [value], "new dequantize")
        else:
            others = [arg.name for arg in step.args if isinstance(arg, Ref) and arg != edits.VALUE]
            value = sketch.add(operator("new", step.target), [value, *others], f"new {step.target}")
    return value


def _set_argument(sketch: Sketch, edit: edits.SetArgument) -> None:
    sketch.note(edit.node, f"{edit.name} = {_text(edit.value)}")
    old = _argument(sketch.view, edit.node, edit.position)
    if isinstance(edit.value, Ref) and old is not None:
        sketch.reads_instead(edit.node, old, edit.value.name)


def _argument(view: View, node: str, position: int) -> str | None:
    """The name of the node that is the argument at ``position``."""
    args = view.graph[node].args if node in view.graph else ()
    arg = args[position] if position < len(args) else None
    return arg.name if isinstance(arg, Ref) else None


def _swap(sketch: Sketch, edit: edits.SwapOperands) -> None:
    if edit.node in sketch.inputs:
        read = sketch.inputs[edit.node]
        sketch.inputs[edit.node] = [*reversed(read[:2]), *read[2:]]
        sketch.note(edit.node, "operands swapped")


def _unannotate(sketch: Sketch, edit: edits.Unannotate) -> None:
    sketch.note(edit.node, "float: annotation removed")


def _replace(sketch: Sketch, edit: edits.Replace) -> None:
    copy = _copy(sketch, edit.source)
    last = _chain(sketch, copy, edit.steps)
    for user in sketch.readers(edit.node):
        sketch.reads_instead(user, edit.node, last)
    _drop(sketch, edit.node)


def _duplicate(sketch: Sketch, edit: edits.Duplicate) -> None:
    copies: dict[str, str] = {}
    for name in edit.nodes:
        for source in sketch.inputs.get(name, ()):
            if source in sketch.shapes and source not in copies and sketch.shapes[source].kind == "dq":
                copies[source] = _copy(sketch, source)
        copies[name] = _copy(sketch, name, copies)
    for user in edit.users:
        sketch.reads_instead(user, edit.nodes[-1], copies[edit.nodes[-1]])


def _copy(sketch: Sketch, name: str, copies: dict[str, str] | None = None) -> str:
    if name not in sketch.shapes:
        return name
    read = [(copies or {}).get(item, item) for item in sketch.inputs[name]]
    return sketch.add(sketch.shapes[name], read, f"copy of {name}")


def _make_constant(sketch: Sketch, edit: edits.MakeConstant) -> None:
    text = f"{edit.target.split('.')[1] if '.' in edit.target else edit.target}({', '.join(map(_text, edit.args))})"
    _store(sketch, edit.node, text)


def _make_parameter(sketch: Sketch, edit: edits.MakeParameter) -> None:
    sketch.note(edit.node, "a parameter")


def _fold(sketch: Sketch, edit: edits.Fold) -> None:
    _store(sketch, edit.node, "stored codes")


def _return_instead(sketch: Sketch, edit: edits.ReturnInstead) -> None:
    graph = sketch.view.graph
    for user in sketch.readers(edit.node):
        if user in graph and graph[user].op == "output":
            sketch.reads_instead(user, edit.node, edit.value)
    _drop_unread(sketch, edit.node)


def _store(sketch: Sketch, node: str, text: str) -> None:
    """Make a constant of a box. What only it read goes."""
    read = sketch.inputs.get(node, [])
    if node in sketch.shapes:
        old = sketch.shapes[node]
        sketch.shapes[node] = Shape(old.name, "constant", "constant", old.lines)
        sketch.note(node, text)
        sketch.inputs[node] = []
    for source in read:
        _drop_unread(sketch, source)


def _drop(sketch: Sketch, name: str) -> None:
    read = sketch.inputs.get(name, [])
    sketch.remove(name)
    for source in read:
        _drop_unread(sketch, source)


def _drop_unread(sketch: Sketch, name: str) -> None:
    """Remove a box that nothing reads any more, in the drawing or outside of it."""
    if name not in sketch.shapes or sketch.readers(name) or sketch.shapes[name].kind == "input":
        return
    graph = sketch.view.graph
    users = graph.users(graph[name]) if name in graph else ()
    if all(user.name in sketch.drawn for user in users):
        _drop(sketch, name)


def _text(arg: Arg) -> str:
    return arg.name if isinstance(arg, Ref) else str(arg)


_EDITS: dict[type, Callable[[Sketch, Any], None]] = {
    edits.Insert: _insert,
    edits.SetArgument: _set_argument,
    edits.SwapOperands: _swap,
    edits.Unannotate: _unannotate,
    edits.Replace: _replace,
    edits.Duplicate: _duplicate,
    edits.MakeConstant: _make_constant,
    edits.MakeParameter: _make_parameter,
    edits.Fold: _fold,
    edits.ReturnInstead: _return_instead,
}
