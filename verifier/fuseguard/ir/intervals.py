"""Interval arithmetic on the values of a quantized program, sound for what torch computes in float32.

A range holds whatever number a value can be, after float32 roundings. NaN is not a number, and no code stands for
it: a quantize op's result for it is undefined. Where an op may have no value for a number, its range is
:data:`ANYTHING`.
"""

from __future__ import annotations

import math
from typing import TypeAlias

from fuseguard.ir.qparams import SMALLEST_NORMAL, QParams
from fuseguard.ir.scalar_functions import DOMAINS, FALLING_FROM_ZERO, FUNCTIONS, INCREASING, value_of

#: The least and the greatest value, both included.
Range: TypeAlias = tuple[float, float]
#: The least and the greatest code, both included.
Codes: TypeAlias = tuple[int, int]

ANYTHING: Range = (-math.inf, math.inf)

#: The image of functions that are bounded on one side at least: what they yield at most, whatever they are given.
IMAGES: dict[str, Range] = {
    "sigmoid": (0.0, 1.0), "hardsigmoid": (0.0, 1.0), "softmax": (0.0, 1.0), "tanh": (-1.0, 1.0), "erf": (-1.0, 1.0),
    "sin": (-1.0, 1.0), "cos": (-1.0, 1.0), "sign": (-1.0, 1.0), "atan": (-math.pi / 2, math.pi / 2),
    "asin": (-math.pi / 2, math.pi / 2), "acos": (0.0, math.pi), "exp": (0.0, math.inf), "sqrt": (0.0, math.inf),
    "rsqrt": (0.0, math.inf), "cosh": (1.0, math.inf),
}  # fmt: skip

#: Kinds that :func:`arithmetic` knows, by the number of their operands.
OPERANDS = {"add": 2, "sub": 2, "mul": 2, "maximum": 2, "minimum": 2, "neg": 1, "abs": 1}

#: A few roundings of float32 (2^-24 each), of DQ, of an op and of Q, relative to the operands.
_ROUNDING = 2.0**-20
#: Just below the largest float32.
_LARGEST = 2.0**127


def arithmetic(kind: str, first: Range, second: Range) -> Range:
    """The range of an elementwise operation on two ranges, or, for ``neg`` and ``abs``, on the first one.

    Raises KeyError for a kind that has no interval arithmetic here.
    """
    if kind == "add":
        return _sum(first[0], second[0], -1), _sum(first[1], second[1], 1)
    if kind == "sub":
        return _sum(first[0], -second[1], -1), _sum(first[1], -second[0], 1)
    if kind == "mul":
        if _times_infinity(first, second) or _times_infinity(second, first):
            return ANYTHING
        corners = [a * b for a in first for b in second]
        return min(corners), max(corners)
    if kind == "neg":
        return -first[1], -first[0]
    if kind == "abs":
        return max(first[0], -first[1], 0.0), max(abs(first[0]), abs(first[1]))
    pick = {"maximum": max, "minimum": min}[kind]
    return pick(first[0], second[0]), pick(first[1], second[1])


def square(values: Range) -> Range:
    """The range of a value times itself."""
    least, most = arithmetic("abs", values, values)
    return least * least, most * most


def summed(terms: int, values: Range) -> Range:
    """The range of the sum of so many values of one range. A sum in float32 rounds once a term."""
    low, high = terms * values[0], terms * values[1]
    return (
        low - terms * _ROUNDING * abs(low) if math.isfinite(low) else low,
        high + terms * _ROUNDING * abs(high) if math.isfinite(high) else high,
    )


