"""Rewrites that rules of several families make, and the conditions under which they are exact.

Source: ``FoldAndAnnotateQParamsPass`` of ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1, and
``FuseIdenticalInputTransformsPass`` of 1.4.1 and 1.5.1.

Rules that depend on it: BO602, BO604, BO605, DT501, DT503, DT504, DT506, OP701, OP723, OP727, OP729, PL401, PL404,
QD201, QD202, QD203, QD204, and those of convert_full_like and fold_scalar_mul and int32_bounds.
"""

from __future__ import annotations

from collections.abc import Iterable

from fuseguard.backend.int32_rescales import Bypass
from fuseguard.engine import Call, Duplicate, Fold, Insert, MakeParameter, Pair, Rewrite
from fuseguard.ir import Node, QParams, Trait, View, activation_bounds
from fuseguard.ir.value import Value

_LARGEST_INT16 = 2**15 - 1


def moves_values(node: Node) -> bool:
    """Whether every output value of ``node`` is one of its input values, or the zero that a pad puts in."""
    if node.kind == "pad":
        return node.arg(2, "value", 0.0) in (0, 0.0, None)
    # Indices of maxima change where a rewrite makes two values equal.
    return node.info.has(Trait.MOVES) and node.kind != "max_pool2d_with_indices"


def stays_on_grid(node: Node, qparams: QParams) -> bool:
    """Whether what ``node`` makes of values with codes in ``qparams`` has such codes too."""
    if node.info.has(Trait.ACTIVATION):
        # relu's bound is the zero point's value
        return activation_bounds(node) == (0.0, float("inf")) and qparams.qmin <= qparams.zero_point <= qparams.qmax
    return moves_values(node)


#: Constants make other constants by a few ops: a view, an addition, a function.
_LONGEST_WAY = 32


def folded(view: View, node: Node) -> Rewrite | None:
    """Stores the codes that the program makes of ``node`` from constants alone; None if it is not made of these.

    Whatever the backend makes of ``node``: the repaired program leaves it nothing to compute.
    """
    made = made_of_constants(view, node)
    quantizers = view.out_q(node)
    if made is None or not quantizers or len(quantizers) != len(view.users(node)):
        return None
    return Rewrite(tuple(Fold(q.name, (node.name, *made.ops)) for q in quantizers))


def as_parameters(constants: Iterable[Node]) -> Rewrite | None:
    """Makes parameters of those of ``constants`` that are buffers; None if there are none."""
    edits = tuple(MakeParameter(node.name) for node in constants if node.stored_as == "buffer")
    return Rewrite(edits) if edits else None


class MadeOfConstants(Value, frozen=True):
    """The names of the ops that make a value of constants, and these constants, in the order in which it reads them."""

    ops: tuple[str, ...]
    constants: tuple[Node, ...]


def made_of_constants(view: View, node: Node) -> MadeOfConstants | None:
    """What a value is made of, if of constants alone; None if it depends on an input or the program's state.

    The edge program that the plug-in sees may not tell constants from inputs: it is not repaired.
    """
    found: dict[str, Node] = {}
    pending = [*reversed(view.graph.inputs(node))] if node.op == "call" else [node]
    if view.graph.name or not (pending or node.info.has(Trait.CONSTANT)):
        return None
    while pending:
        item = pending.pop()
        if item.name in found:
            continue
        if item.op == "call":
            if item.info.has(Trait.CONTROL_FLOW | Trait.DELEGATE) or len(found) == _LONGEST_WAY:
                return None
            if not item.info.has(Trait.CONSTANT) and not view.graph.inputs(item):
                return None
            pending += reversed(view.graph.inputs(item))
        elif not item.constant or item.name in view.graph.mutations:
            return None
        found[item.name] = item
    ops = tuple(name for name, item in found.items() if item.op == "call")
    return MadeOfConstants(ops, tuple(item for item in found.values() if item.op != "call"))


