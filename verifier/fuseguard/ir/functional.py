"""Programs without in-place ops: what a write changes becomes a value, and state that a program changes a result.

``torch.export`` keeps in-place ops as they were written. Such an op may have no user, and what reads the tensor that it
wrote to need not refer to it. :func:`functional` makes of such nodes what functionalization
(``ExportedProgram.run_decompositions``) makes of the program, so that both forms, and the edge program, have the same
values, the same users and the same results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from fuseguard.ir.graph import Arg, Graph, Node, Ref, substituted

#: Results of these ops share memory with their first argument: ATen's view ops, and ops that return their input where
#: there is nothing to do. The same names with ``_copy`` share nothing.
_VIEWS = frozenset(
    ("view", "reshape", "_reshape_alias", "flatten", "unflatten", "view_as", "permute", "transpose", "t", "movedim",
     "moveaxis", "swapaxes", "swapdims", "numpy_T", "squeeze", "unsqueeze", "expand", "expand_as", "broadcast_to",
     "slice", "narrow", "select", "split", "split_with_sizes", "chunk", "tensor_split", "unbind", "unfold", "diagonal",
     "alias", "detach", "as_strided", "contiguous", "dropout", "lift_fresh", "real", "imag")
)  # fmt: skip
#: In-place ops that change sizes, strides or autograd's flags, and no value.
_METADATA = frozenset(("detach_", "requires_grad_", "t_", "transpose_", "squeeze_", "unsqueeze_", "swapaxes_"))
#: Views that hand on all elements in their order, whose write-back is a view of the written value.
_RESHAPING = frozenset(
    ("view", "reshape", "_reshape_alias", "flatten", "unflatten", "view_as", "squeeze", "unsqueeze")
)  # fmt: skip
_IDENTITIES = frozenset(("alias", "detach", "contiguous", "dropout", "lift_fresh"))

#: A write to a view of a view makes a few nodes. A file with thousands of both would make millions.
_MOST_NODES = 16


@lru_cache(maxsize=1024)
def writes_in_place(target: str) -> bool:
    """Whether an op writes to its first argument, by ATen's convention of a trailing underscore."""
    namespace, _, rest = target.partition(".")
    name = rest.partition(".")[0]
    return (
        namespace not in ("operator", "higher_order")
        and name.endswith("_")
        and not name.startswith("__")
        and name not in _METADATA
    )


def functional(nodes: list[Node]) -> tuple[list[Node], dict[str, str]]:
    """``nodes`` without in-place ops, and by the name of each input or buffer that is written to its last value.

    The values written are the first results of the output node, in the order of the inputs, as in a functionalized
    program (BUFFER_MUTATION and USER_INPUT_MUTATION in its signature). What reads a tensor after a write, by any view
    of it, reads the value written. A node keeps its name; what a write to a view of a tensor makes of the tensor
    itself is a node named after the view (``slice_1_scatter``). ``nodes`` itself is returned where no write
    reaches an input, a buffer or a later reader that does not refer to it: for an activation in place, for one.

    Raises ValueError, as :class:`Graph` does, for nodes that make no graph, and where the writes would make more than
    16 nodes of each one.
    Source: ATen's functionalization, and ``_remove_unnecessary_copy_op_pass`` of torch/export/exported_program.py: the
    last ``copy`` to a buffer is left out.
    """
    if not any(map(writes_in_place, {node.target for node in nodes})):
        return nodes, {}
    Graph(nodes)  # refuses names that occur twice or are used before they are defined
    return _Functionalization(nodes).run()


