"""Edits of the Q/DQ of a converted graph: what another quantizer, or surgery on the graph, would leave behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.fx import GraphModule, Node

from .grammar import Edit

Q = torch.ops.quantized_decomposed.quantize_per_tensor.default
DQ = torch.ops.quantized_decomposed.dequantize_per_tensor.default
INT8, INT16 = (-128, 127), (-32768, 32767)


def apply_edit(module: GraphModule, edit: Edit) -> str:
    """Change ``module`` in place; says what was done, "" where the graph has no place for this edit."""
    places, change = _EDITS[edit.name]
    found = places(module)
    if not found:
        return ""
    place = found[edit.pick % len(found)]
    said = change(module, place, edit.factor)
    module.graph.lint()
    module.recompile()
    return f"{edit.name} at {place.name}{said or ''}"


def _quantizers(module: GraphModule) -> list[Node]:
    return [node for node in module.graph.nodes if node.target == Q and _dequantizers(node)]


def _inner(module: GraphModule) -> list[Node]:
    """Q ops after a computation, not after an input or constant."""
    return [node for node in _quantizers(module) if node.args[0].op == "call_function"]


def _dequantizers(node: Node) -> list[Node]:
    return [user for user in node.users if user.target == DQ]


def _dqs(module: GraphModule) -> list[Node]:
    """DQ ops of activations, not of constants."""
    return [node for node in module.graph.nodes if node.target == DQ and node.args[0].target == Q and node.users]


def _int16(module: GraphModule) -> list[Node]:
    return [node for node in _quantizers(module) if node.args[5] == torch.int16]


def _int8(module: GraphModule) -> list[Node]:
    return [node for node in _quantizers(module) if node.args[5] == torch.int8]


def _several(module: GraphModule) -> list[Node]:
    return [node for node in _inner(module) if sum(len(dq.users) for dq in _dequantizers(node)) > 1]


def _shared(module: GraphModule) -> list[Node]:
    return [node for node in _quantizers(module) if len(_dequantizers(node)) > 1]


def _annotated(module: GraphModule) -> list[Node]:
    return [
        node
        for node in module.graph.nodes
        if node.op == "call_function"
        and node.target not in (Q, DQ)
        and "_arm_annotation_info" in node.meta.get("custom", {})
    ]


def _biases(module: GraphModule) -> list[Node]:
    return [
        node
        for node in module.graph.nodes
        if node.op == "call_function" and "dequantize" in str(node.target) and torch.int32 in node.args
    ]


def _set(node: Node, **changed: Any) -> None:
    """Set qparams of a Q or DQ by name."""
    names = ("input", "scale", "zero_point", "qmin", "qmax", "dtype")
    node.args = tuple(changed.get(name, value) for name, value in zip(names, node.args, strict=True))


def _set_all(node: Node, **changed: Any) -> None:
    for item in (node, *_dequantizers(node)):
        _set(item, **changed)


def _scale(module: GraphModule, node: Node, factor: float) -> None:
    _set_all(node, scale=node.args[1] * factor)


def _tiny(module: GraphModule, node: Node, factor: float) -> None:
    _set_all(node, scale=factor)


def _zero_point(module: GraphModule, node: Node, factor: float) -> None:
    low, high = node.args[3], node.args[4]
    _set_all(node, zero_point=max(low, min(high, node.args[2] + int(factor))))


def _any_zero_point(module: GraphModule, node: Node, factor: float) -> None:
    _set_all(node, zero_point=int(factor))


def _dq_scale(module: GraphModule, node: Node, factor: float) -> None:
    _set(node, scale=node.args[1] * factor)


def _remove(module: GraphModule, node: Node, factor: float) -> None:
    for dq in _dequantizers(node):
        dq.replace_all_uses_with(node.args[0])
        module.graph.erase_node(dq)
    if not node.users:
        module.graph.erase_node(node)


def _float_operand(module: GraphModule, node: Node, factor: float) -> str:
    user = next(iter(node.users))
    user.replace_input_with(node, node.args[0].args[0])
    return f" for {user.name}"


def _second(module: GraphModule, node: Node, factor: float) -> str:
    """One reader of the value gets a Q and a DQ of its own, with another scale."""
    dq = _dequantizers(node)[-1]
    reader = list(dq.users)[-1]
    with module.graph.inserting_before(dq):
        other = module.graph.node_copy(node)
        fresh = module.graph.node_copy(dq)
    for item in (other, fresh):
        _set(item, scale=node.args[1] * factor)
    fresh.replace_input_with(node, other)
    reader.replace_input_with(dq, fresh)
    return f" for {reader.name}"


def _requantize(module: GraphModule, node: Node, factor: float) -> str:
    """DQ -> Q -> DQ: an explicit change of domain in front of one reader."""
    reader = list(node.users)[-1]
    with module.graph.inserting_after(node):
        dq = module.graph.node_copy(node)
    with module.graph.inserting_before(dq):
        quantizer = module.graph.node_copy(node.args[0])
    quantizer.replace_input_with(quantizer.args[0], node)
    dq.replace_input_with(node.args[0], quantizer)
    for item in (quantizer, dq):
        _set(item, scale=node.args[1] * factor)
    reader.replace_input_with(node, dq)
    return f" for {reader.name}"


def _clear_meta(module: GraphModule, node: Node, factor: float) -> None:
    node.meta["custom"] = {key: item for key, item in node.meta["custom"].items() if key != "_arm_annotation_info"}


def _range(module: GraphModule, node: Node, factor: float) -> str:
    """Narrow, unsigned-like or halved limits."""
    limits = ((-127, 127), (0, 127), (-64, 63))[int(factor)]
    zero_point = max(limits[0], min(limits[1], node.args[2]))
    _set_all(node, qmin=limits[0], qmax=limits[1], zero_point=zero_point)
    return f" to {limits}"


def _bias_scale(module: GraphModule, node: Node, factor: float) -> None:
    scale = node.args[1]
    if isinstance(scale, float):
        node.args = (node.args[0], scale * factor, *node.args[2:])
        return
    name = f"{scale.target}_edited".replace(".", "_")
    module.register_buffer(name, _attribute(module, scale.target).detach() * factor)
    with module.graph.inserting_before(node):
        edited = module.graph.get_attr(name)
    edited.meta = dict(scale.meta)
    node.args = (node.args[0], edited, *node.args[2:])


def _attribute(module: GraphModule, path: str) -> torch.Tensor:
    value: Any = module
    for part in path.split("."):
        value = getattr(value, part)
    return value


def _to_int16(module: GraphModule, node: Node, factor: float) -> None:
    """One int8 domain carried in int16 codes: another op's peer has another dtype then."""
    scale = node.args[1] / 256
    _set_all(node, scale=scale, zero_point=0, qmin=INT16[0], qmax=INT16[1], dtype=torch.int16)


def _share(module: GraphModule, node: Node, factor: float) -> str:
    """All readers of a value read its first DQ, outputs too: common subexpressions are eliminated."""
    shared = 0
    for quantizer in _shared(module):
        first, *others = _dequantizers(quantizer)
        for dq in others:
            dq.replace_all_uses_with(first)
            module.graph.erase_node(dq)
            shared += 1
    return f" and elsewhere, {shared} in all"


_EDITS: dict[str, tuple[Callable[[GraphModule], list[Node]], Callable[[GraphModule, Node, float], str | None]]] = {
    "output_scale": (_inner, _scale),
    "output_zero_point": (_int8, _zero_point),
    "dq_scale": (_dqs, _dq_scale),
    "remove_output_q": (_inner, _remove),
    "float_operand": (_dqs, _float_operand),
    "second_q": (_several, _second),
    "requantize": (_dqs, _requantize),
    "clear_meta": (_annotated, _clear_meta),
    "int16_zero_point": (_int16, _any_zero_point),
    "quant_range": (_int8, _range),
    "bias_scale": (_biases, _bias_scale),
    "tiny_scale": (_inner, _tiny),
    "dtype_int16": (_int8, _to_int16),
    "share_dqs": (_shared, _share),  # not among those that the grammar draws
}
