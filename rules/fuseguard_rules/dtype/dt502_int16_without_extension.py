"""DT502: int16 activations under a TOSA specification without the int16 extension."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fuseguard.backend.quantized_values import full_int16
from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rule
from fuseguard.ir import Graph, Node, Trait, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target

if TYPE_CHECKING:
    import torch

_SHAPE = (1, 4, 4, 4)
_IN = full_int16(0.000287)
#: What was seen to fail. Arithmetic in int32 and data movement (permute, slice, pad, amax, ...) lower and are right.
_NEEDS_EXTENSION = Trait.MAC | Trait.TABLE | Trait.ACTIVATION | Trait.LIST_INPUT
#: MATMUL of int16 belongs to the extension too, but neither the dialect nor the serializer asks.
_ACCEPTED = "aten.bmm"
_POOLS = ("max_pool2d", "max_pool2d_with_indices", "avg_pool2d", "adaptive_avg_pool2d")


def _conv(wide: bool, *, wide_result: bool | None = None, groups: int = 1) -> Callable[[], Graph]:
    """``wide_result``: whether the result is int16; as ``wide`` says of the input if it is None."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, _IN if wide else int8(0.0487, 3))
        weight = b.quantized_constant("weight", (4, 4 // groups, 1, 1), 0.01031)
        value = b.call("aten.conv2d.default", x, weight, None, (1, 1), (0, 0), (1, 1), groups, shape=_SHAPE)
        result = full_int16(0.000713) if (wide if wide_result is None else wide_result) else int8(0.0713, 2)
        return b.output(b.requantize(value, result))

    return build


def _unary(target: str, *args: object) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, _IN)
        value = b.call(target, x, *args, shape=_SHAPE)  # type: ignore[arg-type]
        return b.output(b.requantize(value, full_int16(1 / 32767) if "sigmoid" in target else _IN))

    return build


def _stack() -> Graph:
    """The edge dialect makes a cat and a view of the stack, and an add reads their codes."""
    b = GraphBuilder()
    x, y = (b.quantized_input(name, _SHAPE, _IN) for name in ("x", "y"))
    codes = b.quantize(b.call("aten.stack.default", (x, y), 1, shape=(1, 2, 4, 4, 4)), _IN)
    value = b.call("aten.add.Tensor", b.dequantize(codes, _IN), b.dequantize(codes, _IN))
    return b.output(b.requantize(value, full_int16(0.000713)))


def _add() -> Graph:
    b = GraphBuilder()
    x, y = (b.quantized_input(name, _SHAPE, _IN) for name in ("x", "y"))
    return b.output(b.requantize(b.call("aten.add.Tensor", x, y), full_int16(0.000713)))


def _program() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.dtype.modules import conv_and_sigmoid

    return conv_and_sigmoid()


class Int16WithoutExtension(Rule):
    code = "DT502"
    name = "int16-without-extension"
    summary = "Activations are quantized to int16, and the TOSA specification lacks the int16 extension."
    why = (
        "Convolution, table, pooling, clamp and concat of int16 belong to TOSA's EXT-INT16. Arm's quantizer does not "
        "ask whether the specification has it and the partitioner accepts the nodes; the TOSA dialect or the "
        "serializer then refuses them and the lowering dies. Arithmetic that runs in int32, bmm and data movement "
        "pass. The parts of a grouped convolution are put together by concat, so that an int16 result needs it too."
    )
    remedy = (
        "Add '+int16' to the TOSA specification if the device has the extension (Ethos-U and VGF compile specs "
        "contain it), or quantize activations to int8."
    )
    scope = "node"
    message = "{node} works on int16 codes, and {spec} lacks the int16 extension"
    effects = EffectsTable(
        [
            EffectRow("extension", "*", "*", Effect.CRASH, reference="TOSA dialect: doesn't support int16"),
        ]
    )
    bad = (
        Example("A16W8 conv and sigmoid", _conv(True), _program, config="a16w8"),
        Example("int16 sigmoid", _unary("aten.sigmoid.default")),
        Example("int16 stack, read by an add", _stack),
        Example("grouped int8 conv with an int16 result", _conv(False, wide_result=True, groups=2)),
        Example("int16 max_pool2d", _unary("aten.max_pool2d.default", (3, 3), (1, 1), (1, 1))),
    )
    good = (
        Example("A16W8 conv with the extension", _conv(True), extensions=("int16",)),
        Example("int8 conv", _conv(False)),
        Example("int8 conv with an int16 result", _conv(False, wide_result=True)),
        Example("int16 add, which runs in int32", _add),
    )
    references = ("class 26 of the project's catalogue",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if "int16" in target.extensions:
            return
        for node in view.calls():
            if node.target.startswith(_ACCEPTED) or (target.has_float and not node.annotated):
                continue  # what is not annotated is computed in float
            needs = (node.info.has(_NEEDS_EXTENSION) or node.kind in _POOLS) and _is_int16(view, node)
            if needs or _joins_int16(view, node):
                yield self.finding(view, target, (node,), case="extension", node=node.name, spec=target.spec)


def _is_int16(view: View, node: Node) -> bool:
    """Whether codes of int16 go into the node. What makes int16 of float or int8 alone needs no extension."""
    for producer in view.graph.inputs(node):
        qparams = view.qparams(producer) if view.is_dq(producer) else None
        if qparams is not None and qparams.dtype == "int16":
            return True
    return False


def _joins_int16(view: View, node: Node) -> bool:
    """Whether DecomposeGroupedConvPass puts parts of int16 together: their Q is moved in front of the cat."""
    if not node.info.has(Trait.MAC) or not any(map(view.is_dq, view.graph.inputs(node))):
        return False
    quantizers = map(view.qparams, view.out_q(node))
    return view.anchor_form(node) == "grouped" and any(
        item is not None and item.dtype == "int16" for item in quantizers
    )
