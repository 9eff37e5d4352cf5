"""Programs made of several small ones, and with other qparams than they were written with, torch-free."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from fuseguard.backend.rewrites import lossless_int16
from fuseguard.ir import Graph, Node, QParams, Ref, View
from fuseguard.ir.graph import Arg
from fuseguard_testkit.side_by_side import side_by_side

#: How two graphs are put together.
WAYS = ("beside", "chained", "chained and put out", "shared input")


def compose(graphs: Sequence[Graph], way: str) -> Graph:
    """``graphs`` in one: ``beside`` each other; each reading the first fitting output of the one before, which is
    ``put out`` as well or not; or reading the first one's inputs. Where nothing fits, they stand beside each other.
    """
    whole = side_by_side(graphs)
    nodes = {node.name: node for node in whole}
    output = nodes.pop("output") if "output" in nodes else nodes.pop(next(n.name for n in whole if n.op == "output"))
    parts = [[node for node in nodes.values() if node.name.endswith(f"__{number}")] for number in range(len(graphs))]
    results = [ref.name for ref in output.refs()]
    read_instead: dict[str, str] = {}
    for number in range(1, len(parts)):
        given = [item for item in parts[number] if item.op == "placeholder" and not item.constant]
        if way == "shared input":
            offered = [item.name for item in parts[0] if item.op == "placeholder" and not item.constant]
        elif way.startswith("chained"):
            offered = [name for name in results if name.endswith(f"__{number - 1}")]
        else:
            offered = []
        for item in given:
            fitting = next((name for name in offered if nodes[name].outputs[:1] == item.outputs), None)
            if fitting is not None:
                read_instead[item.name] = fitting
                offered.remove(fitting)
    kept = [node for node in nodes.values() if node.name not in read_instead]
    used = set(read_instead.values())
    put_out = tuple(
        Ref(read_instead.get(name, name))
        for name in results
        if not (way == "chained" and name in used) and name not in read_instead
    )
    renamed = [_reading(node, read_instead) for node in kept]
    renamed.append(replace(output, args=(put_out,)))
    numbered = [replace(node, index=index) for index, node in enumerate(renamed)]
    return Graph(numbered, dialect=whole.dialect, buffers=whole.buffers, subgraphs=whole.subgraphs)


def as_uint8(qparams: QParams) -> QParams | None:
    """The same values in uint8, where ``qparams`` are of int8."""
    if qparams.dtype != "int8":
        return None
    return QParams.per_tensor(qparams.scale, qparams.zero_point + 128, qparams.qmin + 128, qparams.qmax + 128, "uint8")


def _wider(qparams: QParams) -> QParams | None:
    return replace(qparams, scales=tuple(2 * scale for scale in qparams.scales))


#: What the qparams of a value may be changed to.
CHANGES: dict[str, Callable[[QParams], QParams | None]] = {
    "uint8": as_uint8, "int16": lossless_int16, "twice the scale": _wider,
}  # fmt: skip


def values(graph: Graph) -> tuple[str, ...]:
    """The names of the per-tensor Qs of a graph, and of its inputs that are codes: what :func:`changed` can change."""
    view = View(graph)
    found = []
    for node in graph:
        qparams = view.qparams(node) if view.is_q(node) else next(iter(_given(view, node)), None)
        if qparams is not None and qparams.known and not qparams.per_channel:
            found.append(node.name)
    return tuple(found)


def _given(view: View, node: Node) -> Iterable[QParams]:
    if node.op == "placeholder" and not node.constant:
        for user in view.graph.users(node):
            qparams = view.qparams(user) if view.is_dq(user) else None
            if qparams is not None:
                yield qparams


def changed(graph: Graph, changes: dict[str, str]) -> Graph:
    """``graph`` with the qparams of each value named in ``changes`` made what CHANGES says, wherever they are known."""
    view = View(graph)
    put: dict[str, Node] = {}
    for name, change in changes.items():
        node = graph[name]
        old = view.qparams(node) if view.is_q(node) else next(iter(_given(view, node)), None)
        new = CHANGES[change](old) if old is not None else None
        if old is None or new is None:
            continue
        readers = [user for user in graph.users(node) if view.is_dq(user) and view.qparams(user) == old]
        for item in [node, *readers] if view.is_q(node) else readers:
            put[item.name] = replace(item, args=(*item.args[:1], *_numbers(new)))
        codes = put.get(name, node)
        put[name] = replace(codes, outputs=(replace(node.outputs[0], dtype=new.dtype),))
    nodes = [put.get(node.name, node) for node in graph]
    return Graph(nodes, dialect=graph.dialect, name=graph.name, buffers=graph.buffers, subgraphs=graph.subgraphs)


def _numbers(qparams: QParams) -> tuple[Arg, ...]:
    return (qparams.scale, qparams.zero_point, qparams.qmin, qparams.qmax, qparams.dtype)


def _reading(node: Node, instead: dict[str, str]) -> Node:
    def renamed(arg: Arg) -> Arg:
        if isinstance(arg, Ref):
            return Ref(instead.get(arg.name, arg.name))
        return tuple(renamed(part) for part in arg) if isinstance(arg, tuple) else arg

    return replace(
        node,
        args=tuple(renamed(arg) for arg in node.args),
        kwargs={key: renamed(arg) for key, arg in node.kwargs.items()},
    )
