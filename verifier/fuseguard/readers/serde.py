"""Makes graphs of a program that was decoded from torch.export's JSON.

Every string of the file stays text: no operator is looked up, no expression evaluated, no type imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from fuseguard.ir.functional import functional
from fuseguard.ir.graph import Arg, Dialect, Graph, Node, NodeOp, Ref, TensorMeta
from fuseguard.ir.inlined import inlined
from fuseguard.ir.ops import canonical_target
from fuseguard.readers.budget import MAX_NAME, MAX_RANK, Budget
from fuseguard.readers.loader import (
    POSITIONAL,
    SYMBOLIC,
    arguments_of,
    check_only_result,
    checked_target,
    is_keyword,
)
from fuseguard.readers.schema import (
    GraphArgument,
    InputSpec,
    MalformedProgram,
    PiecewiseGraph,
    SerializedGraph,
    SerializedNode,
    decoded_node,
    dtype_name,
)
from fuseguard.readers.stack_trace import Traces
from fuseguard.readers.values import annotated, integer, items_of, literal, only, text_of

# Control flow nested deeper than this is not known, and each level costs a level of Python's stack.
MAX_BODY_DEPTH = 32

# Spelled as str() of the live object has them.
_LAYOUTS = {
    1: "torch.sparse_coo", 2: "torch.sparse_csr", 3: "torch.sparse_csc", 4: "torch.sparse_bsr", 5: "torch.sparse_bsc",
    6: "torch._mkldnn", 7: "torch.strided",
}  # fmt: skip
_MEMORY_FORMATS = {
    1: "torch.contiguous_format", 2: "torch.channels_last", 3: "torch.channels_last_3d", 4: "torch.preserve_format",
}  # fmt: skip
# Names of the Argument union. A list's elements are read as the union's scalars.
_LITERALS = ("as_int", "as_float", "as_bool", "as_string", "as_none")
_SCALARS = ("as_tensor", "as_int", "as_float", "as_bool", "as_none")
_LIST_ELEMENTS = {
    "as_tensors": "as_tensor", "as_ints": "as_int", "as_floats": "as_float", "as_bools": "as_bool",
    "as_strings": "as_string", "as_sym_ints": "as_sym_int", "as_sym_floats": "as_sym_float",
    "as_sym_bools": "as_sym_bool", "as_optional_tensors": "as_optional_tensor",
}  # fmt: skip
_NESTED_ELEMENTS = {"as_nested_tensors": "as_tensor", "as_int_lists": "as_int", "as_float_lists": "as_float"}
_GetItem: TypeAlias = "tuple[str, str, int, tuple[TensorMeta, ...]]"  # its name, the producer's, index, metas


class GraphReader:
    """Turns one serialized graph into nodes; bodies of control flow get readers of their own."""

    def __init__(
        self, graph: SerializedGraph | PiecewiseGraph, specs: list[InputSpec], budget: Budget, path: str = "",
        depth: int = 0, traces: Traces | None = None, mutations: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.nodes: list[Node] = []
        self.subgraphs: dict[str, Graph] = {}
        self._graph = graph
        self._specs = specs
        self._budget = budget
        self._traces = Traces(budget) if traces is None else traces
        self._path = path
        self._depth = depth
        self._mutations = dict(mutations or {})  # that the signature knows of
        self._dialect: Dialect = "aten"
        self._body_json: dict[str, Any] = {}
        self._used_bodies: list[str] = []  # by the node that is being read
        self._refs: dict[str, Ref] = {}
        self._names: set[str] = set()
        self._counts: dict[str, int] = {}  # by stem: numbers below it are taken
        self._metas: dict[str, TensorMeta] = {}

    def read(self, buffers: Callable[[list[Node]], dict[str, tuple[float, ...]]] | None = None) -> Graph:
        """The graph; ``buffers`` is asked for the values of constants once the nodes are known.

        Raises MalformedProgram, also for names that occur twice or are used before they are defined.
        """
        self._budget.nodes(len(self._graph.inputs) + len(self._graph.nodes) + 1)
        self._read_inputs()
        pending: list[Any] = self._graph.nodes
        pending.reverse()
        number = -1
        while pending:
            number += 1
            node = pending.pop()  # what has been read need not stay in memory
            try:
                serialized = decoded_node(node)
            except MalformedProgram as error:
                raise MalformedProgram(f"node number {number}: {error}") from error
            try:
                self._read_node(serialized)
            except MalformedProgram as error:
                raise MalformedProgram(f"node {(serialized.name or serialized.target)[:80]!r}: {error}") from error
        values = tuple([self._arg(output) for output in self._members(self._graph.outputs)])
        single = self._graph.is_single_tensor_return and len(values) == 1
        self._add(self._fresh("output"), "output", args=values if single else (values,))
        self._complete()
        self.nodes, self.subgraphs = inlined(self.nodes, self.subgraphs, self._copied)
        constants = buffers(self.nodes) if buffers else None
        try:
            # The results of a control-flow body are those of the op that runs it: no write adds one.
            nodes, written = (self.nodes, {}) if self._depth else functional(self.nodes)
            return Graph(
                nodes, dialect=self._dialect, name=self._path, subgraphs=self.subgraphs, buffers=constants,
                mutations=self._mutations | written, functionalized=nodes is not self.nodes,
            )  # fmt: skip
        except ValueError as error:
            raise MalformedProgram(str(error)) from error

    def _copied(self, nodes: int, arguments: int) -> None:
        self._budget.nodes(nodes)
        self._budget.arguments(arguments)

    def _complete(self) -> None:
        """For a format that leaves out what nodes have; called once all are known."""

    def _read_inputs(self) -> None:
        constants = {tensor[0]: spec.stored_as() for spec in self._specs if (tensor := spec.tensor())}
        for position, argument in enumerate(self._graph.inputs):
            key, value = only(argument)
            outputs: tuple[TensorMeta, ...] = ()
            if key == "as_tensor":
                name = text_of(value, "name")
                outputs = (self._meta(name),)
            elif key in ("as_custom_obj", "as_token"):
                name = text_of(value, "name")
            elif key in SYMBOLIC:
                name = text_of(value, "as_name")
            else:  # a Python number, string or None; only the signature knows the placeholder's name
                spec = self._specs[position].constant_input if position < len(self._specs) else None
                name = spec.name if spec and spec.name else f"arg{position}"
            kind = constants.get(name, "")
            self._add(name, "placeholder", outputs=outputs, constant=bool(kind), stored_as=kind)

    def _read_node(self, serialized: SerializedNode) -> None:
        target = checked_target(serialized.target)
        if "dialects.edge." in serialized.target:
            self._dialect = "edge"
        self._used_bodies = []
        args, kwargs = self._arguments(serialized, target)
        metadata = serialized.metadata
        module, module_type = self._traces.module(metadata.nn_module_stack)
        origin: dict[str, Any] = {
            "stack": self._traces.stack(metadata.stack_trace),
            "module": module,
            "module_type": module_type,
            "annotated": annotated(metadata.custom),
        }
        bodies = tuple(dict.fromkeys(self._used_bodies)) if self._used_bodies else ()
        name = serialized.name or self._name_of(target, serialized.outputs)
        metas, getitems = self._results(name, serialized)
        if getitems:
            self._budget.nodes(len(getitems))
        self._add(
            name, "call", target=target, args=tuple(args), kwargs=kwargs, outputs=metas, subgraphs=bodies, **origin
        )
        for item, producer, index, item_metas in getitems:
            self._add(
                item, "call", target="operator.getitem", args=(Ref(producer), index), outputs=item_metas, **origin
            )

    def _arguments(self, serialized: SerializedNode, target: str) -> tuple[list[Arg], dict[str, Arg]]:
        # The edge dialect has no names in its arguments.
        known = arguments_of(target) if serialized.target.startswith("torch.ops.") else None
        names = known.names if known is not None else ()
        args: list[Arg] = []
        kwargs: dict[str, Arg] = {}
        self._budget.arguments(len(serialized.inputs))
        for argument in serialized.inputs:
            name, kind = argument.name, argument.kind
            position = len(args)
            if kind == POSITIONAL and (known is None or (position < len(names) and names[position] == name)):
                args.append(self._arg(argument.arg))
            elif is_keyword(serialized.target, known, name, kind, position):
                if name in kwargs:
                    raise MalformedProgram(f"the keyword {name!r} occurs twice")
                kwargs[name] = self._arg(argument.arg)
            else:
                args.append(self._arg(argument.arg))
        return args, kwargs

    def _name_of(self, target: str, outputs: list[dict[str, Any]]) -> str:
        """The name of a node that has none in the file, as in files from before the schema stored it."""
        if len(outputs) == 1:
            key, value = only(outputs[0])
            if key == "as_tensor":
                return text_of(value, "name")
            if key in SYMBOLIC:
                return text_of(value, "as_name")
        return self._fresh(target.split(".")[1] if "." in target else target)

    def _results(self, name: str, node: SerializedNode) -> tuple[tuple[TensorMeta, ...], list[_GetItem]]:
        """What a node yields: a TensorMeta per tensor, and the getitem nodes that FX has for several results.

        The file stores no getitem; it names the results after them (note "Multiple outputs" in serialize.py). A
        result that nothing uses is called ``<node>_unused_<index>`` and has no node.
        """
        results = [only(output) for output in self._members(node.outputs)]
        if len(results) == 1:
            key, value = results[0]
            if key == "as_tensor" and text_of(value, "name") == name and node.is_hop_single_tensor_return is not False:
                return (self._meta(name),), []
            check_only_result(name, node, key, value)
            if key == "as_tensors":
                results = [("as_tensor", item) for item in self._members(value)]
            elif key != "as_tensor" and (key not in SYMBOLIC or text_of(value, "as_name") == name):
                return (), []
        metas: list[TensorMeta] = []
        getitems: list[_GetItem] = []
        for index, (key, value) in enumerate(results):
            if key == "as_tensors":
                inner = [text_of(item, "name") for item in self._members(value)]
                inner_metas = tuple(self._meta(item) for item in inner)
                metas.extend(inner_metas)
                if all(item.startswith(f"{name}_unused_") for item in inner):
                    continue
                made_up = self._fresh("getitem")
                getitems.append((made_up, name, index, inner_metas))
                getitems.extend(
                    (item, made_up, position, (inner_metas[position],))
                    for position, item in enumerate(inner)
                    if item != f"{made_up}_unused_{position}"
                )
            elif key == "as_tensor":
                item = text_of(value, "name")
                meta = self._meta(item)
                metas.append(meta)
                if item != f"{name}_unused_{index}":
                    getitems.append((item, name, index, (meta,)))
            elif key in SYMBOLIC:
                item = text_of(value, "as_name")
                if item != f"{name}_unused_{index}":
                    getitems.append((item, name, index, ()))
        return tuple(metas), getitems

    def _arg(self, argument: Any) -> Arg:
        key, value = only(argument)
        return self._value(key, value)

    def _value(self, key: str, value: Any, depth: int = 0) -> Arg:
        """One member of the Argument union."""
        if key == "as_tensor":
            return self._ref(value)
        if key in _LITERALS:
            return literal(key, value)
        if key == "as_scalar_type":
            return dtype_name(integer(value))
        if key in _LIST_ELEMENTS:
            element = _LIST_ELEMENTS[key]
            return tuple([self._value(element, item) for item in self._members(value)])
        if key in SYMBOLIC or key == "as_optional_tensor":
            inner, item = only(value)
            if inner == "as_name":
                return self._ref(value, "as_name")
            return self._value(inner, item) if inner in _SCALARS else self._malformed(inner, item)
        if key in _NESTED_ELEMENTS:
            element = _NESTED_ELEMENTS[key]
            rows = self._members(value)
            return tuple([tuple([self._value(element, item) for item in self._members(row)]) for row in rows])
        if key == "as_graph":
            return self._body(value)
        if key == "as_string_to_argument" and type(value) is dict and depth < MAX_BODY_DEPTH:
            self._budget.arguments(len(value))
            members = [(name, *only(item)) for name, item in value.items()]
            return tuple([(name, self._value(inner, item, depth + 1)) for name, inner, item in members])
        return self._other(key, value)

    def _members(self, value: Any) -> list[Any]:
        members = items_of(value)
        self._budget.arguments(len(members))
        return members

    def _other(self, key: str, value: Any) -> Arg:
        """Literals that no rule asks for, as the text that str() gives of the live object."""
        if key == "as_device" and type(value) is dict:
            index = value.get("index")
            return str(value.get("type")) if index is None else f"{value.get('type')}:{index}"
        if key == "as_layout":
            return _LAYOUTS.get(integer(value), "torch.layout")
        if key == "as_memory_format":
            return _MEMORY_FORMATS.get(integer(value), "torch.memory_format")
        if key == "as_operator" and type(value) is str:
            return canonical_target(value)
        if key == "as_custom_obj":
            name = text_of(value, "name")
            return self._ref(value) if name in self._names else name
        if key == "as_complex" and type(value) is dict:
            real, imaginary = (literal("as_float", value.get(part)) for part in ("real", "imag"))
            return str(complex(real, imaginary))  # type: ignore[arg-type]
        return self._malformed(key, value)

    def _malformed(self, key: str, value: Any) -> Arg:
        raise MalformedProgram(f"an argument {key!r} of type {type(value).__name__} is not in the schema")

    def _ref(self, value: Any, key: str = "name") -> Ref:
        self._budget.use()
        name = text_of(value, key)
        ref = self._refs.get(name)
        if ref is None:
            ref = self._refs[name] = Ref(name)  # one object per name: a program has many more uses than names
        return ref

    def _body(self, value: Any) -> str:
        """Reads the body of a branch or loop and returns its name, which stands for it in the arguments."""
        if self._depth >= MAX_BODY_DEPTH:
            raise MalformedProgram(f"control flow is nested more than {MAX_BODY_DEPTH} deep")
        try:
            argument = msgspec.convert(value, GraphArgument)
        except msgspec.ValidationError as error:
            raise MalformedProgram(f"a control-flow body: {error}") from error
        name = argument.name
        if name not in self._body_json:
            path = f"{self._path}.{name}" if self._path else name
            self._body_json[name] = value
            self.subgraphs[name] = self.__class__(
                argument.graph, [], self._budget, path, self._depth + 1, self._traces
            ).read()
        elif self._body_json[name] != value:
            raise MalformedProgram(f"two different control-flow bodies are both called {name!r}")
        self._used_bodies.append(name)
        return name

    def _meta(self, name: str) -> TensorMeta:
        meta = self._metas.get(name)
        if meta is not None:
            return meta  # a file may name one tensor often, and its shape is made once
        value = self._graph.tensor_values.get(name)
        if value is None:
            raise MalformedProgram(f"the tensor {name[:80]!r} has no entry in tensor_values, so its type is not known")
        if len(value.sizes) > MAX_RANK:
            raise MalformedProgram(f"the tensor {name[:80]!r} has more than {MAX_RANK} dimensions")
        meta = self._metas[name] = value.meta()
        return meta

    def _fresh(self, stem: str) -> str:
        """``stem`` or, as FX does, the first ``stem_1``, ``stem_2`` ... that is free."""
        count = self._counts.get(stem, 0)
        name = f"{stem}_{count}" if count else stem
        while name in self._names or name in self._graph.tensor_values:
            count += 1
            name = f"{stem}_{count}"
        self._counts[stem] = count + 1
        self._names.add(name)
        return name

    def _add(self, name: str, op: NodeOp, **fields: Any) -> None:
        if len(name) > MAX_NAME:
            raise MalformedProgram(f"the name {name[:80]!r}... has more than {MAX_NAME} characters")
        self._names.add(name)
        self.nodes.append(Node(name, op, index=len(self.nodes), **fields))