def image(kind: str, values: Range, parameters: tuple[float, ...] = ()) -> Range:
    """The range of a scalar function (``FUNCTIONS``) on a range; ``parameters`` are its further numbers.

    ANYTHING where the function is not known or may have no value.
    """
    if kind == "pow":
        return _power(values, parameters[0]) if len(parameters) == 1 else ANYTHING
    least, most = DOMAINS.get(kind, ANYTHING)
    if parameters or values[0] < least or values[1] > most:
        return ANYTHING
    low, high = values
    # Float32 may put a value beyond an end of the domain; 0 is 0 in any format.
    if (least and low * (1 - math.copysign(_ROUNDING, low)) < least) or high * (1 + _ROUNDING) > most:
        return ANYTHING
    if kind in FALLING_FROM_ZERO:
        # At -0.0, which an op may yield for 0, it is minus infinity.
        return (_at(kind, high), _at(kind, low)) if low > 0 else ANYTHING
    whole = IMAGES.get(kind, ANYTHING)
    if kind not in INCREASING:
        return whole
    # An argument that is off by a rounding may be on the other side of a step.
    low -= abs(low) * _ROUNDING
    high += abs(high) * _ROUNDING
    first = -math.inf if least == 0 and low <= 0 and kind != "sqrt" else _at(kind, low)
    # Functions of float32 may be off by a few roundings.
    found = _sum(first, 0.0, -1), _sum(_at(kind, high), 0.0, 1)
    return max(whole[0], found[0]), min(whole[1], found[1])


def in_float32(values: Range) -> Range:
    """What float32 makes of a range: what is too large is infinite, what is too small may be 0."""
    low, high = values
    return (
        -math.inf if low < -_LARGEST else (0.0 if 0 < low < SMALLEST_NORMAL else min(low, _LARGEST)),
        math.inf if high > _LARGEST else (0.0 if -SMALLEST_NORMAL < high < 0 else max(high, -_LARGEST)),
    )


def quantized(values: Range, qparams: QParams) -> Codes:
    """The codes that a quantize op makes of a range, by usable qparams. NaN counts as anything."""
    low, high = ANYTHING if any(map(math.isnan, values)) else values
    if math.isfinite(low):
        low -= abs(low) * _ROUNDING
    if math.isfinite(high):
        high += abs(high) * _ROUNDING
    return qparams.quantize(low), qparams.quantize(high)


def _sum(one: float, other: float, outwards: int) -> float:
    """One end of a sum, moved outwards by what its operands and itself may be rounded."""
    total = one + other
    if math.isnan(total):
        return math.inf * outwards
    return total + outwards * _ROUNDING * max(abs(one), abs(other)) if math.isfinite(total) else total


def _times_infinity(zero: Range, infinite: Range) -> bool:
    return zero[0] <= 0 <= zero[1] and (math.isinf(infinite[0]) or math.isinf(infinite[1]))


def _at(kind: str, argument: float) -> float:
    if math.isinf(argument):
        return _AT_INFINITY.get(kind, math.nan) if argument > 0 else _at_minus_infinity(kind)
    return value_of(FUNCTIONS[kind], argument, ())


_AT_INFINITY = {
    "asinh": math.inf, "atan": math.pi / 2, "ceil": math.inf, "erf": 1.0, "exp": math.inf, "expm1": math.inf,
    "floor": math.inf, "hardsigmoid": 1.0, "log": math.inf, "log10": math.inf, "log1p": math.inf, "round": math.inf,
    "sigmoid": 1.0, "sign": 1.0, "sinh": math.inf, "sqrt": math.inf, "tanh": 1.0, "reciprocal": 0.0, "rsqrt": 0.0,
}  # fmt: skip


def _at_minus_infinity(kind: str) -> float:
    return {"exp": 0.0, "expm1": -1.0, "sigmoid": 0.0, "hardsigmoid": 0.0}.get(kind, -_AT_INFINITY.get(kind, math.nan))


def _power(values: Range, exponent: float) -> Range:
    if exponent == 2:
        return square(values)
    if values[0] < 0 or exponent == 0 or (exponent < 0 and values[0] == 0):
        return ANYTHING
    ends = _raised(values[0], exponent), _raised(values[1], exponent)
    low, high = min(ends), max(ends)
    # The exponent amplifies what an argument is rounded by.
    slack = _ROUNDING * (1 + abs(exponent))
    return (
        low - slack * abs(low) if math.isfinite(low) else low,
        high + slack * abs(high) if math.isfinite(high) else high,
    )


def _raised(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf
