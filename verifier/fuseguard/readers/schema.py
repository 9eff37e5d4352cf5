"""The parts of torch.export's schema that are read (torch/_export/serde/schema.py, major version 8).

Fields that are not listed are skipped by the decoder, so that expressions, tree specs and guard code never become
objects. Arguments stay plain dictionaries: the union has 27 members, and a struct of 27 fields each is slower.
"""

from __future__ import annotations

from typing import Any

import msgspec

from fuseguard.ir.graph import StoredAs, TensorMeta
from fuseguard.ir.layout import dim_order_of

SCHEMA_MAJOR = 8

DTYPES = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64",
    9: "complex32", 10: "complex64", 11: "complex128", 12: "bool", 13: "bfloat16", 28: "uint16",
    29: "float8_e4m3fn", 30: "float8_e5m2", 31: "float8_e4m3fnuz", 32: "float8_e5m2fnuz", 33: "float8_e8m0fnu",
    34: "uint32", 35: "uint64",
}  # fmt: skip


def dtype_name(number: int) -> str:
    """The short name of a ScalarType; an unknown number gets a name, as newer minor versions may add types."""
    return DTYPES.get(number, f"dtype{number}")


class MalformedProgram(ValueError):
    """A program that does not follow the schema; the text says where."""


class SymInt(msgspec.Struct, gc=False, frozen=True):
    as_int: int | None = None  # a symbolic size has as_expr instead


class TensorValue(msgspec.Struct):
    dtype: int
    sizes: list[SymInt]
    strides: list[SymInt] = []
    storage_offset: SymInt = SymInt(0)

    def meta(self) -> TensorMeta:
        shape = tuple([size.as_int for size in self.sizes])
        order = dim_order_of(shape, tuple([stride.as_int for stride in self.strides]))
        return TensorMeta(dtype_name(self.dtype), shape, order)


class Metadata(msgspec.Struct, gc=False):
    stack_trace: str = ""
    nn_module_stack: str = ""
    custom: str = ""


class NamedArgument(msgspec.Struct):
    arg: dict[str, Any]
    name: str = ""
    kind: int | None = None


class SerializedNode(msgspec.Struct):
    target: str
    inputs: list[NamedArgument]
    outputs: list[dict[str, Any]]
    metadata: Metadata
    name: str | None = None
    is_hop_single_tensor_return: bool | None = None


class SerializedGraph(msgspec.Struct):
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    nodes: list[SerializedNode]
    tensor_values: dict[str, TensorValue]
    is_single_tensor_return: bool = False


class PiecewiseGraph(msgspec.Struct):
    """The same, with nodes that are still JSON. Of a large program, all decoded at once take ten times its size."""

    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    nodes: list[msgspec.Raw]
    tensor_values: dict[str, TensorValue]
    is_single_tensor_return: bool = False


class GraphArgument(msgspec.Struct):
    name: str
    graph: SerializedGraph


class _Named(msgspec.Struct):
    name: str


class ParameterSpec(msgspec.Struct):
    arg: _Named
    parameter_name: str


class BufferSpec(msgspec.Struct):
    arg: _Named
    buffer_name: str


class ConstantSpec(msgspec.Struct):
    arg: _Named
    tensor_constant_name: str


class InputSpec(msgspec.Struct):
    parameter: ParameterSpec | None = None
    buffer: BufferSpec | None = None
    tensor_constant: ConstantSpec | None = None
    constant_input: _Named | None = None  # a Python number or None that was an argument of the model

    def tensor(self) -> tuple[str, str] | None:
        """Placeholder and qualified name of a parameter, buffer or constant."""
        if self.parameter:
            return self.parameter.arg.name, self.parameter.parameter_name
        if self.buffer:
            return self.buffer.arg.name, self.buffer.buffer_name
        if self.tensor_constant:
            return self.tensor_constant.arg.name, self.tensor_constant.tensor_constant_name
        return None

    def stored_as(self) -> StoredAs:
        """What the constant is; "" for an input."""
        if self.parameter:
            return "parameter"
        return "buffer" if self.buffer else "tensor" if self.tensor_constant else ""


class BufferMutationSpec(msgspec.Struct):
    arg: _Named
    buffer_name: str


class UserInputMutationSpec(msgspec.Struct):
    arg: _Named
    user_input_name: str


class OutputSpec(msgspec.Struct):
    """What a result of a functionalized program is for; only those that are written to the program's state count."""

    buffer_mutation: BufferMutationSpec | None = None
    user_input_mutation: UserInputMutationSpec | None = None


class Signature(msgspec.Struct):
    input_specs: list[InputSpec]
    output_specs: list[OutputSpec] = []

    def mutations(self) -> dict[str, str]:
        """Placeholders of buffers and inputs that the program changes, and the nodes with their new values."""
        placeholders = {spec.buffer.buffer_name: spec.buffer.arg.name for spec in self.input_specs if spec.buffer}
        written = {}
        for spec in self.output_specs:
            if spec.buffer_mutation:
                name = spec.buffer_mutation.buffer_name
                written[placeholders.get(name, name)] = spec.buffer_mutation.arg.name
            elif spec.user_input_mutation:
                written[spec.user_input_mutation.user_input_name] = spec.user_input_mutation.arg.name
        return written


class SerializedModule(msgspec.Struct):
    graph: SerializedGraph
    signature: Signature


class SerializedProgram(msgspec.Struct):
    graph_module: SerializedModule


class PiecewiseModule(msgspec.Struct):
    graph: PiecewiseGraph
    signature: Signature


class PiecewiseProgram(msgspec.Struct):
    """A program whose nodes are decoded one at a time."""

    graph_module: PiecewiseModule


_NODE = msgspec.json.Decoder(SerializedNode)


def decoded_node(node: SerializedNode | msgspec.Raw) -> SerializedNode:
    """A node that may still be JSON. Raises MalformedProgram."""
    if isinstance(node, SerializedNode):
        return node
    try:
        return _NODE.decode(node)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise MalformedProgram(str(error)) from error
