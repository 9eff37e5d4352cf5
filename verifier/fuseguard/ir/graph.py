"""The torch-free, read-only graph that readers make and rules look at.

One :class:`Graph` is one FX graph: the top level of a program or the body of a control-flow branch. Its
nodes are in topological order and refer to each other by name (:class:`Ref`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, TypeAlias

from fuseguard.ir.delegate import Delegate
from fuseguard.ir.hazard import Hazard
from fuseguard.ir.ops import OpInfo, Trait, canonical_target, lookup
from fuseguard.ir.source_lines import model_line
from fuseguard.ir.value import Value

NodeOp: TypeAlias = Literal["placeholder", "call", "get_attr", "output"]
Dialect: TypeAlias = Literal["aten", "edge"]
StoredAs: TypeAlias = Literal["", "parameter", "buffer", "tensor"]


class Ref(Value, frozen=True):
    """A use of another node's value."""

    name: str


# Nested tuples of literals and Refs. A literal that rules have no use for (a device, a layout) is its text.
Arg: TypeAlias = "Ref | str | int | float | bool | tuple[Arg, ...] | None"


@dataclass(frozen=True, slots=True)
class TensorMeta:
    """dtype by torch's short name (``int8``) and sizes; a symbolic size is None.

    ``dim_order`` is the order of the dimensions in memory (:func:`fuseguard.ir.layout.dim_order_of`), None if it is not
    known. Two metas that differ in nothing else are equal: no rule asks for it.
    """

    dtype: str
    shape: tuple[int | None, ...]
    dim_order: tuple[int, ...] | None = field(default=None, compare=False, repr=False)

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def is_float(self) -> bool:
        return self.dtype.startswith(("float", "bfloat"))


class SourceLine(Value, frozen=True):
    """A line of the user's Python as the exporter recorded it; ``code`` may be empty."""

    file: str
    line: int
    function: str = ""
    code: str = ""

    @property
    def generated(self) -> bool:
        """Whether the line is of the code that torch.fx writes, which nobody has in a file."""
        return self.file.startswith("<eval_with_key>")

    @property
    def installed(self) -> bool:
        """Whether the line is of an installed package."""
        return "site-packages" in self.file or "dist-packages" in self.file

    @property
    def packaged(self) -> str:
        """File and line. The file of an installed package from that package on: ``torchvision/models/resnet.py:92``."""
        file = self.file.replace("\\", "/")
        return f"{file.rpartition('site-packages/')[2].rpartition('dist-packages/')[2]}:{self.line}"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Node:
    """One FX node.

    ``target`` is spelled ``namespace.op.overload`` in every dialect. ``outputs`` holds one TensorMeta per
    tensor that the node yields (none for the output node). ``annotated`` is Arm's
    ``_arm_annotation_info.quantized``. ``stored_as`` says what a constant is in the program's signature: a parameter, a
    buffer, or a tensor that torch.export lifted; "" if there is no signature. ``info`` is the op table's line for the
    target, ``kind`` the canonical kind, the same for ATen and edge spellings; "" unless it is a call. ``meta`` is the
    only output's dtype and shape, or the first one's.
    """

    name: str
    op: NodeOp
    target: str = ""
    args: tuple[Arg, ...] = ()
    kwargs: Mapping[str, Arg] = field(default_factory=dict)
    outputs: tuple[TensorMeta, ...] = ()
    stack: tuple[SourceLine, ...] = ()
    module: str = ""
    module_type: str = ""
    annotated: bool = False
    constant: bool = False  # a placeholder for a parameter, buffer or lifted tensor
    stored_as: StoredAs = ""
    subgraphs: tuple[str, ...] = ()
    index: int = 0
    # Rules ask these of every node many times over, so they are worked out once.
    info: OpInfo = field(init=False, repr=False, compare=False)
    kind: str = field(init=False, repr=False, compare=False)
    meta: TensorMeta | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "info", lookup(self.target))
        object.__setattr__(self, "kind", self.info.kind if self.op == "call" else "")
        object.__setattr__(self, "meta", self.outputs[0] if self.outputs else None)

    @property
    def operator(self) -> str:
        """``ones_like`` of ``aten.ones_like.default``; "" for what is not a call, or has no namespace."""
        parts = self.target.split(".")
        return parts[1] if self.op == "call" and len(parts) > 1 else ""

    @property
    def source(self) -> SourceLine | None:
        """The innermost recorded line of the model's own code; None where only lines of the framework were recorded."""
        return model_line(self.stack)

    def refs(self) -> Iterator[Ref]:
        """Every use in args and kwargs, in order, repeats included."""
        for arg in (*self.args, *self.kwargs.values()) if self.kwargs else self.args:
            if isinstance(arg, Ref):
                yield arg
            elif isinstance(arg, tuple):
                yield from _nested_refs(arg)

    def arg(self, position: int, name: str, default: Arg = None) -> Arg:
        """The argument at ``position`` or called ``name``, as an op's schema allows both."""
        if name in self.kwargs:
            return self.kwargs[name]
        return self.args[position] if position < len(self.args) else default


