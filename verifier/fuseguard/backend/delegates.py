"""Which ops share a delegate: an op on the CPU between two others divides them.

The partitioner goes through the program from its end, and merges each op with every partition unless that makes a
cycle: a path that leaves the partition and returns. Therefore, partitions can be numbered: the number of an op is the
largest number of times that a path from it to the end of the program goes through the CPU and returns to a delegate.

Source: ``CapabilityBasedPartitioner.propose_partitions`` of torch.fx.passes.infra.partitioner, as TOSAPartitioner of
ExecuTorch 1.2.0 to 1.5.1 uses it.

Rules that depend on it: BO602, BO604, BO605, OP713, QD201, and those of detag_boundary_nodes and shared_outputs and
unread_inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fuseguard.ir import Node, View


def delegate_numbers(view: View, outside: Callable[[Node], bool]) -> Mapping[str, int]:
    """The number of the delegate of each op that is not ``outside``, by name, counted from the end of the program.

    Of an op outside, it is the largest number of a delegate that its value leads to, plus 1; 0 if it leads to none.
    """
    numbers: dict[str, int] = {}
    apart: set[str] = set()
    for node in reversed(view.graph.nodes.values()):
        if node.op != "call":
            continue
        leaves = outside(node)
        if leaves:
            apart.add(node.name)
        number = 0
        for user in view.users(node):
            if user.op == "call":
                number = max(number, numbers[user.name] + (leaves and user.name not in apart))
        numbers[node.name] = number
    return numbers


def refused_near(view: View, value: Node, refused: frozenset[str]) -> Node:
    """The refused node that makes ``value`` an input or reads it; else the first, as any may divide the delegate."""
    pending, seen = [value], {value.name}
    while pending:
        node = pending.pop(0)
        if node.name in refused:
            return node
        if node is value or view.is_q(node) or view.is_dq(node):
            readers = [item for item in view.users(node) if item.name not in seen]
            pending += readers
            seen.update([item.name for item in readers])
    return next(node for node in view.graph if node.name in refused)
