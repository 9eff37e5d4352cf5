"""Makes graphs of a program that was decoded from torch.export's JSON.

Every string of the file stays text: no operator is looked up, no expression evaluated, no type imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec

from fuseguard.ir.functional import functional
from fuseguard.ir.graph import Arg, Dialect, Graph, Node, NodeOp, Ref, TensorMeta
from fuseguard.ir.ops import canonical_target
from fuseguard.readers.schema import (
    GraphArgument,
    InputSpec,
    MalformedProgram,
    SerializedGraph,
    SerializedNode,
    dtype_name,
)
from fuseguard.readers.stack_trace import parse_module_stack, parse_stack_trace

# Control flow nested deeper than this is not known, and each level costs a level of Python's stack.
MAX_BODY_DEPTH = 32
# torch's integers have 64 bits; Python's would cost memory and time without bound.
MAX_INTEGER = 2**64

# Spelled as str() of the live object has them.
_LAYOUTS = {
    1: "torch.sparse_coo", 2: "torch.sparse_csr", 3: "torch.sparse_csc", 4: "torch.sparse_bsr", 5: "torch.sparse_bsc",
    6: "torch._mkldnn", 7: "torch.strided",
}  # fmt: skip
_MEMORY_FORMATS = {
    1: "torch.contiguous_format", 2: "torch.channels_last", 3: "torch.channels_last_3d", 4: "torch.preserve_format",
}  # fmt: skip
# JSON has no such numbers; torch writes these words (_dataclass_to_dict).
_WORDS = {"Infinity": float("inf"), "-Infinity": float("-inf"), "NaN": float("nan")}
_ANNOTATION_KEY = "_arm_annotation_info"
_KEYWORD = 2  # ArgumentKind.KEYWORD
# Names of the Argument union. A list's elements are read as the union's scalars.
_SYMBOLIC = ("as_sym_int", "as_sym_float", "as_sym_bool")
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
        self,
        graph: SerializedGraph,
        specs: list[InputSpec],
        path: str = "",
        depth: int = 0,
        mutations: Mapping[str, str] | None = None,
    ) -> None:
        self.nodes: list[Node] = []
        self.subgraphs: dict[str, Graph] = {}
        self._graph = graph
        self._specs = specs
        self._path = path
        self._depth = depth
        self._mutations = dict(mutations or {})  # that the signature knows of
        self._dialect: Dialect = "aten"
        self._body_json: dict[str, Any] = {}
        self._used_bodies: list[str] = []  # by the node that is being read
        self._refs: dict[str, Ref] = {}
        self._names = set(graph.tensor_values)  # that a made-up name must not repeat

    def read(self, buffers: Callable[[list[Node]], dict[str, tuple[float, ...]]] | None = None) -> Graph:
        """The graph; ``buffers`` is asked for the values of per-channel qparams once the nodes are known.

        Raises MalformedProgram, also for names that occur twice or are used before they are defined.
        """
        self._read_inputs()
        for serialized in self._graph.nodes:
            try:
                self._read_node(serialized)
            except MalformedProgram as error:
                raise MalformedProgram(f"node {serialized.name or serialized.target!r}: {error}") from error
        values = tuple([self._arg(output) for output in self._graph.outputs])
        single = self._graph.is_single_tensor_return and len(values) == 1
        self._add(self._fresh("output"), "output", args=values if single else (values,))
        qparam_values = buffers(self.nodes) if buffers else None
        try:
            # The results of a control-flow body are those of the op that runs it: no write adds one.
            nodes, written = (self.nodes, {}) if self._path else functional(self.nodes)
            return Graph(
                nodes, dialect=self._dialect, name=self._path, subgraphs=self.subgraphs, buffers=qparam_values,
                mutations=self._mutations | written, functionalized=nodes is not self.nodes,
            )  # fmt: skip
        except ValueError as error:
            raise MalformedProgram(str(error)) from error

    def _read_inputs(self) -> None:
        constants = {tensor[0] for spec in self._specs if (tensor := spec.tensor())}
        for position, argument in enumerate(self._graph.inputs):
            key, value = _only(argument)
            outputs: tuple[TensorMeta, ...] = ()
            if key == "as_tensor":
                name = _text(value, "name")
                outputs = (self._meta(name),)
            elif key in ("as_custom_obj", "as_token"):
                name = _text(value, "name")
            elif key in _SYMBOLIC:
                name = _text(value, "as_name")
            else:  # a Python number, string or None; only the signature knows the placeholder's name
                spec = self._specs[position].constant_input if position < len(self._specs) else None
                name = spec.name if spec and spec.name else f"arg{position}"
            self._add(name, "placeholder", outputs=outputs, constant=name in constants)

    def _read_node(self, serialized: SerializedNode) -> None:
        target = _canonical_target(serialized.target)
        if "dialects.edge." in serialized.target:
            self._dialect = "edge"
        self._used_bodies = []
        args: list[Arg] = []
        kwargs: dict[str, Arg] = {}
        for argument in serialized.inputs:
            if argument.kind != _KEYWORD:
                args.append(self._arg(argument.arg))
            elif argument.name in kwargs:
                raise MalformedProgram(f"the keyword {argument.name!r} occurs twice")
            else:
                kwargs[argument.name] = self._arg(argument.arg)
        metadata = serialized.metadata
        module, module_type = parse_module_stack(metadata.nn_module_stack) if metadata.nn_module_stack else ("", "")
        origin: dict[str, Any] = {
            "stack": parse_stack_trace(metadata.stack_trace) if metadata.stack_trace else (),
            "module": module,
            "module_type": module_type,
            "annotated": _annotated(metadata.custom),
        }
        bodies = tuple(dict.fromkeys(self._used_bodies)) if self._used_bodies else ()
        name = serialized.name or self._name_of(target, serialized.outputs)
        metas, getitems = self._results(name, serialized.outputs)
        self._add(
            name, "call", target=target, args=tuple(args), kwargs=kwargs, outputs=metas, subgraphs=bodies, **origin
        )
        for item, producer, index, item_metas in getitems:
            self._add(
                item, "call", target="operator.getitem", args=(Ref(producer), index), outputs=item_metas, **origin
            )

    def _name_of(self, target: str, outputs: list[dict[str, Any]]) -> str:
        """The name of a node that has none in the file, as in files from before the schema stored it."""
        if len(outputs) == 1:
            key, value = _only(outputs[0])
            if key == "as_tensor":
                return _text(value, "name")
            if key in _SYMBOLIC:
                return _text(value, "as_name")
        return self._fresh(target.split(".")[1] if "." in target else target)

    def _results(self, name: str, outputs: list[dict[str, Any]]) -> tuple[tuple[TensorMeta, ...], list[_GetItem]]:
        """What a node yields: a TensorMeta per tensor, and the getitem nodes that FX has for several results.

        The file stores no getitem; it names the results after them (note "Multiple outputs" in serialize.py). A
        result that nothing uses is called ``<node>_unused_<index>`` and has no node.
        """
        results = [_only(output) for output in outputs]
        if len(results) == 1:
            key, value = results[0]
            if key == "as_tensor" and _text(value, "name") == name:
                return (self._meta(name),), []
            if key == "as_tensors":
                results = [("as_tensor", item) for item in _items(value)]
            elif key != "as_tensor" and (key not in _SYMBOLIC or _text(value, "as_name") == name):
                return (), []
        metas: list[TensorMeta] = []
        getitems: list[_GetItem] = []
        for index, (key, value) in enumerate(results):
            if key == "as_tensors":
                inner = [_text(item, "name") for item in _items(value)]
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
                item = _text(value, "name")
                meta = self._meta(item)
                metas.append(meta)
                if item != f"{name}_unused_{index}":
                    getitems.append((item, name, index, (meta,)))
            elif key in _SYMBOLIC:
                item = _text(value, "as_name")
                if item != f"{name}_unused_{index}":
                    getitems.append((item, name, index, ()))
        return tuple(metas), getitems

    def _arg(self, argument: Any) -> Arg:
        key, value = _only(argument)
        return self._value(key, value)

    def _value(self, key: str, value: Any, depth: int = 0) -> Arg:
        """One member of the Argument union."""
        if key == "as_tensor":
            return self._ref(value)
        if key in _LITERALS:
            return _literal(key, value)
        if key == "as_scalar_type":
            return dtype_name(_integer(value))
        if key in _LIST_ELEMENTS:
            element = _LIST_ELEMENTS[key]
            return tuple([self._value(element, item) for item in _items(value)])
        if key in _SYMBOLIC or key == "as_optional_tensor":
            inner, item = _only(value)
            if inner == "as_name":
                return self._ref(value, "as_name")
            return self._value(inner, item) if inner in _SCALARS else self._malformed(inner, item)
        if key in _NESTED_ELEMENTS:
            element = _NESTED_ELEMENTS[key]
            return tuple([tuple([self._value(element, item) for item in _items(row)]) for row in _items(value)])
        if key == "as_graph":
            return self._body(value)
        if key == "as_string_to_argument" and type(value) is dict and depth < MAX_BODY_DEPTH:
            members = [(name, *_only(item)) for name, item in value.items()]
            return tuple([(name, self._value(inner, item, depth + 1)) for name, inner, item in members])
        return self._other(key, value)

    def _other(self, key: str, value: Any) -> Arg:
        """Literals that no rule asks for, as the text that str() gives of the live object."""
        if key == "as_device" and type(value) is dict:
            index = value.get("index")
            return str(value.get("type")) if index is None else f"{value.get('type')}:{index}"
        if key == "as_layout":
            return _LAYOUTS.get(_integer(value), "torch.layout")
        if key == "as_memory_format":
            return _MEMORY_FORMATS.get(_integer(value), "torch.memory_format")
        if key == "as_operator" and type(value) is str:
            return canonical_target(value)
        if key == "as_custom_obj":
            name = _text(value, "name")
            return Ref(name) if any(node.name == name for node in self.nodes) else name
        if key == "as_complex" and type(value) is dict:
            real, imaginary = (_literal("as_float", value.get(part)) for part in ("real", "imag"))
            return str(complex(real, imaginary))  # type: ignore[arg-type]
        return self._malformed(key, value)

    def _malformed(self, key: str, value: Any) -> Arg:
        raise MalformedProgram(f"an argument {key!r} of type {type(value).__name__} is not in the schema")

    def _ref(self, value: Any, key: str = "name") -> Ref:
        name = _text(value, key)
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
            self.subgraphs[name] = GraphReader(argument.graph, [], path, self._depth + 1).read()
        elif self._body_json[name] != value:
            raise MalformedProgram(f"two different control-flow bodies are both called {name!r}")
        self._used_bodies.append(name)
        return name

    def _meta(self, name: str) -> TensorMeta:
        value = self._graph.tensor_values.get(name)
        if value is None:
            raise MalformedProgram(f"the tensor {name!r} has no entry in tensor_values, so its type is not known")
        return value.meta()

    def _fresh(self, stem: str) -> str:
        """``stem`` or, as FX does, the first ``stem_1``, ``stem_2`` ... that is free."""
        name = stem
        count = 0
        while name in self._names:
            count += 1
            name = f"{stem}_{count}"
        self._names.add(name)
        return name

    def _add(self, name: str, op: NodeOp, **fields: Any) -> None:
        self._names.add(name)
        self.nodes.append(Node(name, op, index=len(self.nodes), **fields))


_canonical_target = lru_cache(maxsize=1024)(canonical_target)  # programs have few operators and many calls


def _only(union: Any) -> tuple[str, Any]:
    """The key and value of a union, which the schema writes as an object with one key."""
    if type(union) is not dict or len(union) != 1:
        raise MalformedProgram("an argument is not an object with exactly one key")
    [(key, value)] = union.items()
    return key, value


def _text(value: Any, key: str) -> str:
    text = value.get(key) if type(value) is dict else None
    if type(text) is not str or not text:
        raise MalformedProgram(f"an argument or output has no {key!r} that is text")
    return text


def _items(value: Any) -> list[Any]:
    if type(value) is not list:
        raise MalformedProgram(f"a list is expected, not {type(value).__name__}")
    return value


def _integer(value: Any) -> int:
    if type(value) is not int or not -MAX_INTEGER < value < MAX_INTEGER:
        raise MalformedProgram(f"an integer of 64 bits is expected, not {type(value).__name__}")
    return value


def _literal(key: str, value: Any) -> Arg:
    if key == "as_float":
        if isinstance(value, str) and value in _WORDS:
            return _WORDS[value]
        return value if isinstance(value, float) else float(_integer(value))
    if key == "as_int":
        return _integer(value)
    if key == "as_none":
        return None
    if (key == "as_bool" and isinstance(value, bool)) or (key == "as_string" and isinstance(value, str)):
        return value
    raise MalformedProgram(f"a {key!r} argument is {type(value).__name__}")


@lru_cache(maxsize=256)
def _annotated(custom: str) -> bool:
    """``_arm_annotation_info.quantized`` of a node's custom metadata, which is JSON within the JSON."""
    if _ANNOTATION_KEY not in custom:
        return False
    try:
        info = msgspec.json.decode(custom).get(_ANNOTATION_KEY)
    except (msgspec.DecodeError, AttributeError, RecursionError):
        return False  # users may put anything there
    return bool(info.get("quantized")) if type(info) is dict else False
