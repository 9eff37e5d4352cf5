"""A graph as text, one line a node, for the examples on the pages of the rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fuseguard.ir.graph import Arg, Graph, Node, Ref, TensorMeta


def listing(graph: Graph) -> Iterator[str]:
    """The nodes in order, and the bodies of control flow below them. Constants without a use of their own are left
    in: they have qparams too.
    """
    for body in graph.walk():
        if body.name:
            yield f"{body.name}:"
        indent = "  " if body.name else ""
        for node in body:
            yield indent + _line(node)


def _line(node: Node) -> str:
    if node.op == "output":
        return f"return {_arguments(node.args, node.kwargs)}"
    kind = ", ".join(_meta(meta) for meta in node.outputs)
    left = f"{node.name}: {kind}" if kind else node.name
    if node.op != "call":
        return f"{left} = {'constant' if node.constant else 'input'}"
    return f"{left} = {_op(node.target)}({_arguments(node.args, node.kwargs)})"


def _op(target: str) -> str:
    """The op without what is the same in every listing."""
    return target.removeprefix("quantized_decomposed.").removesuffix(".default")


def _meta(meta: TensorMeta) -> str:
    return f"{meta.dtype}[{', '.join('?' if size is None else str(size) for size in meta.shape)}]"


def _arguments(args: tuple[Arg, ...], kwargs: Mapping[str, Arg]) -> str:
    return ", ".join([*map(_argument, args), *(f"{name}={_argument(value)}" for name, value in kwargs.items())])


def _argument(arg: Arg) -> str:
    if isinstance(arg, Ref):
        return arg.name
    if isinstance(arg, tuple):
        return f"({', '.join(map(_argument, arg))}{',' if len(arg) == 1 else ''})"
    if isinstance(arg, float):
        return f"{arg:.6g}"
    return str(arg)
