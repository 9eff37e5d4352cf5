"""The installed backend's own lists of operators, found by the symbols that fuseguard.backend.op_sets names.

A symbol is a path below the module of its source file. What it leads to decides how operators are read from it:

- a list, set, tuple or dict: its members, of a dict the keys
- ``name()``: what the call returns, or an attribute of that; missing arguments are None
- ``name(TOSA-1.0+INT)``: what the call returns for this specification
- ``name(smallest scale)`` and the like, see ``_OF_SCALES``: those operators in int32 for which the call returns that
- ``name(node)``: those supported operators for a node of which the call returns True
- a function: the operators that its source names, and the helpers ``_is_...`` of its module that it names
"""

from __future__ import annotations

import ast
import importlib
import inspect
import operator
import re
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from executorch.backends.arm import operator_support  # noqa: F401  (registers the support checks)
from executorch.backends.arm._passes.insert_rescales_pass import InsertRescaleInt32Pass
from executorch.backends.arm._passes.quant_args import QuantArgs
from executorch.backends.arm.tosa.specification import TosaSpecification
from executorch.exir.dialects._ops import ops as exir_ops
from executorch.exir.dialects.edge._ops import EdgeOpOverload, EdgeOpOverloadPacket

from fuseguard.backend.op_sets import ON_INT, REGISTERED_CHECKS, OpSet
from fuseguard.ir import canonical_target

_BACKEND = "executorch.backends.arm"
_OPS = (
    EdgeOpOverload, EdgeOpOverloadPacket, torch._ops.OpOverload, torch._ops.OpOverloadPacket,
    torch._ops.HigherOrderOperator,
)  # fmt: skip
_CALL = re.compile(r"(?P<name>\w+)\((?P<argument>[^)]*)\)")
#: What InsertRescaleInt32Pass may make of the scales of two int8 operands.
_SCALES = (0.5, 0.125)
_OF_SCALES: dict[str, Callable[[tuple[float, ...], float | None], bool]] = {
    "smallest scale": lambda inputs, _: inputs == (min(_SCALES),) * 2,
    "twice the largest scale": lambda inputs, _: inputs == (2 * max(_SCALES) / (1 << 20),) * 2,
    "own scales": lambda inputs, _: inputs == _SCALES,
    "no result": lambda _, result: result is None,
}


def live(op_set: OpSet) -> frozenset[str]:
    """The list of the installed release, in canonical names. Raises AttributeError or ImportError if it has none."""
    value: Any = importlib.import_module(".".join((_BACKEND, *op_set.source.removesuffix(".py").split("/"))))
    owner = value
    for part in _parts(op_set.symbol):
        call = _CALL.fullmatch(part)
        name = call["name"] if call else part
        known = name if hasattr(value, name) or not op_set.formerly else op_set.formerly
        owner, value = value, getattr(value, known)
        if call and call["argument"] == "node":
            return frozenset(target for target, op in supported().items() if value(_bare(owner), _node(op)))
        if call and call["argument"] in _OF_SCALES:
            holds = _OF_SCALES[call["argument"]]
            return frozenset(target for target, scales in int32_scales().items() if holds(*scales))
        if call:
            value = value(TosaSpecification.create_from_string(call["argument"])) if call["argument"] else _made(value)
    ops = _named_in(value) if inspect.isfunction(value) else _members(value)
    return frozenset(map(spelled, ops))


def _parts(symbol: str) -> list[str]:
    """Split at the dots outside of parentheses: a specification has some of its own."""
    return re.findall(r"(?:[^.()]|\([^)]*\))+", symbol)


def spelled(op: Any) -> str:
    """The canonical name of an operator, whatever its dialect."""
    if op is operator.getitem:
        return "operator.getitem"
    if isinstance(op, torch._ops.HigherOrderOperator):
        return f"higher_order.{op}"
    return canonical_target(str(op._op if isinstance(op, EdgeOpOverload) else op))


@cache
def supported() -> dict[str, Any]:
    """By name, what the integer profile may delegate: the operators themselves."""
    names = live(ON_INT) | live(REGISTERED_CHECKS)
    found = {}
    for name in sorted(names - {"operator.getitem"}):
        namespace, packet, overload = name.split(".")
        found[name] = getattr(getattr(getattr(exir_ops.edge, namespace), packet), overload)
    return found


@cache
def int32_scales() -> dict[str, tuple[tuple[float, ...], float | None]]:
    """By operator, the scales of two int8 operands in int32, and the scale of the int32 result."""
    operands = {
        place: QuantArgs(scale=scale, zp=0, qmin=-128, qmax=127, dtype=torch.int8)
        for place, scale in enumerate(_SCALES)
    }
    found = {}
    for op in InsertRescaleInt32Pass.included_targets:
        inputs, result = InsertRescaleInt32Pass()._get_rescale_qparams(op, operands)
        scales = tuple(float(item.scale) for item in inputs.values())
        found[spelled(op)] = scales, None if result is None else float(result.scale)
    return found


def _members(value: Any) -> Iterator[Any]:
    for item in value:
        if isinstance(item, _OPS) or item is operator.getitem:
            yield item
        elif inspect.isclass(item):
            listed: Any = item
            yield from _members(listed.targets)


def _made(value: Callable[..., Any]) -> Any:
    missing = [item for item in inspect.signature(value).parameters.values() if item.default is item.empty]
    return value(*(None for item in missing))


def _named_in(function: Callable[..., Any]) -> Iterator[Any]:
    names = function.__globals__
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith(("exir_ops.", "torch.ops.")):
            op = eval(ast.unparse(node), names)  # the backend's own source
            if isinstance(op, EdgeOpOverload | torch._ops.OpOverload | torch._ops.HigherOrderOperator):
                yield op
        elif isinstance(node, ast.Name) and node.id.startswith("_is_") and inspect.isfunction(names.get(node.id)):
            yield from _named_in(names[node.id])


def _bare(cls: Any) -> Any:
    """An instance without what its __init__ wants: the predicates asked here read class attributes alone."""
    return object.__new__(cls)


def _node(op: Any) -> torch.fx.Node:
    graph = torch.fx.Graph()
    return graph.call_function(op, (graph.placeholder("x"),))


__all__ = ["int32_scales", "live", "spelled", "supported"]