def pair_before(view: View, node: Node, inputs: Iterable[Node], qparams: QParams) -> Rewrite | None:
    """Requantizes those of ``inputs`` that are no codes of ``qparams`` already, on their way into ``node``."""
    edits = tuple(
        Insert(item.name, (node.name,), (Pair(qparams),))
        for item in {item.name: item for item in inputs}.values()
        if view.qparams(item) != qparams
    )
    return Rewrite(edits) if edits else None


def pair_after(view: View, node: Node, qparams: QParams, users: Iterable[Node] | None = None) -> Rewrite | None:
    """Requantizes the result of ``node`` on its way to ``users``, its quantize ops unless told otherwise."""
    readers = tuple(user.name for user in (view.out_q(node) if users is None else users))
    return Rewrite((Insert(node.name, readers, (Pair(qparams),)),)) if readers else None


def mirrored(qparams: QParams) -> QParams:
    """The qparams in which the negated values of ``qparams`` have exactly its codes, in reverse order."""
    zero_point = qparams.qmin + qparams.qmax - qparams.zero_point
    return QParams.per_tensor(qparams.scale, zero_point, qparams.qmin, qparams.qmax, qparams.dtype)


def lossless_int16(qparams: QParams) -> QParams | None:
    """int16 qparams in which every code of 8-bit ``qparams`` has a code of exactly its value; None for others."""
    if not qparams.usable or qparams.dtype not in ("int8", "uint8"):
        return None
    reach = max(abs(qparams.qmin - qparams.zero_point), abs(qparams.qmax - qparams.zero_point))
    if reach > _LARGEST_INT16:
        return None
    return QParams.per_tensor(qparams.scale, 0, -_LARGEST_INT16 - 1, _LARGEST_INT16, "int16")


def as_int8(qparams: QParams) -> QParams:
    """``qparams``, those of uint8 as the int8 ones in which every code, 128 below, has the same value."""
    if qparams.dtype != "uint8" or not qparams.usable:
        return qparams
    return QParams.per_tensor(qparams.scale, qparams.zero_point - 128, qparams.qmin - 128, qparams.qmax - 128, "int8")


def readers_apart(view: View, bypasses: Iterable[Bypass]) -> Rewrite | None:
    """:func:`standing_apart` of each reader, so that it reads the codes of the quantize op; None without an edit."""
    rewrites = [standing_apart(view, bypass.reader, view.graph[bypass.path[-1]]) for bypass in bypasses]
    edits = [edit for rewrite in rewrites if rewrite is not None for edit in rewrite.edits]
    return Rewrite(tuple(edits)) if edits else None


def standing_apart(view: View, node: Node, data: Node) -> Rewrite | None:
    """Puts a view to its own shape in front of ``node``, with the qparams of the DQ ``data`` after it.

    The values stay what they are; but ``node`` no longer reads the tensor that others read. From 1.4 on views that are
    alike at all operands are moved after the op (FuseIdenticalInputTransformsPass, which compares them as they are
    written): a second operand's is therefore written with a -1, and where one tensor is both operands, it gets a
    dimension and loses it again.
    """
    qparams = view.qparams(data)
    shape = data.meta.shape if data.meta is not None else ()
    if qparams is None or not qparams.usable or not shape or any(size is None for size in shape):
        return None
    places = [place for place, arg in enumerate(node.args) if view.graph.node_of(arg) is data]
    if len(places) > 1:
        calls: tuple[Call, ...] = (Call("aten.unsqueeze.default", (0,)), Call("aten.squeeze.dim", (0,)))
    elif places and places[0] and 0 not in shape:
        calls = (Call("aten.view.default", ((*shape[:-1], -1),)),)
    else:
        calls = (Call("aten.view.default", (tuple(shape),)),)
    return Rewrite((Insert(data.name, (node.name,), tuple(step for call in calls for step in (call, Pair(qparams)))),))


def with_own_dequantize(view: View, node: Node) -> Rewrite:
    """A dequantize op of the node's own for each that something else reads too."""
    shared = (item for item in view.graph.inputs(node) if view.is_dq(item) and len(view.users(item)) > 1)
    return Rewrite(tuple(Duplicate((dq.name,), (node.name,)) for dq in shared))
