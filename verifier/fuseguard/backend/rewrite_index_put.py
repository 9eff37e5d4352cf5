"""Which values an index_put may have before 1.3.

Source: ``RewriteIndexPutPass`` of ExecuTorch 1.2.0. The pass views the values as (1, W, C): W is the number of
positions after the index tensors were broadcast, C what lies below the indexed dimensions. It counts a dimension that
is taken whole (None) among the index tensors, as a range that is broadcast with them. From 1.3 on it expands the
values first, and NormalizeIndexPutNoneIndicesPass has moved such dimensions after the indexed ones; read in 1.3.1 and
1.5.1.

Rules that depend on it: OP717.
"""

from __future__ import annotations

import math

from fuseguard.ir import Node, View
from fuseguard.ir.value import Value

_Shape = tuple[int, ...]


class Put(Value, frozen=True):
    """An index_put: its values, and the shape that the places it writes to have together.

    ``counted`` is the number of elements that the pass takes the values to have, None where the index tensors and the
    ranges cannot be broadcast. ``crossed``: a dimension that is taken whole has more than one element, so that the
    places are more than the pass counts.
    """

    values: Node
    places: _Shape
    counted: int | None
    crossed: bool

    @property
    def fits(self) -> bool:
        """Whether the values have as many elements as the places."""
        return _elements(self.values) == math.prod(self.places)

    @property
    def fails(self) -> bool:
        """Whether the values cannot be viewed as the pass counts them."""
        return _elements(self.values) != self.counted


def read_put(view: View, node: Node) -> Put | None:
    """The index_put at ``node``; None for other ops, for masks and where a shape is not known."""
    data, values = (view.graph.node_of(node.arg(place, name)) for place, name in ((0, "self"), (2, "values")))
    indices = node.arg(1, "indices")
    shape = _shape(data)
    if node.kind != "index_put" or values is None or shape is None or not isinstance(indices, tuple):
        return None
    if _elements(values) is None or node.arg(3, "accumulate") is True:
        return None
    found: list[_Shape | None] = []
    for index in indices:
        tensor = view.graph.node_of(index)
        sizes = _shape(tensor)
        if index is not None and (sizes is None or tensor is None or _is_mask(tensor)):
            return None
        found.append(sizes if index is not None else None)
    tensors = [sizes for sizes in found if sizes is not None]
    index = _broadcast(tensors)
    if index is None or not tensors:
        return None
    ranges = [(shape[place],) for place, sizes in enumerate(found) if sizes is None]
    counted = _broadcast([*tensors, *ranges])
    after = shape[len(found) :]
    return Put(
        values,
        _places(shape, found, index),
        None if counted is None else math.prod(counted) * math.prod(after),
        any(size != (1,) for size in ranges),
    )


def _places(shape: _Shape, found: list[_Shape | None], index: _Shape) -> _Shape:
    """The shape of ``data[indices]``: the index tensors' shape stands where they do, or first if they are apart."""
    positions = [place for place, sizes in enumerate(found) if sizes is not None]
    together = positions == list(range(positions[0], positions[-1] + 1))
    first = positions[0] if together else 0
    whole = [size for place, size in enumerate(shape) if place not in positions]
    return (*whole[:first], *index, *whole[first:])


def _broadcast(shapes: list[_Shape]) -> _Shape | None:
    rank = max(map(len, shapes), default=0)
    result = []
    for place in range(rank):
        sizes = {shape[place - rank] for shape in shapes if rank - place <= len(shape)} - {1}
        if len(sizes) > 1:
            return None
        result.append(sizes.pop() if sizes else 1)
    return tuple(result)


def _is_mask(node: Node) -> bool:
    return node.meta is not None and node.meta.dtype == "bool"


def _shape(node: Node | None) -> _Shape | None:
    if node is None or node.meta is None:
        return None
    sizes = [size for size in node.meta.shape if size is not None]
    return tuple(sizes) if len(sizes) == node.meta.rank else None


def _elements(node: Node) -> int | None:
    shape = _shape(node)
    return None if shape is None else math.prod(shape)
