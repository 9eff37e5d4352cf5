"""Forms of ops that the partitioner takes, because no support check asks for them, and that their lowering rejects.

Source: the support lists and ``tosa_supported_operators.py`` of ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1;
``CheckInt64InputsAndOutputs``, which keeps what reads an int64 off the accelerator; the TOSA operators PAD,
LOGICAL_NOT, LOGICAL_AND, LOGICAL_OR, LOGICAL_XOR, REDUCE_ANY, ADD, EQUAL, GREATER, GREATER_EQUAL, MAXIMUM and MINIMUM
(tosa/dialect/ops), which raise; and ``AccumulateIndexPutPass``, whose ``index.Tensor`` keeps the dimensions that an
``index_put`` leaves out.

Rules that depend on it: OP721.
"""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.as_strided import refuses_strides, takes_part
from fuseguard.backend.integer_forms import reads_codes
from fuseguard.backend.partition import stays_outside
from fuseguard.backend.proper_quantization import is_annotated
from fuseguard.ir import Node, View
from fuseguard.ir.value import Value
from fuseguard.target import Target

#: Ops of bools, by kind: ``all`` has that of ``any``.
LOGICAL = frozenset(("logical_not", "logical_and", "logical_or", "logical_xor", "any"))

#: Ops of two operands that TOSA has for numbers alone; a product of bools is lowered.
_OF_NUMBERS = frozenset(("add", "eq", "ge", "gt", "le", "lt", "maximum", "minimum"))


class Form(Value, frozen=True):
    """``node`` in such a form: ``case`` is ``pad``, ``put``, ``bools``, ``strided``, ``float`` or ``integer``.

    The last two say what the op reads.
    """

    node: Node
    case: str
    form: str


def unlowered_forms(view: View, target: Target) -> Iterator[Form]:
    """Every op in such a form that is delegated; what the INT profile leaves on the CPU for its floats is there too."""
    for node in view.ops:
        if node.kind == "pad":
            amounts = pad_amounts(node)
            if min(amounts, default=0) < 0 and not stays_outside(view, node, target):
                yield Form(node, "pad", f"pads by {list(amounts)}")
        elif node.kind in LOGICAL:
            read = next((item.meta for item in numbers_of(view, node)), None)
            if read is not None and not reads_codes(view, node):
                yield Form(node, "float" if read.is_float else "integer", f"reads numbers of {read.dtype} for bools")
        elif node.kind in _OF_NUMBERS and _reads_bools(view, node):
            yield Form(node, "bools", "reads bools for numbers")
        elif (part := takes_part(view, node)) is not None and not refuses_strides(node):
            case = "strided" if is_annotated(view, node) else "float"
            yield Form(node, case, f"takes {part[0]} of {part[1]} elements, as a view")
        elif _accumulates_beside_none(node):
            yield Form(node, "put", "adds to values in another dimension than the first")


def pad_amounts(node: Node) -> tuple[int, ...]:
    """By how much a pad of constants pads, from the last dimension on; () for other pads and if it is not known."""
    amounts = node.arg(1, "pad")
    if node.operator == "pad" and node.arg(2, "mode", "constant") != "constant":
        return ()
    if not isinstance(amounts, tuple):
        return ()
    known = tuple(amount for amount in amounts if isinstance(amount, int))
    return known if len(known) == len(amounts) else ()


def numbers_of(view: View, node: Node) -> list[Node]:
    """The operands of a logical op that are not bools; none of a node that the int64 check keeps on the CPU."""
    operands = [item for item in view.graph.inputs(node) if item.meta is not None]
    dtypes = [item.meta.dtype for item in operands if item.meta is not None]
    if "int64" in dtypes:
        return []
    return [item for item, dtype in zip(operands, dtypes, strict=True) if dtype != "bool"]


def _reads_bools(view: View, node: Node) -> bool:
    """Whether all tensors that an op reads are bools, and its result is one."""
    read = [item.meta.dtype for item in view.graph.inputs(node) if item.meta is not None]
    return bool(read) and set(read) == {"bool"} and node.meta is not None and node.meta.dtype == "bool"


def _accumulates_beside_none(node: Node) -> bool:
    """Whether a node is an index_add in another dimension than the first. In the edge dialect, that is an index_put."""
    if node.kind == "index_add":
        dim, rank = node.arg(1, "dim"), node.meta.rank if node.meta is not None else 0
        return isinstance(dim, int) and rank > 0 and dim % rank != 0
    indices = node.arg(1, "indices", ())
    put = node.kind == "index_put" and node.arg(3, "accumulate", False) is True
    return put and isinstance(indices, tuple) and None in indices
