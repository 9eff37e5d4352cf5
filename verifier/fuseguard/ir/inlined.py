"""Programs without wrappers: the ops in a body that runs exactly once become ops of the graph around it.

``torch.export`` puts what a model does under ``torch.autocast(enabled=False)``, ``torch.no_grad`` or
``torch.enable_grad`` into a body of its own, for an op that runs it as it is. Decomposition
(``ExportedProgram.run_decompositions``, and with it ``to_edge``) opens these bodies. :func:`inlined` does so with
nodes, so that the program, its file and the edge program have the same ops. ``fuseguard.executorch.inlining`` does the
same with a live program, under the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from fuseguard.ir.graph import Arg, Graph, Node, Ref, substituted, with_values

#: By the op that runs a body as it is: the position of the body. Its operands are what follows.
WRAPPERS: Mapping[str, int] = {
    "higher_order.wrap_with_autocast": 4,
    "higher_order.wrap_with_set_grad_enabled": 1,
}
#: The position of an autocast's ``enabled``. An autocast that is on casts what ops of its body read.
ENABLED = 2


def keeps_values(target: str, args: Sequence[object]) -> bool:
    """Whether an op of these arguments runs its body as it is, without casts of its own."""
    if target not in WRAPPERS or len(args) <= WRAPPERS[target]:
        return False
    return target != "higher_order.wrap_with_autocast" or args[ENABLED] is False


class FreeNames:
    """Names for the nodes of bodies: their own, or the first of ``name_1``, ``name_2`` ... that is free."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._counts: dict[str, int] = {}

    def take(self, stem: str) -> str:
        name, count = stem, self._counts.get(stem, 0)
        while name in self._taken:
            count += 1
            name = f"{stem}_{count}"
        self._counts[stem] = count
        self._taken.add(name)
        return name


def inlined(
    nodes: list[Node], subgraphs: Mapping[str, Graph], copying: Callable[[int, int], None] | None = None
) -> tuple[list[Node], dict[str, Graph]]:
    """``nodes`` with those of the bodies that wrappers run in place of the wrappers, and the bodies that are left.

    ``nodes`` itself is returned where nothing was opened. A body with bodies of its own (a branch, a loop) stays as it
    is. ``copying`` is given the numbers of nodes and of arguments of each body before it is copied: a file may run one
    body often.
    """
    if not any(node.target in WRAPPERS for node in nodes):
        return nodes, dict(subgraphs)
    return _Inlining(nodes, subgraphs, copying).run()


class _Inlining:
    def __init__(
        self, nodes: list[Node], subgraphs: Mapping[str, Graph], copying: Callable[[int, int], None] | None
    ) -> None:
        self._nodes = nodes
        self._bodies = subgraphs
        self._copying = copying
        self._names = FreeNames(node.name for node in nodes)
        self._out: list[Node] = []
        self._values: dict[str, Arg] = {}  # by the name of a node that is left out: what reads it reads this
        self._results: dict[str, tuple[Arg, ...]] = {}  # by the name of a wrapper
        self._used: set[str] = set()
        self._sizes: dict[str, int] = {}  # by the name of a body: how many arguments its nodes have

    def run(self) -> tuple[list[Node], dict[str, Graph]]:
        for node in self._nodes:
            body = self._body_of(node)
            if body is not None:
                self._open(node, body)
            elif not self._is_result(node):
                self._emit(substituted(node, self._values))
        if not self._results:
            return self._nodes, dict(self._bodies)
        left = {name: body for name, body in self._bodies.items() if name in self._used}
        return [replace(node, index=index) for index, node in enumerate(self._out)], left

    def _body_of(self, node: Node) -> Graph | None:
        """The body that a wrapper runs, if its operands are those that the body takes."""
        if not keeps_values(node.target, node.args) or node.kwargs:
            return None
        position = WRAPPERS[node.target]
        body = self._bodies.get(str(node.args[position]))
        if body is None or body.delegate is not None or body.subgraphs or not _yields(body):
            return None
        taken = [item for item in body if item.op == "placeholder"]
        return body if len(taken) == len(node.args) - position - 1 else None

    def _is_result(self, node: Node) -> bool:
        """Whether a node takes one of the results of a body that was opened, which it then stands for."""
        producer = node.args[0] if node.target == "operator.getitem" and len(node.args) == 2 else None
        results = self._results.get(producer.name) if isinstance(producer, Ref) else None
        index = node.args[1] if results is not None else None
        if results is None or not isinstance(index, int) or not -len(results) <= index < len(results):
            return False
        self._values[node.name] = results[index]
        return True

    def _open(self, wrapper: Node, body: Graph) -> None:
        name = str(wrapper.args[WRAPPERS[wrapper.target]])
        if name not in self._sizes:
            self._sizes[name] = sum(_size((*node.args, *node.kwargs.values())) for node in body)
        if self._copying is not None:
            self._copying(len(body), self._sizes[name])
        operands = iter(wrapper.args[WRAPPERS[wrapper.target] + 1 :])
        values: dict[str, Arg] = {}
        for node in body:
            if node.op == "placeholder":
                values[node.name] = with_values(next(operands), self._values)
            elif node.op == "output":
                returned = with_values(node.args[0], values)
                self._results[wrapper.name] = returned if isinstance(returned, tuple) else (returned,)
                self._values[wrapper.name] = returned
            elif _is_the_same(node, body):
                values[node.name] = with_values(node.args[0], values)
            else:
                made = replace(substituted(node, values), name=self._names.take(node.name))
                values[node.name] = Ref(made.name)
                self._emit(made)

    def _emit(self, node: Node) -> None:
        self._used.update(node.subgraphs)
        self._out.append(node)


def _yields(body: Graph) -> bool:
    """Whether a body has one output, and no tensors of its own."""
    outputs = [node for node in body if node.op == "output"]
    return [len(node.args) for node in outputs] == [1] and not any(node.op == "get_attr" for node in body)


def _size(arg: Arg) -> int:
    return sum(map(_size, arg)) if isinstance(arg, tuple) else 1


def _is_the_same(node: Node, body: Graph) -> bool:
    """Whether a node of a body is a cast to the dtype that its operand has, which decomposition leaves out."""
    if node.target != "aten.to.dtype" or node.arg(3, "copy") is True or node.arg(4, "memory_format") is not None:
        return False
    operand = body.node_of(node.args[0]) if node.args else None
    return operand is not None and operand.meta is not None and operand.meta == node.meta
