"""Programs as executorch.exir.serde and torch up to 2.6 serialize them: JSON of the graph, and state dicts beside it.

The schema is an older one of torch's own (executorch/exir/serde/schema.py). It stores neither whether arguments were
given by position or by name, nor the annotation of Arm's quantizer. A delegate is an argument: text that is JSON
itself.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from pathlib import Path

import msgspec

from fuseguard.ir.delegate import ARM_BACKENDS, Delegate, decoded_specs
from fuseguard.ir.graph import Arg, Graph, Node
from fuseguard.ir.ops import Trait
from fuseguard.ir.walks import is_quantizer
from fuseguard.readers.budget import Budget
from fuseguard.readers.flatbuffer import MalformedBuffer
from fuseguard.readers.loader import Arguments, arguments_of
from fuseguard.readers.reading import decoded
from fuseguard.readers.schema import MalformedProgram, SerializedNode, SerializedProgram
from fuseguard.readers.serde import MAX_BODY_DEPTH, GraphReader
from fuseguard.readers.stack_trace import Traces
from fuseguard.readers.tensors import constant_values
from fuseguard.readers.torch_zip import TorchZip
from fuseguard.readers.tosa import IDENTIFIER, read_tosa
from fuseguard.readers.values import only

#: Major versions: executorch.exir.serde has 5, torch 2.5 and 2.6 have 8.
MAJORS = (5, 8)
_DELEGATE = "executorch_call_delegate"
# Operators of the edge dialect that torch does not have (executorch/exir/passes/dim_order_ops_registry.py).
_EDGE_OPS = {
    "dim_order_ops._to_dim_order_copy.default": Arguments(("self",), frozenset()),
    "dim_order_ops._clone_dim_order.default": Arguments(("self",), frozenset()),
    "dim_order_ops._empty_dim_order.default": Arguments(("size",), frozenset()),
}
_INFERRED = (
    "The file does not store the annotation of Arm's quantizer, which torch.export.save stores from torch 2.7 on. Ops "
    "that read a dequantize op or end in a quantize op were treated as annotated."
)


class _Version(msgspec.Struct):
    major: int
    minor: int = 0


class _Header(msgspec.Struct):
    schema_version: _Version


class _Spec(msgspec.Struct):
    key: str
    value: str


class _Lowered(msgspec.Struct):
    """executorch.exir.serde.schema.LoweredBackendModule."""

    backend_id: str
    processed_bytes: str
    compile_specs: list[_Spec]
    original_module: SerializedProgram
    original_state_dict: str = ""
    original_constants: str = ""


class WrongVersion(Exception):
    """The schema has another major version; the text is that version."""


class State:
    """The state dict and the constants of a program, of which the qparams are read."""

    def __init__(self, *parts: TorchZip) -> None:
        self._parts = parts

    def values(self, name: str) -> tuple[float, ...] | None:
        found = (part.values(name) for part in self._parts)
        return next((values for values in found if values is not None), None)


def read_artifact(data: bytes, state: State, path: Path, budget: Budget, name: str = "") -> Graph:
    """The graph of a program, called ``name``; delegates are among its subgraphs.

    Raises WrongVersion, MalformedProgram, OverBudget, UnreadableInput.
    """
    budget.json(data)
    version = decoded(data, _Header).schema_version
    if version.major not in MAJORS:
        raise WrongVersion(f"{version.major}.{version.minor}")
    return _graph(decoded(data, SerializedProgram), state, path, budget, name)


def _graph(
    program: SerializedProgram,
    state: State,
    path: Path,
    budget: Budget,
    name: str,
    depth: int = 0,
    traces: Traces | None = None,
) -> Graph:
    signature = program.graph_module.signature
    marked = any("_arm_annotation_info" in node.metadata.custom for node in program.graph_module.graph.nodes)
    reader = _ArtifactReader(
        program.graph_module.graph, signature.input_specs, budget, name, depth, traces, signature.mutations()
    )
    reader.place(path, marked)
    qualified = dict(tensor for spec in signature.input_specs if (tensor := spec.tensor()))

    def values(placeholder: str) -> tuple[float, ...] | None:
        return state.values(qualified[placeholder]) if placeholder in qualified else None

    graph = reader.read(lambda nodes: constant_values(nodes, values))
    if not marked and any(node.annotated for node in graph):
        graph.notes = (_INFERRED,)
    return graph


class _ArtifactReader(GraphReader):
    """Reads a graph whose arguments all have names, and whose delegates are text."""

    _path_of_file = Path()
    _marked = False

    def place(self, path: Path, marked: bool) -> None:
        """``path`` is for messages; ``marked`` says whether the program has annotations."""
        self._path_of_file = path
        self._marked = marked

    def _arguments(self, serialized: SerializedNode, target: str) -> tuple[list[Arg], dict[str, Arg]]:
        if target.endswith(_DELEGATE):
            return self._delegate_arguments(serialized), {}
        known = arguments_of(target) or _EDGE_OPS.get(target)
        names = known.names if known is not None else ()
        by_name = target in _EDGE_OPS
        args: list[Arg] = []
        kwargs: dict[str, Arg] = {}
        for argument in serialized.inputs:
            name, position = argument.name, len(args)
            in_place = name in names[position : position + 1] and (known is None or name not in known.keyword_only)
            if known is None or not name or in_place:
                args.append(self._arg(argument.arg))
            elif name in kwargs or not (by_name or name in names[position:]):
                raise MalformedProgram(f"the argument {name[:80]!r} is not where the operator's schema has it")
            else:
                kwargs[name] = self._arg(argument.arg)
        return args, kwargs

    def _delegate_arguments(self, serialized: SerializedNode) -> list[Arg]:
        if not serialized.inputs:
            raise MalformedProgram("a delegate is called without its module")
        module = serialized.inputs[0]
        key, text = only(module.arg)
        name = module.name
        if key != "as_string" or type(text) is not str or not name:
            raise MalformedProgram("a delegate's module is not text with a name")
        if name in self.subgraphs:
            raise MalformedProgram(f"two delegates are both called {name[:80]!r}")
        if self._depth >= MAX_BODY_DEPTH:
            raise MalformedProgram(f"delegates are nested more than {MAX_BODY_DEPTH} deep")
        module.arg.clear()  # megabytes that nothing asks for again
        self.subgraphs[name] = self._delegate(name, text)
        self._used_bodies.append(name)
        return [name, *(self._arg(argument.arg) for argument in serialized.inputs[1:])]

    def _delegate(self, name: str, text: str) -> Graph:
        data = text.encode("utf-8", "surrogatepass")
        del text
        self._budget.json(data)
        try:
            lowered = decoded(data, _Lowered)
        except MalformedProgram as error:
            raise MalformedProgram(f"the delegate {name[:80]!r}: {error}") from error
        del data
        path = f"{self._path}.{name}" if self._path else name
        blob = _bytes_of(lowered.processed_bytes)
        lowered.processed_bytes = ""
        specs = decoded_specs((spec.key, _bytes_of(spec.value)) for spec in lowered.compile_specs[:64])
        tosa = None
        if lowered.backend_id in ARM_BACKENDS and blob[4:8] == IDENTIFIER:
            try:
                tosa = read_tosa(blob, self._budget)
            except MalformedBuffer as error:
                raise MalformedProgram(f"the TOSA flatbuffer of the delegate {name[:80]!r}: {error}") from error
        state = State(
            *(
                TorchZip(self._path_of_file, _bytes_of(text), self._budget)
                for text in (lowered.original_state_dict, lowered.original_constants)
            )
        )
        graph = _graph(
            lowered.original_module, state, self._path_of_file, self._budget, path, self._depth + 1, self._traces
        )
        return with_delegate(graph, Delegate(lowered.backend_id[:80], specs, tosa))

    def _complete(self) -> None:
        if not self._marked:
            self.nodes = inferred(self.nodes)


def with_delegate(graph: Graph, delegate: Delegate) -> Graph:
    """The same graph as the sub-graph of ``delegate``."""
    graph.delegate = delegate
    return graph


def inferred(nodes: list[Node]) -> list[Node]:
    """The nodes with those taken for annotated that read a DQ or end in a Q; the edge dialect splits such ops up."""
    kinds = {node.name: node.kind for node in nodes}
    sources = {node.name: [ref.name for ref in node.refs()] for node in nodes}
    ends = {name for node in nodes if node.kind == "quantize" for name in sources[node.name]}
    readers: dict[str, list[str]] = {}
    for name, used in sources.items():
        for source in used:
            readers.setdefault(source, []).append(name)
    marked = {
        node.name
        for node in nodes
        if _may_be_marked(node)
        and (node.name in ends or any(kinds.get(source) == "dequantize" for source in sources[node.name]))
    }
    return [replace(node, annotated=True) if node.name in marked else node for node in nodes]


def _may_be_marked(node: Node) -> bool:
    return node.op == "call" and not is_quantizer(node) and not node.info.has(Trait.DELEGATE)


def _bytes_of(text: str) -> bytes:
    """Raises MalformedProgram."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedProgram(f"bytes that are not base64 ({error})") from error
