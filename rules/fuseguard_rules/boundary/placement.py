"""What the BO rules share: which ops an INT-only backend leaves on the CPU, as far as the graph tells.

Source: ``CheckArmQuantized`` and ``CheckProperQuantization`` (tosa_supported_operators.py) of
ExecuTorch 1.4.1 and 1.5.1, ``IndexTensorSupported`` (index_tensor_support.py) of 1.2.0 to 1.5.1.
"""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.ir import Node, Trait, View
from fuseguard.ir.ops import KINDS

#: Traits of the ops that CheckProperQuantization wants a Q behind.
_COMPUTES = Trait.MAC | Trait.TABLE | Trait.RESCALED


def stays_on_cpu(view: View, node: Node) -> bool:
    """Whether an INT-only backend leaves ``node`` on the CPU: it is float, or nothing the backend knows."""
    if node.op != "call" or view.is_q(node) or view.is_dq(node) or node.info.has(Trait.GETITEM | Trait.CONSTANT):
        return False
    if node.meta is None or not node.meta.is_float:
        return False
    if node.kind not in KINDS or not node.annotated or _indexes_behind_none(node):
        return True
    if not node.info.traits & _COMPUTES:
        return False
    users = view.users(node)
    fused = node.info.has(Trait.MAC) and any(user.info.has(Trait.ACTIVATION) for user in users)
    return not fused and not any(view.is_q(user) for user in users)


def stays_on_cpu_with_float(view: View, node: Node) -> bool:
    """Whether a backend with float support leaves ``node`` on the CPU: it is no op that the backend knows."""
    return stays_on_cpu(view, node) and (node.kind not in KINDS or _indexes_behind_none(node))


def is_delegated(view: View, node: Node) -> bool:
    """Whether ``node`` is an op that an INT-only backend takes."""
    computes = node.op == "call" and not view.is_q(node) and not view.is_dq(node)
    return computes and node.annotated and not stays_on_cpu(view, node)


def _indexes_behind_none(node: Node) -> bool:
    """Whether an index leaves a dimension in front alone (``x[:, i]``), which IndexTensorSupported rejects."""
    indices = node.arg(1, "indices", ())
    return node.target == "aten.index.Tensor" and isinstance(indices, tuple) and None in indices


class CpuReach:
    """``through``: for each value whose path goes through the CPU and back to a Q, the first such op on the way.

    ``refused`` are names of nodes that are kept on the CPU whatever they are; ``stays`` says which others are. A Q or
    DQ is refused along with its op, and counts by itself only where it has none: a Q right behind a DQ, whose codes go
    on to a DQ that is not refused.
    """

    def __init__(
        self,
        view: View,
        refused: frozenset[str] = frozenset(),
        stays: Callable[[View, Node], bool] = stays_on_cpu,
    ) -> None:
        self.through: dict[str, Node] = {}
        requantized: set[str] = set()
        for node in reversed(list(view.calls())):
            users = view.users(node)
            if any(view.is_q(user) or user.name in requantized for user in users):
                requantized.add(node.name)
            for user in users:
                if view.is_q(user) or view.is_dq(user):
                    comes_back = any(reader.name not in refused for reader in view.users(user))
                    leaves = view.is_dq(node) and view.is_q(user) and user.name in refused and comes_back
                else:
                    leaves = user.name in requantized and (stays(view, user) or user.name in refused)
                if leaves:
                    self.through[node.name] = user
                    break
                if user.name in self.through:
                    self.through[node.name] = self.through[user.name]
                    break


def goes_around(view: View, node: Node) -> bool:
    """Whether a way on the accelerator leads around ``node``, from what it computes with to what computes with it."""
    before = _reached(view, [node], view.graph.inputs)
    behind = _reached(view, [node], view.users)
    starts = [view.graph[name] for name in before if _is_joined(view, view.graph[name])]
    around = _reached(view, starts, lambda item: [user for user in view.users(item) if user.name not in behind])
    return any(
        producer.name in around and producer.name != node.name
        for name in behind
        if name != node.name and _is_joined(view, view.graph[name])
        for producer in view.graph.inputs(view.graph[name])
    )


def _reached(view: View, starts: list[Node], step: Callable[[Node], list[Node]]) -> set[str]:
    """The names of what is reached from ``starts``, which included, without an op that stays on the CPU."""
    seen = {start.name for start in starts}
    pending = list(starts)
    while pending:
        for item in step(pending.pop()):
            if item.op == "call" and item.name not in seen and not stays_on_cpu(view, item):
                seen.add(item.name)
                pending.append(item)
    return seen


def _is_joined(view: View, node: Node) -> bool:
    """Whether a node holds a partition together: a constant, which has no operands, does not."""
    return is_delegated(view, node) and not node.info.has(Trait.CONSTANT)


def is_quantized_split(view: View, node: Node) -> bool:
    """An annotated op that cuts codes into parts: split, split_with_sizes, chunk.

    The edge dialect makes slices of unbind and tensor_split, and each part has the partition of what follows it.
    """
    if node.kind != "split" or "tensor_split" in node.target or not node.annotated:
        return False
    return view.in_dq(node, 0) is not None
