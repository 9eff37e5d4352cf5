"""Asks what kind of function an expression is, by computing it on every code that it can be given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fuseguard.executorch.all_inputs.forms import Array, Elements, Expressions, Unsupported, groups

#: Given the table and an expression of one operand: its values on all codes of the operand, and these codes.
OnAllCodes = Callable[[Expressions, int], tuple[Array, Array]]


def is_monotone(table: Expressions, number: int, on_all_codes: OnAllCodes) -> bool:
    """Whether an expression of one operand never falls as the code rises."""
    if table[number].key[0] == "leaf":
        return True
    values, _ = on_all_codes(table, number)
    return bool((np.diff(values.reshape(-1).astype(np.float64)) >= 0).all())


def affine_codes(
    table: Expressions, elements: Elements, on_all_codes: OnAllCodes, zero_point: int
) -> tuple[Array, int, int, Any]:
    """What ``value - zero_point`` is a multiple of: ``factor * (code - zero)``.

    Yields the operand's element for each of ``elements`` (-1 where the value is ``zero_point`` itself, as a padding
    is), the factor, the zero and the operand's number. Raises Unsupported if the elements are anything else.
    """
    taps = np.full(elements.exprs.size, -1, np.int64)
    found: set[tuple[int, int, Any]] = set()
    for row, where in groups([elements.exprs.reshape(-1)]):
        expr = table[int(row[0])]
        if not expr.kinds:
            if expr.key[0] != "const" or expr.key[2] != zero_point:
                raise Unsupported("a sum has a constant in it")
            continue
        if len(expr.kinds) != 1 or isinstance(expr.kinds[0], tuple):
            raise Unsupported("a sum of values that each come from several elements")
        if expr.key[0] == "leaf":
            factor, zero = 1, zero_point
        else:
            values, codes = on_all_codes(table, int(row[0]))
            values = values.reshape(-1).astype(np.int64) - zero_point
            factor = int(values[1] - values[0])
            if factor == 0 or not np.array_equal(np.diff(values), factor * np.diff(codes.astype(np.int64))):
                raise Unsupported("a sum of values that are not linear in their codes")
            offset = factor * int(codes[0]) - int(values[0])
            if offset % factor:
                raise Unsupported("a sum of values whose zero is between two codes")
            zero = offset // factor
        taps[where] = elements.leaves[0].reshape(-1)[where]
        found.add((factor, zero, expr.kinds[0]))
    if len(found) != 1:
        raise Unsupported("a sum of values with several scales")
    ((factor, zero, kind),) = found
    return taps.reshape(elements.shape), factor, zero, kind
