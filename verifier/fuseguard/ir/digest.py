"""A short name for what a graph computes, to notice that it has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from fuseguard.ir.graph import Graph


def digest(graph: Graph) -> str:
    """16 hexadecimal digits: others for a graph with other nodes, arguments, dtypes, shapes, constants or bodies.

    Where the user wrote a node, and in which module, is left out. The digest is the same on every version of Python.
    """
    return hashlib.sha256("\n".join(_lines(graph)).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _lines(graph: Graph) -> Iterator[str]:
    for body in graph.walk():
        yield repr((body.name, body.dialect, sorted(body.buffers.items())))
        for node in body:
            yield repr(
                (
                    node.name,
                    node.op,
                    node.target,
                    node.args,
                    sorted(node.kwargs.items()),
                    [(output.dtype, output.shape) for output in node.outputs],
                    node.annotated,
                    node.constant,
                    node.subgraphs,
                    # Not of buffers: what is recorded of graphs is older than this field, and was built with buffers.
                    *([node.stored_as] if node.stored_as in ("parameter", "tensor") else []),
                )
            )