def substituted(node: Node, values: Mapping[str, Arg]) -> Node:
    """``node`` with the values in place of what it uses, by name; ``node`` itself if it uses none of these."""
    if not any(ref.name in values for ref in node.refs()):
        return node
    args = tuple([with_values(arg, values) for arg in node.args])
    return replace(node, args=args, kwargs={key: with_values(arg, values) for key, arg in node.kwargs.items()})


def with_values(arg: Arg, values: Mapping[str, Arg]) -> Arg:
    """An argument with the values in place of the nodes in it, by their names."""
    if isinstance(arg, Ref):
        return values.get(arg.name, arg)
    return tuple([with_values(part, values) for part in arg]) if isinstance(arg, tuple) else arg


def _used_by(node: Node) -> list[str]:
    """The names of all that ``node`` uses, as ``refs`` says; where all are asked for, this takes half as long."""
    found: list[str] = []
    for arg in (*node.args, *node.kwargs.values()) if node.kwargs else node.args:
        if isinstance(arg, Ref):
            found.append(arg.name)
        elif isinstance(arg, tuple):
            found += [ref.name for ref in _nested_refs(arg)]
    return found


def _nested_refs(arg: tuple[Arg, ...]) -> Iterator[Ref]:
    # Iterative: a hostile file may nest its arguments deeply.
    stack: list[Arg] = [arg]
    while stack:
        item = stack.pop()
        if isinstance(item, Ref):
            yield item
        elif isinstance(item, tuple):
            stack.extend(reversed(item))


