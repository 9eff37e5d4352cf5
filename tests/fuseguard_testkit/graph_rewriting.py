"""Makes planned rewrites in torch-free graphs, so that whole repairs can be tried by the thousand.

What ``fuseguard.executorch.rewriting`` does to an exported program, done to a small graph; that both agree on all
examples is tested in tests/releases/test_repair.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from fuseguard.engine import (
    VALUE,
    Call,
    Duplicate,
    Edit,
    Fold,
    Insert,
    MakeConstant,
    MakeParameter,
    Pair,
    Replace,
    Report,
    ReturnInstead,
    Rewrite,
    Rule,
    SetArgument,
    SwapOperands,
    Unannotate,
    run,
)
from fuseguard.engine.rounds import Repair, repair_in_rounds
from fuseguard.ir import Graph, Node, QParams, Ref, TensorMeta
from fuseguard.ir.graph import Arg
from fuseguard.target import Target

_Shape = tuple[int | None, ...]


def repair_graph(
    graph: Graph,
    target: Target,
    rules: Sequence[Rule],
    policy: str = "consistent",
    watch: Callable[[Report], None] = lambda report: None,
) -> tuple[Graph, tuple[Repair, ...], Report]:
    """The repaired graph, the repairs made and what remains, as ``fuseguard.executorch.repair`` has them.

    ``watch`` is given the report of every round. Raises EndlessRepair.
    """
    current = graph

    def check() -> Report:
        report = run(current, target, rules, policy)
        watch(report)
        return report

    def rewrite(batch: Sequence[Repair]) -> None:
        nonlocal current
        for name in {item.finding.graph: None for item in batch}:
            rewrites = [item.rewrite for item in batch if item.finding.graph == name]
            current = _in_body(current, name, rewrites)

    applied, report = repair_in_rounds(check, rewrite, rules)
    return current, applied, report


def _in_body(graph: Graph, name: str, rewrites: Sequence[Rewrite]) -> Graph:
    if graph.name == name:
        return apply(graph, rewrites)
    bodies = {
        key: _in_body(body, name, rewrites) if name == body.name or name.startswith(f"{body.name}.") else body
        for key, body in graph.subgraphs.items()
    }
    return Graph(list(graph), dialect=graph.dialect, name=graph.name, buffers=graph.buffers, subgraphs=bodies)


def apply(graph: Graph, rewrites: Sequence[Rewrite]) -> Graph:
    """``graph`` with the edits of ``rewrites`` made. Raises KeyError for a node that there is not."""
    editor = _Editor(graph)
    for rewrite in rewrites:
        for edit in rewrite.edits:
            editor.make(edit)
    editor.erase_unread()
    nodes = [replace(node, index=index) for index, node in enumerate(editor.nodes)]
    return Graph(nodes, dialect=graph.dialect, name=graph.name, buffers=graph.buffers, subgraphs=graph.subgraphs)


class _Editor:
    def __init__(self, graph: Graph) -> None:
        self.nodes = list(graph)
        self.top = not graph.name
        self._taken = {node.name for node in graph}
        #: What the edits may have left without a reader. It goes after all of them: another may be about it.
        self._replaced: list[str] = []
        self._folded: list[str] = []

    def make(self, edit: Edit) -> None:
        if isinstance(edit, Insert):
            self._insert(edit)
        elif isinstance(edit, SetArgument):
            self._set_argument(edit)
        elif isinstance(edit, SwapOperands):
            node = self._node(edit.node)
            self._put(node, args=(node.args[1], node.args[0], *node.args[2:]))
        elif isinstance(edit, Replace):
            self._replace(edit)
        elif isinstance(edit, Duplicate):
            self._duplicate(edit)
        elif isinstance(edit, MakeConstant):
            self._make_constant(edit)
        elif isinstance(edit, MakeParameter):
            self._put(self._node(edit.node), stored_as="parameter")
        elif isinstance(edit, Fold):
            self._fold(self._node(edit.node))
        elif isinstance(edit, Unannotate):
            self._put(self._node(edit.node), annotated=False)
        elif isinstance(edit, ReturnInstead):
            for output in [node for node in self.nodes if node.op == "output"]:
                self._read_instead(output, {edit.node: edit.value})
            self._replaced.append(edit.node)
        else:
            raise TypeError(edit)

    # --- the edits

    def _insert(self, edit: Insert) -> None:
        value = self._node(edit.value)
        last = self._chain(value, value, edit.steps)
        for name in edit.users:
            self._read_instead(self._node(name), {value.name: last})
        if self.top and any(self._node(name).op == "output" for name in edit.users) and value.op == "call":
            self._rename(value.name, self._new(f"{value.name}_unrepaired"))
            self._rename(last, value.name)

    def _set_argument(self, edit: SetArgument) -> None:
        node = self._node(edit.node)
        if edit.name in node.kwargs or len(node.args) < edit.position:
            self._put(node, kwargs={**node.kwargs, edit.name: edit.value})
        else:
            self._put(node, args=(*node.args[: edit.position], edit.value, *node.args[edit.position + 1 :]))
        self._replaced += [ref.name for ref in node.refs()]

    def _make_constant(self, edit: MakeConstant) -> None:
        node = self._node(edit.node)
        made = replace(
            node, name=self._new(f"{node.name}_made"), target=edit.target, args=edit.args, kwargs={"dtype": edit.dtype}
        )
        self.nodes.insert(self._place(node.name) + 1, made)
        self._put_in_place(node, made.name)

    def _replace(self, edit: Replace) -> None:
        node, source = self._node(edit.node), self._node(edit.source)
        origin = self._node(next(node.refs()).name) if node.kind == "getitem" else node
        self._put_in_place(node, self._chain(self._node(self._copy(source, {})), origin, edit.steps))

    def _put_in_place(self, node: Node, last: str) -> None:
        """What read ``node`` reads ``last``."""
        readers = [reader for reader in self.nodes if node.name in {ref.name for ref in reader.refs()}]
        for reader in readers:
            self._read_instead(reader, {node.name: last})
        if self.top and any(reader.op == "output" for reader in readers):
            self._rename(node.name, self._new(f"{node.name}_unrepaired"))
            self._rename(last, node.name)
            node = self._node(f"{node.name}_unrepaired")
        self._replaced.append(node.name)

    def _duplicate(self, edit: Duplicate) -> None:
        made: dict[str, str] = {}
        for name in edit.nodes:
            node = self._node(name)
            for ref in dict.fromkeys(node.refs()):
                if "dequantize_per" in self._node(ref.name).target:
                    made[ref.name] = self._copy(self._node(ref.name), {})
            made[name] = self._copy(node, made)
        for name in edit.users:
            self._read_instead(self._node(name), {edit.nodes[-1]: made[edit.nodes[-1]]})

    def _fold(self, node: Node) -> None:
        """A constant in the place of ``node``; its codes, which no rule needs once they are stored, stay unknown."""
        stored = Node(self._new(f"{node.name}_folded"), "placeholder", outputs=node.outputs, constant=True)
        self.nodes.insert(0, stored)
        for reader in [reader for reader in self.nodes if node.name in {ref.name for ref in reader.refs()}]:
            self._read_instead(reader, {node.name: stored.name})
        self._folded.append(node.name)

    # --- what they are made of

    def _node(self, name: str) -> Node:
        return next((node for node in self.nodes if node.name == name), None) or _missing(name)

    def _put(self, node: Node, **changes: object) -> None:
        self.nodes[self._place(node.name)] = replace(node, **changes)  # type: ignore[arg-type]

    def _place(self, name: str) -> int:
        return next(number for number, node in enumerate(self.nodes) if node.name == name)

    def _new(self, stem: str) -> str:
        name, number = stem, 0
        while name in self._taken:
            number += 1
            name = f"{stem}_{number}"
        self._taken.add(name)
        return name

    def _read_instead(self, reader: Node, instead: dict[str, str]) -> None:
        changed = _renamed(self._node(reader.name), instead)
        self.nodes[self._place(reader.name)] = changed

    def _rename(self, old: str, new: str) -> None:
        for names in (self._replaced, self._folded):
            names[:] = [new if name == old else name for name in names]
        self.nodes = [replace(_renamed(node, {old: new}), name=new if node.name == old else node.name)
                      for node in self.nodes]  # fmt: skip

    def _copy(self, node: Node, made: dict[str, str]) -> str:
        name = self._new(node.name)
        self.nodes.insert(self._place(node.name) + 1, replace(_renamed(node, made), name=name))
        return name

    def _chain(self, value: Node, origin: Node, steps: Sequence[Pair | Call]) -> str:
        last = value.name
        for step in steps:
            if isinstance(step, Pair):
                last = self._call("quantized_decomposed.quantize_per_tensor.default", last, origin, _qdq(step.qparams))
                last = self._call(
                    "quantized_decomposed.dequantize_per_tensor.default", last, origin, _qdq(step.qparams)
                )
            else:
                further = tuple(Ref(last) if arg == VALUE else arg for arg in step.args)
                last = self._call(step.target, last, replace(origin, annotated=step.annotated), further)
        return last

    def _call(self, target: str, last: str, origin: Node, further: tuple[Arg, ...]) -> str:
        before = self._node(last)
        operands = (last, *(arg.name for arg in further if isinstance(arg, Ref)))
        name = self._new(f"{target.split('.')[1]}_made")
        assert before.meta is not None
        node = Node(
            name=name,
            op="call",
            target=target,
            args=(Ref(last), *further),
            outputs=(_result(target, before.meta, further),),
            stack=origin.stack,
            module=origin.module,
            module_type=origin.module_type,
            annotated=origin.annotated and origin.op == "call",
        )
        self.nodes.insert(max(map(self._place, operands)) + 1, node)
        return name

    def erase_unread(self) -> None:
        """What the edits have left without a reader goes, with what only it read; constants if they were folded."""
        for names, constants in ((self._replaced, False), (self._folded, True)):
            while names:
                name = names.pop()
                read = any(name == ref.name for node in self.nodes for ref in node.refs())
                node = next((node for node in self.nodes if node.name == name), None)
                if node is not None and (node.op == "call" or (constants and node.constant)) and not read:
                    names += [ref.name for ref in node.refs()]
                    self.nodes.remove(node)


def _missing(name: str) -> Node:
    raise KeyError(f"the graph has no node {name!r}")


def _qdq(qparams: QParams) -> tuple[Arg, ...]:
    return (qparams.scale, qparams.zero_point, qparams.qmin, qparams.qmax, qparams.dtype)


def _renamed(node: Node, names: dict[str, str]) -> Node:
    def renamed(arg: Arg) -> Arg:
        if isinstance(arg, Ref):
            return Ref(names.get(arg.name, arg.name))
        return tuple(renamed(part) for part in arg) if isinstance(arg, tuple) else arg

    return replace(
        node,
        args=tuple(renamed(arg) for arg in node.args),
        kwargs={key: renamed(arg) for key, arg in node.kwargs.items()},
    )


def _result(target: str, before: TensorMeta, further: tuple[Arg, ...]) -> TensorMeta:
    """What an op that a rewrite inserts yields of ``before``."""
    dtype = str(further[4]) if "quantized_decomposed.quantize" in target else before.dtype
    if "dequantize" in target:
        dtype = "float32"
    if target == "aten.to.dtype":
        dtype = str(further[0])
    return TensorMeta(dtype, _shape(target.split(".")[1], before.shape, further))


def _shape(op: str, shape: _Shape, further: tuple[Arg, ...]) -> _Shape:
    first = further[0] if further else None
    if op == "view" and isinstance(first, tuple):
        known = 1
        for size in first:
            known *= size if isinstance(size, int) and size > 0 else 1
        total = 1
        for size in shape:
            total *= size or 1
        return tuple(total // known if size == -1 else int(size) for size in first if isinstance(size, int))
    if op == "expand" and isinstance(first, tuple):
        padded = (*(1,) * (len(first) - len(shape)), *shape)
        return tuple(old if new == -1 else int(str(new)) for old, new in zip(padded, first, strict=True))
    if op == "repeat" and isinstance(first, tuple):
        padded = (*(1,) * (len(first) - len(shape)), *shape)
        return tuple((old or 1) * int(str(times)) for old, times in zip(padded, first, strict=True))
    if op == "unsqueeze" and isinstance(first, int):
        place = first % (len(shape) + 1)
        return (*shape[:place], 1, *shape[place:])
    if op in ("squeeze", "select") and isinstance(first, int):
        place = first % len(shape)
        return (*shape[:place], *shape[place + 1 :])
    if op == "slice" and isinstance(first, int):
        place, start, end = first % len(shape), int(str(further[1])), int(str(further[2]))
        return (*shape[:place], end - start, *shape[place + 1 :])
    if op in ("amax", "amin", "mean", "sum") and isinstance(first, tuple) and further[1] is True:
        return tuple(1 if dim in first else size for dim, size in enumerate(shape))
    if op in ("quantize_per_tensor", "dequantize_per_tensor", "maximum", "minimum", "hardtanh", "to", "clone"):
        return shape
    raise NotImplementedError(f"no rule inserted {op} so far; say here what shape it yields")
