"""Which int64 values leave a delegate, in which every integer is an int32.

Source: ``CheckInt64InputsAndOutputs``, ``ComputeConstantOpsAOTPass.targeted_ops`` and ``CastInt64BuffersToInt32Pass``
of ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1. The check lets a constant pass if nothing that reads it yields int64, and
takes the dtype of the program's first result for that of the output node. ExecuTorch 1.4 lets an argmax pass if it is
cast to int32, as Arm's quantizer does, but not the cast. 1.5 lets both pass.

Rules that depend on it: OP714, and those of decompose_round and shared_outputs and unread_inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fuseguard.backend.partition import stays_outside
from fuseguard.backend.per_view import once_per_view
from fuseguard.backend.releases import DELEGATES_ARGMAX, DELEGATES_ARGMAX_CASTS
from fuseguard.ir import Node, Trait, View
from fuseguard.ir.ops import CASTS
from fuseguard.target import Target

#: What the edge dialect makes ops of that are computed in advance, by name.
_CONSTANTS = frozenset(("arange", "eye", "full", "ones", "zeros"))

#: Of these, it makes an arange and a comparison that reads another int64, which keeps it on the CPU.
_COMPARING = frozenset(("diag_embed", "one_hot"))
#: Of these, it makes an arange and a cast of it to float. The INT profile leaves the cast on the CPU.
_CASTING = frozenset(("upsample_bicubic2d", "upsample_linear1d", "upsample_trilinear3d"))
_INT32 = range(-(2**31), 2**31)


def leaving_constants(view: View, target: Target) -> Iterator[tuple[Node, Node]]:
    """int64 constants that are delegated, each with an output or an op on the CPU that reads it."""
    for node in view.ops:
        if node.kind in _COMPARING and not _is_constant(view.graph.inputs(node)):
            yield node, node
        if not _is_constant((node,)) or not _fits_int32(node):
            continue
        reader = _reader_outside(view, target, node)
        if reader is not None and not any(_first_is_int64(view, user) for user in view.users(node)):
            yield node, reader


def casting_resizes(view: View) -> Iterator[tuple[Node, Node]]:
    """The ops of which the edge dialect makes int64 constants and casts of them to float, each twice."""
    return ((node, node) for node in view.of_kind(*_CASTING))


def leaving_argmaxes(view: View, target: Target) -> Iterator[tuple[Node, Node]]:
    """The argmax ops that are delegated, each with the cast of its int64 result, which stays on the CPU."""
    if DELEGATES_ARGMAX_CASTS.in_force(target):
        return
    for node in view.ops:
        if _is_delegated_argmax(view, target, node):
            yield node, view.users(node)[0]


def stays_for_int64(view: View, target: Target, node: Node) -> bool:
    """Whether the partitioner leaves an op on the CPU because it yields or reads an int64 that is not a constant.

    Without float support, an argmax of dequantized values that nothing has annotated stays there as a float op.
    """
    if node.op != "call" or (_is_delegated_argmax(view, target, node) and _is_taken(node, target)):
        return False
    read = [item for item in view.graph.inputs(node) if _is_int64(item) and not _is_constant((item,))]
    if DELEGATES_ARGMAX_CASTS.in_force(target):
        read = [item for item in read if not (_is_delegated_argmax(view, target, item) and _is_taken(item, target))]
    if node.name in _with_int64_parts(view):
        return True
    return bool(read) or (_is_int64(node) and not _is_constant((node,)))


@once_per_view
def _with_int64_parts(view: View) -> frozenset[str]:
    """The names of what yields several results, an int64 among them: an op may be asked for each of its readers."""
    parts = (node for node in view.calls() if node.info.has(Trait.GETITEM) and _is_int64(node))
    return frozenset(item.name for part in parts for item in view.graph.inputs(part))


def _is_taken(argmax: Node, target: Target) -> bool:
    return target.has_float or argmax.annotated


def _reader_outside(view: View, target: Target, node: Node) -> Node | None:
    return next((user for user in view.users(node) if user.op == "output" or _stays(view, user, target)), None)


def _stays(view: View, node: Node, target: Target) -> bool:
    """Whether an op stays on the CPU: one that reads an int64 which is not a constant does."""
    if not _is_constant(item for item in view.graph.inputs(node) if _is_int64(item)):
        return True
    return stays_outside(view, node, target)


def _is_constant(nodes: Iterable[Node]) -> bool:
    """Whether the nodes are all int64 constants: of the program, or ops that are computed in advance."""
    return all(_is_int64(node) and (node.constant or node.operator in _CONSTANTS) for node in nodes)


def _first_is_int64(view: View, user: Node) -> bool:
    """Whether the first result of what reads a constant is an int64: of the output node, that of the program."""
    if user.op != "output":
        return _is_int64(user)
    first = next(user.refs(), None)
    return first is not None and _is_int64(view.graph[first.name])


def _is_int64(node: Node) -> bool:
    return node.meta is not None and node.meta.dtype == "int64"


def _fits_int32(node: Node) -> bool:
    """Whether every value of a constant is an int32, as far as its arguments tell."""
    numbers = node.args if node.operator == "arange" else node.args[1:2] if node.operator == "full" else ()
    return all(number in _INT32 for number in numbers if isinstance(number, int))


def _is_delegated_argmax(view: View, target: Target, node: Node) -> bool:
    """Whether an op is an argmax that is delegated, because every reader casts its int64 result to int32."""
    if node.kind != "argmax" or not DELEGATES_ARGMAX.in_force(target):
        return False
    return _is_argmax(view, node) and all(map(_casts_to_int32, view.users(node)))


def _is_argmax(view: View, node: Node) -> bool:
    """``_is_tosa_argmax_supported``: over one dimension, which goes, of what is a float in the edge dialect."""
    operand = view.producer(node)
    if operand is None or operand.meta is None or operand.meta.dtype not in ("float16", "float32"):
        return False
    return isinstance(node.arg(1, "dim"), int) and node.arg(2, "keepdim", False) is not True


def _casts_to_int32(user: Node) -> bool:
    return user.operator in CASTS and user.meta is not None and user.meta.dtype == "int32"