class _Functionalization:
    """One pass over the nodes, in the order in which they run."""

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = nodes
        self._old = {node.name: node for node in nodes}
        self._out: dict[str, Node] = {}
        #: By the name of a view or of an in-place op: what it shares memory with, and the tensor at the end of that.
        self._parent: dict[str, str] = {}
        self._base: dict[str, str] = {}
        #: By tensor: how often it was written to.
        self._writes: dict[str, int] = {}
        #: By name: after how many writes which node has its value.
        self._made: dict[str, tuple[int, str]] = {}
        self._rewired = False

    def run(self) -> tuple[list[Node], dict[str, str]]:
        for node in self._nodes:
            if node.op == "output":
                self._end(node)
            elif node.op == "call" and writes_in_place(node.target) and self._first(node):
                self._write(node)
            else:
                self._read(node)
        written = self._written()
        if not written and not self._rewired:
            return self._nodes, {}
        return [replace(node, index=index) for index, node in enumerate(self._out.values())], written

    def _read(self, node: Node) -> None:
        self._emit(self._with_current_args(node))
        first = self._first(node)
        if first and node.op == "call" and _shares_memory(node, self._old[first]):
            self._parent[node.name] = first
            self._base[node.name] = self._base_of(first)
        self._made[node.name] = self._writes.get(self._base_of(node.name), 0), node.name

    def _write(self, node: Node) -> None:
        written = self._first(node)
        base = self._base_of(written)
        namespace, name, *overload = node.target.split(".")
        functional_target = ".".join((namespace, name.removesuffix("_"), *overload))
        value = self._emit(replace(self._with_current_args(node), target=functional_target)).name
        after = self._writes.get(base, 0) + 1
        made = {node.name: value, written: value}
        while written in self._parent:
            written, value = self._written_back(written, value)
            made[written] = value
        self._writes[base] = after
        self._made |= {name: (after, value) for name, value in made.items()}
        self._parent[node.name], self._base[node.name] = self._first(node), base

    def _written_back(self, name: str, value: str) -> tuple[str, str]:
        """What ``name`` is a view of, and the value of that once ``value`` is written to the view."""
        view, parent = self._old[name], self._parent[name]
        if writes_in_place(view.target):
            return parent, value  # its result is the tensor that it writes to
        split = None
        if view.target == "operator.getitem":
            split, parent = self._old[parent], self._parent[parent]
        scatter = _scatter(view, split, self._old[parent], Ref(value), Ref(self._current(parent)))
        if scatter is None:
            return parent, value
        target, args = scatter
        outputs = self._old[parent].outputs
        made = replace(view, name=self._fresh(f"{name}_scatter"), target=target, args=args, kwargs={}, outputs=outputs)
        return parent, self._emit(made).name

    def _end(self, node: Node) -> None:
        results = self._with_current_args(node).args
        written = self._written()
        if written:
            rest = results[0] if results and isinstance(results[0], tuple) else results
            results = ((*map(Ref, written.values()), *rest),)
        self._emit(replace(node, args=results))
        copies = {value for name, value in written.items() if self._old[name].constant}
        self._leave_out([self._out[name] for name in copies if self._out[name].target == "aten.copy.default"])

    def _leave_out(self, copies: Sequence[Node]) -> None:
        """What reads one of ``copies`` reads what it copies."""
        sources = {copy.name: source.name for copy in copies if isinstance(source := copy.arg(1, "src"), Ref)}
        if not sources:
            return
        for name, source in sources.items():
            while source in sources:
                source = sources[source]
            sources[name] = source
        kept = [node for node in self._out.values() if node.name not in sources]
        values: dict[str, Arg] = {name: Ref(source) for name, source in sources.items()}
        self._out = {node.name: substituted(node, values) for node in kept}
        self._made = {name: (writes, sources.get(value, value)) for name, (writes, value) in self._made.items()}

    def _written(self) -> dict[str, str]:
        """The inputs and buffers that are written to, with their last values."""
        found = [name for name in self._writes if self._old[name].op in ("placeholder", "get_attr")]
        return {name: self._made[name][1] for name in sorted(found, key=lambda name: self._old[name].index)}

    def _with_current_args(self, node: Node) -> Node:
        if not self._writes:
            return node
        current = {ref.name: self._current(ref.name) for ref in node.refs()}
        changed: dict[str, Arg] = {name: Ref(value) for name, value in current.items() if value != name}
        self._rewired = self._rewired or bool(changed)
        return substituted(node, changed)

    def _current(self, name: str) -> str:
        """The node that has the value of ``name`` after all writes so far. Views of what was written are made again."""
        writes = self._writes.get(self._base_of(name), 0)
        made_after, value = self._made[name]
        if made_after == writes:
            return value
        node = self._old[name]
        value = self._current(self._parent[name])
        if not writes_in_place(node.target):
            again = substituted(node, {self._parent[name]: Ref(value)})
            value = self._emit(replace(again, name=self._fresh(name))).name
        self._made[name] = writes, value
        return value

    def _first(self, node: Node) -> str:
        """The name of the first argument, "" if it is none that a node yields."""
        first = node.arg(0, "self")
        return first.name if isinstance(first, Ref) else ""

    def _base_of(self, name: str) -> str:
        return self._base.get(name, name)

    def _emit(self, node: Node) -> Node:
        if len(self._out) >= _MOST_NODES * len(self._nodes):
            raise ValueError(f"its in-place ops make more than {_MOST_NODES} nodes of each node")
        self._out[node.name] = node
        return node

    def _fresh(self, stem: str) -> str:
        name, count = stem, 0
        while name in self._old or name in self._out:
            count += 1
            name = f"{stem}_{count}"
        return name


