"""Which functions a delegate computes by another formula than torch's, and where that formula is off.

Source: ``DecomposeExpm1Pass``, ``ConvertELUParamsPass``, ``DecomposeEluPass``, ``DecomposeLog1pPass``,
``DecomposeAtanPass``, ``DecomposeAsinAndAcosPass``, ``DecomposeAsinhPass`` and ``InsertTableOpsPass`` of ExecuTorch
1.2.0, 1.3.1, 1.4.1 and 1.5.1. TOSA has none of these functions. A quantized op becomes a lookup table, which holds the
function itself; the passes replace the others, in a delegate with floats. ConvertELUParamsPass takes an elu for
quantized that reads a DQ, and gives it other numbers: 1, 1 and 2. It keeps the right ones for the table alone. 1.2
keeps alpha alone, without its fraction.

Rules that depend on it: DT512.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import NamedTuple

from fuseguard.backend.partition import stays_outside
from fuseguard.backend.releases import SCALES_ELU
from fuseguard.backend.value_range import reach_on
from fuseguard.engine.effort import MAX_ITEMS, work
from fuseguard.ir import Node, QParams, View
from fuseguard.ir.intervals import ANYTHING, Range
from fuseguard.ir.scalar_functions import FUNCTIONS, value_of
from fuseguard.target import Target

#: How far a result may be from torch's, relative to it, by dtype: what its arithmetic rounds on the way is less.
_TOLERANCES = {"float32": 1e-5, "float16": 2.0**-9}
#: Arguments that are tried, where the program does not say which ones there are.
_TRIED = 512
#: How far from 0 they are, if they may be any.
_FAR = 4.0
#: alpha, scale and input_scale of an elu.
_Numbers = tuple[float, float, float]
#: SELU's own numbers.
_SELU = (1.6732632423543772, 1.0507009873554805, 1.0)

_ASIN_NUMERATOR = (1.6666667163e-01, -3.2556581497e-01, 2.0121252537e-01, -4.0055535734e-02, 7.9153501429e-04)
_ASIN_DENOMINATOR = (1.0, -2.4033949375, 2.0209457874, -6.8828397989e-01)


class Formula(NamedTuple):
    """A function of a float: torch's, and what a delegate computes in place of it.

    ``case`` is the kind of function. ``within``: the two are the same outside of this interval.
    """

    case: str
    torch: Callable[[float], float]
    lowered: Callable[[float], float]
    within: Range


class Witness(NamedTuple):
    """An argument at which a delegate is off, and what torch and the delegate yield there."""

    case: str
    argument: float
    torch: float
    lowered: float


def misevaluated(view: View, node: Node, target: Target) -> Witness | None:
    """Where an op is furthest off in a delegate; None if it is right, or stays on the CPU where floats are lowered.

    Without float support an op of floats stays on the CPU, and the answer is what a delegate with floats would yield.
    Raises TooMuchWork when a program has more different functions than are worked out.
    """
    data = view.producer(node)
    if node.meta is None or node.meta.dtype not in _TOLERANCES or data is None or data.meta is None:
        return None
    if data.meta.dtype != node.meta.dtype:
        return None
    formula = _table(view, node, data, target) if node.annotated else _formula(view, node, data, target)
    if formula is None or (target.has_float and stays_outside(view, node, target)):
        return None
    out = view.out_qp(node) if node.annotated else None
    question = (formula, _tried(view, data, target, formula.within), out if out is not None and out.usable else None)
    work((*question, node.meta.dtype))
    return _furthest(*question, node.meta.dtype)


def _formula(view: View, node: Node, data: Node, target: Target) -> Formula | None:
    """What is computed of an op of floats."""
    operator = node.operator.removesuffix("_")
    if operator in ("elu", "celu", "selu"):
        return _elu(view, node, data, target)
    return _FORMULAS.get(operator)


def _elu(view: View, node: Node, data: Node, target: Target) -> Formula | None:
    """The formula of one of the ELU family in float; None if its numbers are not known."""
    operator, numbers = node.operator.removesuffix("_"), _numbers_of_elu(node)
    if numbers is None:
        return None
    scaled = SCALES_ELU.in_force(target)
    if operator == "celu" and not scaled:
        used = numbers  # the edge dialect has expm1 for it
    elif view.is_dq(data):
        used = (1.0, 1.0, 2.0) if scaled else (1.0, 1.0, 1.0)
    else:
        used = numbers if scaled else (numbers[0], 1.0, 1.0)
    within = (-0.35 / used[2], 0.0) if used == numbers and used[2] > 0 else ANYTHING
    case = "numbers" if used != numbers and view.is_dq(data) else "elu"
    return _elu_formula(case, numbers, used, _expm1, within)


def _table(view: View, node: Node, data: Node, target: Target) -> Formula | None:
    """What the table of a quantized op holds; None if that is the function."""
    numbers = _numbers_of_elu(node) if node.operator.removesuffix("_") in ("elu", "selu") else None
    if numbers is None or SCALES_ELU.in_force(target) or not view.is_dq(data) or view.out_qp(node) is None:
        return None
    used = (float(int(numbers[0])), 1.0, 1.0)
    return _elu_formula("table", numbers, used, math.expm1, ANYTHING)


@lru_cache(maxsize=256)  # one object for what is the same formula, so that it is worked out once
def _elu_formula(
    case: str, numbers: _Numbers, used: _Numbers, expm1: Callable[[float], float], within: Range
) -> Formula:
    return Formula(case, partial(_elu_of, numbers, math.expm1), partial(_elu_of, used, expm1), within)


def _numbers_of_elu(node: Node) -> _Numbers | None:
    """alpha, scale and input_scale of the ``elu`` that the op stands for."""
    operator = node.operator.removesuffix("_")
    if operator == "selu":
        return _SELU
    alpha, scale, input_scale = node.arg(1, "alpha", 1.0), node.arg(2, "scale", 1.0), node.arg(3, "input_scale", 1.0)
    if not (isinstance(alpha, int | float) and isinstance(scale, int | float) and isinstance(input_scale, int | float)):
        return None
    if operator == "celu":
        return (float(alpha), 1.0, 1.0 / alpha) if alpha else None
    return float(alpha), float(scale), float(input_scale)


def _elu_of(numbers: _Numbers, expm1: Callable[[float], float], x: float) -> float:
    alpha, scale, input_scale = numbers
    if x > 0:
        return scale * x
    return scale * alpha * expm1(x * input_scale) if alpha else 0.0


def _expm1(x: float) -> float:
    """Four terms of the series near 0."""
    return x + x**2 / 2 + x**3 / 6 + x**4 / 24 if abs(x) <= 0.35 else math.exp(x) - 1


def _log1p(x: float) -> float:
    """Six terms of the series for all that is not greater than 0.001, negative numbers of any size included."""
    if x > 1e-3:
        return math.log(1 + x)
    return x - x**2 / 2 + x**3 / 3 - x**4 / 4 + x**5 / 5 - x**6 / 6


def _atan(x: float) -> float:
    """A quotient of polynomials for |x| <= 1, and by 1/x beyond."""
    size = abs(x)
    z = 1 / size if size > 1 else size
    inner = z * (1 + 0.3529666667 * z**2 - 0.0287666667 * z**4) / (1 + 0.6863 * z**2)
    return math.copysign(math.pi / 2 - inner if size > 1 else inner, x)


def _asin(x: float) -> float:
    """A quotient of polynomials that is given |x| in place of its square."""
    size = abs(x)
    if size <= 0.5:
        inner = size + size**3 * _quotient(size)
    else:
        inner = math.pi / 2 - _acos_near_one(size)
    return math.copysign(inner, x)


def _acos(x: float) -> float:
    return _acos_near_one(x) if x > 0.5 else math.pi / 2 - _asin(x)


def _acos_near_one(x: float) -> float:
    z = (1 - x) / 2
    root = math.sqrt(z)
    return 2 * (root + root**3 * _quotient(z))


def _asinh(x: float) -> float:
    """log(x + sqrt(x * x + 1)) in float32: for a large negative number, the sum has few digits, or none."""
    digits = _float32(x + _float32(math.sqrt(_float32(_float32(x * x) + 1))))
    return math.log(digits) if digits > 0 else -math.inf


def _float32(x: float) -> float:
    found: float = struct.unpack("f", struct.pack("f", x))[0]
    return found


def _quotient(x: float) -> float:
    return _polynomial(_ASIN_NUMERATOR, x) / _polynomial(_ASIN_DENOMINATOR, x)


def _polynomial(coefficients: tuple[float, ...], x: float) -> float:
    """The pass squares the variable from term to term, so that the powers are 1, 2, 4, 8."""
    return sum(factor * (x ** 2 ** (place - 1) if place else 1.0) for place, factor in enumerate(coefficients))


def _log1p_of_bce(x: float) -> float:
    """What a binary cross entropy reads: log1p(-x), not less than -100."""
    return max(math.log1p(-x), -100.0) if x < 1 else -100.0


def _lowered_log1p_of_bce(x: float) -> float:
    return max(_log1p(-x), -100.0)


def _torchs(kind: str, x: float) -> float:
    return value_of(FUNCTIONS[kind], x, ())


#: By operator.
_FORMULAS = {
    "binary_cross_entropy": Formula("log1p", _log1p_of_bce, _lowered_log1p_of_bce, (0.0, 1.0)),
    "expm1": Formula("expm1", partial(_torchs, "expm1"), _expm1, (-0.35, 0.35)),
    "log1p": Formula("log1p", partial(_torchs, "log1p"), _log1p, (-math.inf, 1e-3)),
    "atan": Formula("atan", partial(_torchs, "atan"), _atan, (-2.3, 2.3)),
    "asin": Formula("asin", partial(_torchs, "asin"), _asin, (-1.0, 1.0)),
    "acos": Formula("asin", partial(_torchs, "acos"), _acos, (-1.0, 1.0)),
    "asinh": Formula("asinh", partial(_torchs, "asinh"), _asinh, (-10_000.0, -16.0)),
}


class _Tried(NamedTuple):
    """Which arguments are tried: the values of all codes from ``first`` to ``last``, or numbers spread over a range."""

    qparams: QParams | None
    first: float
    last: float

    def arguments(self, within: Range) -> Iterable[float]:
        if self.qparams is not None:
            values = map(self.qparams.dequantize, range(int(self.first), int(self.last) + 1))
            return (value for value in values if within[0] <= value <= within[1])
        if self.first > self.last:
            return ()
        return (self.first + (self.last - self.first) * place / _TRIED for place in range(_TRIED + 1))


def _tried(view: View, data: Node, target: Target, within: Range) -> _Tried:
    """Each code of a dequantized int8 value, else numbers spread over what the value can be."""
    reach = reach_on(view, target)
    qparams = view.qparams(data) if view.is_dq(data) else None
    codes = reach.codes(data)
    if qparams is not None and qparams.usable and codes and codes[1] - codes[0] < _TRIED:
        return _Tried(qparams, *codes)
    least, most = reach.of(data)
    low, high = max(least, within[0]), min(most, within[1])
    if low < _FAR and high > -_FAR and within == ANYTHING:
        low, high = max(low, -_FAR), min(high, _FAR)
    if low <= high:
        low = min(high, 0.0) - _FAR if math.isinf(low) else low
        high = max(low, 0.0) + _FAR if math.isinf(high) else high
    return _Tried(None, low, high)


@lru_cache(maxsize=2 * MAX_ITEMS)
def _furthest(formula: Formula, tried: _Tried, out: QParams | None, dtype: str) -> Witness | None:
    """The argument at which the two differ most, of those at which they differ by more than roundings.

    ``out`` are the qparams of a table's results, which differ if their codes do. An argument for which torch has a
    number is preferred.
    """
    worst, most = None, (False, 0.0)
    for argument in tried.arguments(formula.within):
        torch, lowered = formula.torch(argument), value_of(formula.lowered, argument, ())
        if lowered == torch or (math.isnan(lowered) and math.isnan(torch)):
            continue
        error = abs(lowered - torch)
        if math.isfinite(error) and not _differ(torch, lowered, out, dtype):
            continue
        rank = (math.isfinite(error), error if math.isfinite(error) else 0.0)
        if worst is None or rank > most:
            worst, most = Witness(formula.case, argument, torch, lowered), rank
    return worst


def _differ(torch: float, lowered: float, out: QParams | None, dtype: str) -> bool:
    if out is not None:
        return out.quantize(torch) != out.quantize(lowered)
    return abs(lowered - torch) > _TOLERANCES[dtype] * abs(torch)
