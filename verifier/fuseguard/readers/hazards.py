"""Looks for what ``torch.export.load`` would run of a .pt2 file, and runs none of it.

Source: torch/export/pt2_archive/_package.py (records), torch/_export/serde/serialize.py (expressions, names),
torch/utils/_pytree.py (tree specs) and torch/export/_unlift.py (guards) of torch 2.13. torch loads every program of an
archive, whichever of them is asked for, so all of them are looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from fuseguard.ir.hazard import Hazard
from fuseguard.readers.archive import Archive
from fuseguard.readers.budget import MAX_JSON_BYTES, Budget
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.expressions import is_arithmetic, is_guard, is_identifier, is_path
from fuseguard.readers.pickles import MAX_PICKLE_BYTES, beyond_tensors, is_tensor_record
from fuseguard.readers.schema import MalformedProgram
from fuseguard.readers.treespecs import Imports, imports_of, keywords_of

MODELS = "models/"
# Characters of the expressions, and of the guards, of one program. The largest known have some thousands.
_MAX_CODE = 4 * 2**20
# Of one code; a file may bring any number, and a handful say as much.
MAX_TOLD = 8
# Sample inputs that are compressed have to be unpacked; torch stores them as they are.
_MAX_SAMPLE_INPUTS = 64 * 2**20
T = TypeVar("T")


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
    """Members of the union that bring a name or a graph; the others are skipped."""

    as_graph: _Body | None = None
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


class _Program(msgspec.Struct):
    graph_module: _Module
    guards_code: list[str] = []


class _Payload(msgspec.Struct):
    path_name: str = ""
    use_pickle: bool = True


class _Payloads(msgspec.Struct):
    config: dict[str, _Payload]


def find_hazards(archive: Archive) -> tuple[Hazard, ...]:
    """What loading the archive would run, in the order of the codes.

    Raises MalformedProgram and UnreadableInput where a part of the file that torch would read cannot be understood,
    OverBudget where it is too large. ``archive`` must have one root folder.
    """
    return tuple(sorted(_Search(archive).all(), key=lambda hazard: hazard.code))


class _Search:
    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._budget = Budget()
        # torch looks records up without regard to case (miniz), and no two here differ by case alone.
        start = len(archive.root) + 1 if archive.root else 0
        self._names = {name[start:].lower(): name[start:] for name in archive.names}

    def all(self) -> Iterator[Hazard]:
        told: Counter[str] = Counter()
        for hazard in self._each():
            told[hazard.code] += 1
            if told[hazard.code] <= MAX_TOLD:
                yield hazard
        for code, number in told.items():
            if number > MAX_TOLD:
                yield Hazard(code, self._archive.root, f"{number - MAX_TOLD:,} more of this kind")

    def _each(self) -> Iterator[Hazard]:
        for name in self._names.values():
            if name.startswith(MODELS):
                model = name[len(MODELS) : -len(".json")]
                yield from self._model(name, model)
        # Loaded as shared libraries, one per folder.
        native = (name for name in self._names.values() if name.lower().startswith("data/aotinductor/"))
        for folder, first in {name.split("/")[2]: name for name in native}.items():
            yield Hazard("AR904", first, f"the native code of the package {folder!r}")

    def _model(self, record: str, model: str) -> Iterator[Hazard]:
        yield from self._program(record)
        yield from self._sample_inputs(f"data/sample_inputs/{model}.pt")
        for folder in ("weights", "constants"):
            legacy = self._names.get(f"data/{folder}/{model}.pt".lower())
            if legacy is not None:
                yield Hazard("AR903", legacy, "the pickle of a legacy record, in the place of the tensors")
            yield from self._payloads(folder, f"data/{folder}/{model}_{folder}_config.json")

    def _payloads(self, folder: str, record: str) -> Iterator[Hazard]:
        name = self._names.get(record.lower())
        if name is None:
            return
        for tensor, payload in self._decode(name, _Payloads).config.items():
            path = f"data/{folder}/{payload.path_name}"
            if folder == "constants" and payload.path_name.startswith(("opaque_obj_", "custom_obj_")):
                kind = "TorchBind" if payload.path_name.startswith("custom_obj_") else "Python"
                yield Hazard("AR902", path, f"the pickled {kind} object {tensor!r}")
            elif payload.use_pickle:
                yield Hazard("AR901", path, f"the pickled tensor {tensor!r}")

    def _program(self, record: str) -> Iterator[Hazard]:
        program = self._decode(record, _Program)
        module = program.graph_module
        guards = dict.fromkeys(program.guards_code)
        if sum(map(len, guards)) > _MAX_CODE:
            too_long = f"guards of more than {_MAX_CODE:,} characters, too long to be looked through"
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
        for name in names:
            if not is_identifier(name):
                yield Hazard("AR906", record, f"the name {name!r}")
        for path in paths:
            if not is_path(path):
                yield Hazard("AR906", record, f"the name {path!r}")
        if sum(map(len, expressions)) > _MAX_CODE:
            too_long = f"expressions of more than {_MAX_CODE:,} characters, too long to be looked through"
            yield Hazard("AR907", record, too_long)
            expressions = {}
        for expression in expressions:
            if not is_arithmetic(expression):
                yield Hazard("AR907", record, f"the expression {expression!r}")
        for item in dict.fromkeys(imports):
            yield Hazard("AR908", record, item.text)

    def _sample_inputs(self, record: str) -> Iterator[Hazard]:
        name = self._names.get(record.lower())
        if name is None or self._archive.size(name) == 0:
            return
        for item in self._pickled(name):
            yield Hazard("AR909", name, item)

    def _pickled(self, name: str) -> list[str]:
        """What a file of ``torch.save`` inside the archive may call, besides what rebuilds tensors."""
        try:
            inner = self._archive.inside(name, _MAX_SAMPLE_INPUTS)
            below = [record[len(inner.root) + 1 :] for record in inner.names]
            inner.require_one_root()
            other = [record for record in below if not is_tensor_record(record)]
            if other:
                return [f"a file with the record {other[0]!r}, which is no file of plain tensors"]
            return beyond_tensors(inner.read("data.pkl", MAX_PICKLE_BYTES))
        except UnreadableInput:
            return ["sample inputs that are not laid out as torch.save writes them, and may be any pickle"]

    def _decode(self, name: str, kind: type[T]) -> T:
        data = self._archive.read(name, MAX_JSON_BYTES)
        self._budget.json_bytes(len(data))
        self._budget.json(data)
        try:
            return msgspec.json.decode(data, type=kind)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise MalformedProgram(f"{name}: {error}") from error


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