def _op_name(node: Node) -> str:
    parts = node.target.split(".")
    return parts[1].removesuffix("_") if len(parts) > 1 else ""


def _shares_memory(node: Node, first: Node) -> bool:
    if node.target == "operator.getitem":
        return _op_name(first) in _VIEWS
    name = _op_name(node)
    return name in _VIEWS and not (name == "dropout" and node.arg(2, "train") is True)


def _scatter(
    view: Node, split: Node | None, parent: Node, value: Ref, whole: Ref
) -> tuple[str, tuple[Arg, ...]] | None:
    """The op, and its arguments, that puts ``value`` where ``view`` is in ``whole``; None where it is all of it.

    ``view`` is a getitem if ``split`` is given, which yields several views of ``parent``.
    """
    if split is not None:
        return _scatter_part(view, split, value, whole)
    name = _op_name(view)
    rest = view.args[1:]
    if name in _IDENTITIES:
        return None
    if name in ("slice", "select", "diagonal"):
        return f"aten.{name}_scatter.default", (whole, value, *rest)
    if name == "narrow":
        dim, start, length = (view.arg(position, word) for position, word in enumerate(("dim", "start", "length"), 1))
        if isinstance(start, int) and isinstance(length, int):
            return "aten.slice_scatter.default", (whole, value, dim, start, start + length)
    if name in ("transpose", "t", "swapaxes", "swapdims"):
        return view.target.replace("_.", "."), (value, *rest)
    if name == "permute" and isinstance(rest[0], tuple):
        rank = len(rest[0])
        dims = [dim % rank if isinstance(dim, int) else 0 for dim in rest[0]]
        return view.target, (value, tuple(dims.index(dim) for dim in range(rank)))
    if name in _RESHAPING and parent.meta is not None:
        return "aten.view.default", (value, tuple(parent.meta.shape))
    return "aten.as_strided_scatter.default", (whole, value)


def _scatter_part(view: Node, split: Node, value: Ref, whole: Ref) -> tuple[str, tuple[Arg, ...]]:
    number = view.arg(1, "index")
    if _op_name(split) == "unbind" and isinstance(number, int):
        return "aten.select_scatter.default", (whole, value, split.arg(1, "dim", 0), number)
    dim = split.arg(2, "dim", 0)
    if isinstance(number, int) and isinstance(dim, int) and all(dim < meta.rank for meta in split.outputs):
        sizes = [meta.shape[dim] or 0 for meta in split.outputs]
        start = sum(sizes[:number])
        return "aten.slice_scatter.default", (whole, value, dim, start, start + sizes[number])
    return "aten.as_strided_scatter.default", (whole, value)