class Graph:
    """Nodes in topological order, their users, and what the program's signature says of them."""

    def __init__(
        self,
        nodes: list[Node],
        *,
        dialect: Dialect = "aten",
        name: str = "",
        buffers: Mapping[str, tuple[float, ...]] | None = None,
        subgraphs: Mapping[str, Graph] | None = None,
        mutations: Mapping[str, str] | None = None,
        functionalized: bool = False,
        delegate: Delegate | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        """``buffers`` maps placeholder names to the values that :func:`constants_to_read` names.

        ``mutations`` maps the names of buffers and inputs that a run of the program changes to the nodes that have
        their values after it. Those nodes are the first results of the output node. ``functionalized`` says that the
        program has in-place ops that its nodes here have not (:func:`fuseguard.ir.functional.functional`).
        ``delegate`` says that this is the sub-graph which a backend has compiled already; it is among the subgraphs of
        the lowered program. ``notes`` are sentences about what the reader had to infer.

        Raises ValueError when a name occurs twice, a node uses one that is not defined before it, or ``mutations``
        names a node that there is not.
        """
        self.dialect: Dialect = dialect
        self.name = name
        self.nodes: dict[str, Node] = {}
        self.buffers: Mapping[str, tuple[float, ...]] = dict(buffers or {})
        self.subgraphs: Mapping[str, Graph] = dict(subgraphs or {})
        self.mutations: Mapping[str, str] = dict(mutations or {})
        self.functionalized = functionalized
        self.delegate = delegate
        self.notes = notes
        #: What loading the file would run that the graph was read from; a live program has none.
        self.hazards: tuple[Hazard, ...] = ()
        users: dict[str, list[Node]] = {}
        self._inputs: dict[str, tuple[Node, ...]] = {}
        for node in nodes:
            if node.name in self.nodes:
                raise ValueError(f"node name {node.name!r} occurs twice in graph {name or 'main'!r}")
            self.nodes[node.name] = node
            users[node.name] = []
            used = dict.fromkeys(_used_by(node))
            for producer in used:
                if producer not in users or producer == node.name:
                    raise ValueError(f"node {node.name!r} uses {producer!r}, which is not defined before it")
                users[producer].append(node)
            self._inputs[node.name] = tuple([self.nodes[producer] for producer in used])
        unknown = [item for item in (*self.mutations, *self.mutations.values()) if item not in self.nodes]
        if unknown:
            raise ValueError(f"the program writes to its state with {unknown[0]!r}, which is not one of its nodes")
        self._users: dict[str, tuple[Node, ...]] = {name: tuple(nodes) for name, nodes in users.items()}

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def __contains__(self, name: str) -> bool:
        return name in self.nodes

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def __len__(self) -> int:
        return len(self.nodes)

    def users(self, node: Node) -> tuple[Node, ...]:
        """The distinct nodes that use ``node``, in topological order."""
        return self._users[node.name]

    def inputs(self, node: Node) -> tuple[Node, ...]:
        """The distinct nodes that ``node`` uses, in argument order."""
        return self._inputs[node.name]

    def node_of(self, arg: Arg) -> Node | None:
        """The node that ``arg`` refers to, or None for literals."""
        return self.nodes[arg.name] if isinstance(arg, Ref) else None

    @cached_property
    def has_sources(self) -> bool:
        """Whether a line of the model was recorded for any node."""
        return any(node.source is not None for node in self)

    def walk(self) -> Iterator[Graph]:
        """This graph and every control-flow body and delegate below it, outermost first."""
        pending: list[Graph] = [self]
        while pending:
            graph = pending.pop()
            yield graph
            pending.extend(reversed(list(graph.subgraphs.values())))


#: Constants with more elements are not read: what is worth it are variances and factors, one a channel.
_MOST_VALUES = 4096


def constants_to_read(nodes: Sequence[Node]) -> list[str]:
    """Names of the constants whose values rules ask for, each once: per-channel scales and zero points, and small int8
    and int16 tensors that other ops than anchors compute with.
    """
    stored = {node.name for node in nodes if node.constant and _is_small(node)}
    anchored: set[str] = set()
    otherwise: set[str] = set()
    for node in nodes if stored else ():
        (anchored if node.info.has(Trait.MAC) else otherwise).update(_used_by(node))
    found: dict[str, None] = {}
    for node in nodes:
        if "quantize_per_channel" in node.target:
            found.update((arg.name, None) for arg in node.args[1:3] if isinstance(arg, Ref))
        elif node.kind == "dequantize" and not (node.name in anchored and node.name not in otherwise):
            found.update((arg.name, None) for arg in node.args[:1] if isinstance(arg, Ref) and arg.name in stored)
    return list(found)


def _is_small(node: Node) -> bool:
    meta = node.meta
    if meta is None or meta.dtype not in ("int8", "int16") or None in meta.shape:
        return False
    return 0 < math.prod(size or 0 for size in meta.shape) <= _MOST_VALUES


__all__ = [
    "Arg", "Dialect", "Graph", "Node", "Ref", "SourceLine", "StoredAs", "TensorMeta", "canonical_target",
    "constants_to_read",
]  # fmt: skip
