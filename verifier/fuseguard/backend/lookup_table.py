"""What a 16-bit lookup table computes, code by code, as InsertTableOpsPass makes it and TOSA's TABLE reads it.

TOSA's TABLE has 513 entries for the 65536 codes of int16 and interpolates between them. What the function does between
two entries is lost. :mod:`fuseguard.backend.table_codes` compares the two; here is which table an op of a program gets.

Source: ``InsertTableOpsPass`` of ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1.

Rules that depend on it: DT503, DT505, DT506.
"""

from __future__ import annotations

from fuseguard.backend.proper_quantization import TABLE_OPS, is_unlisted
from fuseguard.backend.releases import TABLE_HAS_ENDPOINT, TABLE_SHIFT_CLAMPED
from fuseguard.backend.table_codes import NO_ERROR, TableError, worst_error
from fuseguard.backend.value_range import reach_on
from fuseguard.ir.graph import Node
from fuseguard.ir.intervals import Codes
from fuseguard.ir.scalar_functions import parameters_of
from fuseguard.ir.view import View
from fuseguard.target import Target


def has_table(node: Node, target: Target) -> bool:
    """Whether a quantized op becomes a lookup table: sqrt and logit stay on the CPU, and sign is decomposed (DT514)."""
    return node.kind in TABLE_OPS and not is_unlisted(node, target)


def table_error(view: View, node: Node, target: Target) -> TableError:
    """By how much a table op between two int16 domains is off on a target, at codes that it can be given.

    No error for any other op, nor for a unary op that has no table.
    """
    if not has_table(node, target):
        return NO_ERROR
    data, out = view.in_qp(node, 0), view.out_qp(node)
    if data is None or out is None or not (data.usable and out.usable):
        return NO_ERROR
    if (data.dtype, out.dtype) != ("int16", "int16"):
        return NO_ERROR
    fixed = TABLE_HAS_ENDPOINT.in_force(target), TABLE_SHIFT_CLAMPED.in_force(target)
    return error_of(view, node, target, *fixed)


def error_of(view: View, node: Node, target: Target, endpoint: bool, shift_clamped: bool) -> TableError:
    """The same with the table that a release would make (see :func:`worst_error`); the op must be one of int16."""
    data, out = view.in_qp(node, 0), view.out_qp(node)
    if data is None or out is None:
        return NO_ERROR
    given = node.kind, data, out, parameters_of(node)
    error = worst_error(*given, endpoint=endpoint, shift_clamped=shift_clamped)
    codes = codes_read(view, node, target) if error.steps else None
    if codes is None:
        return error
    reached = worst_error(*given, codes, endpoint=endpoint, shift_clamped=shift_clamped)
    # What is tolerable of the whole table is so of a part of it.
    return TableError(reached.steps, error.largest) if error.tolerable else reached


def codes_read(view: View, node: Node, target: Target) -> Codes | None:
    """The least and the greatest code that a unary op reads on a target; None if its operand is not a usable DQ."""
    dq = view.in_dq(node, 0)
    return reach_on(view, target).codes(dq) if dq is not None else None
