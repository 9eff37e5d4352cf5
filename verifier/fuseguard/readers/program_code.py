"""Looks through one program's JSON for what torch runs when it makes a program of it, and runs none of it.

Source: torch/_export/serde/serialize.py (expressions, names), torch/utils/_pytree.py (tree specs),
torch/export/_unlift.py (guards) and torch/fx/graph.py (source) of torch 2.13. executorch/exir/serde is a copy of the
first with an older schema, which has no guards; what is missing there is empty here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from fuseguard.ir.hazard import Hazard
from fuseguard.readers.expressions import is_arithmetic, is_guard, is_identifier, is_path
from fuseguard.readers.treespecs import Imports, imports_of, keywords_of

# Characters of the expressions, and of the guards, of one program. The largest known have some thousands.
_MAX_CODE = 4 * 2**20
# Names that are looked at. A program of the largest size has fewer than 200,000.
_MAX_NAMES = 500_000


class _Expression(msgspec.Struct, gc=False):
    expr_str: str = ""


class _Symbolic(msgspec.Struct, gc=False):
    as_expr: _Expression | None = None


class _Tensor(msgspec.Struct):
    sizes: list[_Symbolic] = []
    strides: list[_Symbolic] = []
    storage_offset: _Symbolic | None = None


class _Body(msgspec.Struct):
    name: str
    graph: _Graph


class _Argument(msgspec.Struct):
    """Members of the union that bring a name, a graph or a delegate; the others are skipped."""

    as_graph: _Body | None = None
    as_string: str | None = None
    as_string_to_argument: dict[str, _Argument] | None = None
    as_tensor: dict[str, Any] | None = None
    as_tensors: list[Any] | None = None
    as_custom_obj: dict[str, Any] | None = None
    as_sym_int: dict[str, Any] | None = None
    as_sym_float: dict[str, Any] | None = None
    as_sym_bool: dict[str, Any] | None = None

    def names(self) -> Iterator[str]:
        for value in (self.as_tensor, self.as_custom_obj, *(self.as_tensors or ())):
            if isinstance(value, dict) and isinstance(value.get("name"), str):
                yield value["name"]
        for value in (self.as_sym_int, self.as_sym_float, self.as_sym_bool):
            if value and isinstance(value.get("as_name"), str):
                yield value["as_name"]


class _Input(msgspec.Struct):
    arg: _Argument
    name: str = ""


class _Node(msgspec.Struct):
    inputs: list[_Input] = []
    outputs: list[_Argument] = []
    name: str | None = None


class _Graph(msgspec.Struct):
    inputs: list[_Argument] = []
    nodes: list[_Node] = []
    tensor_values: dict[str, _Tensor] = {}
    sym_int_values: dict[str, _Symbolic] = {}
    sym_float_values: dict[str, _Symbolic] = {}
    sym_bool_values: dict[str, _Symbolic] = {}
    custom_obj_values: dict[str, Any] = {}


class _Spec(msgspec.Struct):
    parameter: dict[str, Any] | None = None
    buffer: dict[str, Any] | None = None
    tensor_constant: dict[str, Any] | None = None
    custom_obj: dict[str, Any] | None = None
    constant_input: dict[str, Any] | None = None


class _Signature(msgspec.Struct):
    input_specs: list[_Spec] = []


class _Call(msgspec.Struct):
    in_spec: str = ""
    out_spec: str = ""
    forward_arg_names: list[str] | None = None


class _Entry(msgspec.Struct):
    signature: _Call | None = None


class _Module(msgspec.Struct):
    graph: _Graph
    signature: _Signature
    module_call_graph: list[_Entry] = []


class Program(msgspec.Struct):
    graph_module: _Module
    guards_code: list[str] = []


def program_hazards(record: str, program: Program) -> Iterator[Hazard]:
    """What a program's expressions, names, guards and tree specs would run. ``record`` is the reported place.

    Raises MalformedProgram for a tree spec that is not JSON.
    """
    module = program.graph_module
    guards = dict.fromkeys(program.guards_code)
    if sum(map(len, guards)) > _MAX_CODE:
        too_long = f"guards of more than {_MAX_CODE:,} characters, too long to analyse"
        yield Hazard("AR905", record, too_long)
        guards = {}
    for guard in guards:
        if not is_guard(guard):
            yield Hazard("AR905", record, f"the guard {guard!r}")
    expressions: dict[str, None] = {}
    names: dict[str, None] = {}
    for graph in _graphs(module.graph, names):
        _collect(graph, expressions, names)
    paths: dict[str, None] = {}
    for given in module.signature.input_specs:
        _collect_spec(given, names, paths)
    specs: dict[str, None] = {}
    for entry in module.module_call_graph:
        if entry.signature is not None:
            specs |= {entry.signature.in_spec: None, entry.signature.out_spec: None}
            names |= dict.fromkeys(entry.signature.forward_arg_names or ())
    imports: list[Imports] = []
    for spec in specs:
        imports += imports_of(spec)
        names |= dict.fromkeys(keywords_of(spec))
    if len(names) > _MAX_NAMES:
        yield Hazard("AR906", record, f"more than {_MAX_NAMES:,} names, too many to analyse")
        names = {}
    for name in names:
        if not is_identifier(name):
            yield Hazard("AR906", record, f"the name {name!r}")
    for path in paths:
        if not is_path(path):
            yield Hazard("AR906", record, f"the name {path!r}")
    if sum(map(len, expressions)) > _MAX_CODE:
        too_long = f"expressions of more than {_MAX_CODE:,} characters, too long to analyse"
        yield Hazard("AR907", record, too_long)
        expressions = {}
    for expression in expressions:
        if not is_arithmetic(expression):
            yield Hazard("AR907", record, f"the expression {expression!r}")
    for item in dict.fromkeys(imports):
        yield Hazard("AR908", record, item.text)


def texts_of(program: Program) -> Iterator[str]:
    """The texts that are the first argument of an op. A delegate is one, as JSON."""
    for graph in _graphs(program.graph_module.graph, {}):
        for node in graph.nodes:
            if node.inputs and node.inputs[0].arg.as_string is not None:
                yield node.inputs[0].arg.as_string


def _graphs(graph: _Graph, names: dict[str, None]) -> Iterator[_Graph]:
    """The graph and the bodies of its control flow; ``names`` takes theirs."""
    pending = [graph]
    while pending:
        current = pending.pop()
        yield current
        arguments = [item.arg for node in current.nodes for item in node.inputs]
        while arguments:
            argument = arguments.pop()
            if argument.as_graph is not None:
                names[argument.as_graph.name] = None
                pending.append(argument.as_graph.graph)
            if argument.as_string_to_argument:
                arguments += argument.as_string_to_argument.values()


def _collect(graph: _Graph, expressions: dict[str, None], names: dict[str, None]) -> None:
    """Adds the symbolic expressions of a graph, and the names that torch gives its nodes."""
    tensors = graph.tensor_values.values()
    shapes: Iterable[_Symbolic] = (
        *(item for tensor in tensors for item in tensor.sizes),
        *(item for tensor in tensors for item in tensor.strides),
        *(tensor.storage_offset for tensor in tensors if tensor.storage_offset is not None),
        *graph.sym_int_values.values(), *graph.sym_float_values.values(), *graph.sym_bool_values.values(),
    )  # fmt: skip
    for item in shapes:
        if item.as_expr is not None:
            expressions[item.as_expr.expr_str] = None
    for values in (graph.tensor_values, graph.sym_int_values, graph.sym_float_values, graph.sym_bool_values):
        names |= dict.fromkeys(values)
    names |= dict.fromkeys(graph.custom_obj_values)
    for argument in (*graph.inputs, *(output for node in graph.nodes for output in node.outputs)):
        names |= dict.fromkeys(argument.names())
    names |= dict.fromkeys(node.name for node in graph.nodes if node.name)
    # Keywords of control flow are pasted into source too.
    names |= dict.fromkeys(item.name for node in graph.nodes for item in node.inputs if item.name)


def _collect_spec(spec: _Spec, names: dict[str, None], paths: dict[str, None]) -> None:
    """Adds what torch takes for an argument's name, and the attribute that FX reads of the module."""
    for value, key in (
        (spec.parameter, "parameter_name"), (spec.buffer, "buffer_name"),
        (spec.tensor_constant, "tensor_constant_name"), (spec.custom_obj, "custom_obj_name"),
    ):  # fmt: skip
        path = value.get(key) if value else None
        if isinstance(path, str):
            paths[path] = None
    name = spec.constant_input.get("name") if spec.constant_input else None
    if isinstance(name, str) and name:
        names[name] = None
