"""Each quantized value of a program once, with the ops on both its sides. The QP and DT rules share it.

Source: ``FoldAndAnnotateQParamsPass``, ``DecomposeQuantNodesPass`` and ``InsertTableOpsPass``, which decide what has a
RESCALE of its own, of ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1.

Rules that depend on it: DT503, DT504, DT505, DT506, DT507, QP301, QP303, QP304, and those of rescales.
"""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.per_view import once_per_view
from fuseguard.backend.proper_quantization import is_unlisted
from fuseguard.ir import Node, QParams, Trait, View
from fuseguard.ir.value import Value
from fuseguard.target import Target

_HANDS_ON = Trait.GETITEM | Trait.CONTROL_FLOW
_WITHOUT_RESCALE = Trait.UNARY | Trait.TRANSPARENT

#: An op that reads its zero point, though it has no RESCALE. AVG_POOL2D does so too, but with the same zero
#: point on both sides the two cancel, whatever they wrap to.
_READ_ZERO_POINT = ("neg",)


#: eps of Arm's observers: get_symmetric_quantization_config and get_symmetric_a16w8_quantization_config.
OBSERVER_FLOORS = (2.0**-16, 2.0**-12)


class Boundary(Value, frozen=True):
    """One Q with the DQs that read its codes under the same qparams, or one DQ of a constant.

    ``producer`` is the op whose result is quantized (None for a graph input or constant), ``consumers`` the
    ops that read the dequantized value. ``requantized``: between these codes and others stands no op but a RESCALE,
    since the Q reads a DQ or a Q reads one of the DQs.
    """

    qparams: QParams
    quantizers: tuple[Node, ...]
    producer: Node | None
    consumers: tuple[Node, ...]
    constant: bool
    requantized: bool = False

    @property
    def ops(self) -> tuple[Node, ...]:
        return (self.producer, *self.consumers) if self.producer is not None else self.consumers

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The ops, then the Q and DQs: refusing all of them leaves no trace of the qparams in a delegate."""
        return (*self.ops, *self.quantizers)

    @property
    def label(self) -> str:
        """The node a reader knows the value by."""
        return self.nodes[0].name if self.producer is not None else self.quantizers[0].name


@once_per_view
def boundaries(view: View) -> tuple[Boundary, ...]:
    """Every quantized value, in topological order. A DQ with other qparams than its Q stands for itself."""
    return tuple(_boundaries(view))


def _boundaries(view: View) -> Iterator[Boundary]:
    merged: set[str] = set()
    for node in view.of_kind("quantize", "dequantize"):
        if node.name in merged:
            continue
        qparams = view.qparams(node)
        if qparams is None:
            continue
        source = view.producer(node)
        if view.is_dq(node):
            consumers = tuple([user for user in view.users(node) if user.op == "call" and not view.is_q(user)])
            stored = source is not None and (source.op == "get_attr" or source.constant)
            yield Boundary(qparams, (node,), None, consumers, stored, requantized=bool(view.out_q(node)))
            continue
        readers = [user for user in view.users(node) if view.is_dq(user) and _same(view.qparams(user), qparams)]
        merged.update(reader.name for reader in readers)
        distinct = {user.name: user for reader in readers for user in view.users(reader) if user.op == "call"}
        consumers = tuple([user for user in distinct.values() if not view.is_q(user)])
        producer = source if source is not None and source.op == "call" and not view.is_dq(source) else None
        requantized = (source is not None and view.is_dq(source)) or any(view.out_q(reader) for reader in readers)
        yield Boundary(qparams, (node, *readers), producer, consumers, False, requantized)


def _same(one: QParams | None, other: QParams) -> bool:
    """Equality, but by text at need: a NaN scale is not equal to itself, and its DQ must still be found."""
    return one is other or one == other or repr(one) == repr(other)


def is_constant(view: View, node: Node) -> bool:
    """Whether the op reads a constant: a literal in the graph or a stored tensor. It has few codes, or one."""
    dq = view.in_dq(node, 0)
    source = view.maker(dq) if dq is not None else None
    return source is not None and (source.constant or source.op == "get_attr" or source.info.has(Trait.CONSTANT))


def computes_in_float(node: Node) -> bool:
    """Whether the op is float to the backend: Q and DQ at it stay arithmetic on floats (DecomposeQuantNodesPass)."""
    return not node.annotated and not node.info.has(_HANDS_ON)


def stays_in_float(node: Node, target: Target) -> bool:
    """Whether no integer arithmetic is made of the op: it is float to the backend, or stays on the CPU if annotated."""
    return computes_in_float(node) or is_unlisted(node, target)


def passes_codes(node: Node, target: Target) -> bool:
    """Whether the op has no RESCALE of its own: it hands codes on, looks them up in a table, or computes in float."""
    without = node.info.has(_WITHOUT_RESCALE) and node.kind not in _READ_ZERO_POINT
    return without or stays_in_float(node, target)


def reads_zero_point(node: Node) -> bool:
    """Whether the TOSA operator takes the input's zero point as an operand."""
    return node.info.has(Trait.MAC) or node.kind in _READ_ZERO_POINT
