"""Which parts of values Vela would read in place where it cannot: it ends with a segmentation fault.

Vela lets an elementwise op read a slice where it lies. It holds values of at most four dimensions, and joins the
leading ones of others. If one of several leading entries is selected, and what is left has several leading entries
itself, the slice has no form of four dimensions. Convolutions, products, sums, means, permutes and the like get a copy.

Source: ``ethosu.vela`` 5.1.0, by what it does with the TOSA of ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1. Its own source
was not read.

Rules that depend on it: OP730.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fuseguard.backend.partition import is_delegated
from fuseguard.backend.per_view import once_per_view
from fuseguard.ir import Node, Trait, View
from fuseguard.ir.intervals import OPERANDS
from fuseguard.ir.value import Value
from fuseguard.target import Target

_ACCELERATORS = ("ethos-u55", "ethos-u65")
#: Of more dimensions, values are joined to four.
_MOST_DIMS = 4
#: What reads codes element by element, besides functions of one value and what :data:`OPERANDS` has; and ops that are
#: made of such ops. A pad and a repeat write the slice into a larger value.
_ELEMENTWISE = frozenset((
    *OPERANDS, "div", "pow", "pad", "repeat", "amin", "softmax", "log_softmax", "layer_norm", "gelu",
))  # fmt: skip
#: Those that also read a view of a slice in place.
_OF_TWO = frozenset(kind for kind, operands in OPERANDS.items() if operands == 2)
#: What only renames the places of a slice.
_RENAMED = frozenset(("view", "squeeze", "slice", "clone"))


class SlicedOperand(Value, frozen=True):
    """One of several leading entries of ``source``, what selects it, and the first op that would read it in place."""

    source: Node
    selection: Node
    reader: Node


@once_per_view
def sliced_operands(view: View, target: Target) -> Mapping[str, SlicedOperand]:
    """The selections of a program for Ethos-U55 or U65 that Vela fails on, by the name of what selects."""
    if not target.accelerator.startswith(_ACCELERATORS):
        return {}
    return {found.selection.name: found for found in _sliced_operands(view, target)}


def _sliced_operands(view: View, target: Target) -> Iterator[SlicedOperand]:
    for node in view.of_kind("select", "getitem", "squeeze", "view"):
        source = _selected_from(view, node)
        if source is None or not is_delegated(view, node, target):
            continue
        reader = _reading(view, node, target)
        if reader is not None:
            yield SlicedOperand(source, node, reader)


def _selected_from(view: View, node: Node) -> Node | None:
    """The value of which ``node`` is one leading entry, if the rest has several leading entries, too."""
    source = _producer(view, node)
    if source is None or node.meta is None:
        return None
    if node.kind == "select":
        first = node.arg(1, "dim", 0)
        selects = source.meta is not None and first in (0, -source.meta.rank)
    elif node.kind == "getitem":
        selects = source.kind == "unbind" and source.arg(1, "dim", 0) == 0
        source = _producer(view, source)
    else:  # a view or squeeze of one entry, which a slice or split took
        part = view.producer(source) if source.kind == "getitem" else source
        before = _producer(view, part) if part is not None and part.kind in ("slice", "split") else None
        shape = source.meta.shape if source.meta is not None else ()
        selects = before is not None and shape[:1] == (1,) and node.meta.shape == shape[1:]
        source = before
    if not selects or source is None or source.meta is None or source.meta.rank <= _MOST_DIMS:
        return None
    sizes = source.meta.shape[:2]
    return source if all(size is not None and size > 1 for size in sizes) else None


def _producer(view: View, node: Node) -> Node | None:
    """What makes the first operand, before its Q and DQ."""
    operand = view.producer(node)
    return view.maker(operand) if operand is not None and node.kind != "getitem" else operand


def _reading(view: View, node: Node, target: Target) -> Node | None:
    """An op of the delegate that reads the entry element by element, also after a view of it."""
    pending, seen = [node], {node.name}
    while pending:
        current = pending.pop()
        for q in view.out_q(current):
            for _, reader in view.code_readers(q):
                if not is_delegated(view, reader, target) or reader.name in seen:
                    continue
                seen.add(reader.name)
                if reader.kind in _OF_TWO or (current is node and _is_elementwise(reader)):
                    return reader
                if reader.kind in _RENAMED and reader.meta is not None and reader.meta.rank <= _MOST_DIMS:
                    pending.append(reader)
    return None


def _is_elementwise(node: Node) -> bool:
    return node.kind in _ELEMENTWISE or node.info.has(Trait.UNARY | Trait.ACTIVATION)
