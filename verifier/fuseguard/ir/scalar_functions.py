"""The scalar functions that operators apply to each element, by kind of op, and where they rise or fall."""

from __future__ import annotations

import math
from collections.abc import Callable

from fuseguard.ir.graph import Node


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _hardsigmoid(x: float) -> float:
    return min(max(x + 3, 0.0), 6.0) / 6


def _sinh(x: float) -> float:
    return math.sinh(x) if abs(x) < 700 else math.copysign(math.inf, x)


def _elu(x: float, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> float:
    return scale * (x if x > 0 else alpha * math.expm1(x * input_scale))


#: The functions by kind of op, of the value and the numbers among the op's further arguments. At 0 they are as
#: infinite as torch's. What is not here is not known.
FUNCTIONS: dict[str, Callable[..., float]] = {
    "acos": math.acos,
    "acosh": math.acosh,
    "asin": math.asin,
    "asinh": math.asinh,
    "atan": math.atan,
    "atanh": math.atanh,
    "ceil": math.ceil,
    "cos": math.cos,
    "cosh": math.cosh,
    "elu": _elu,
    "erf": math.erf,
    "exp": math.exp,
    "expm1": math.expm1,
    "floor": math.floor,
    "gelu": lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))),
    "hardsigmoid": _hardsigmoid,
    "hardswish": lambda x: x * _hardsigmoid(x),
    "leaky_relu": lambda x, slope=0.01: x if x > 0 else x * slope,
    "log": lambda x: math.log(x) if x else -math.inf,
    "log10": lambda x: math.log10(x) if x else -math.inf,
    "log1p": math.log1p,
    "pow": lambda x, exponent: math.pow(x, exponent) if x or exponent >= 0 else math.inf,
    "reciprocal": lambda x: 1 / x if x else math.inf,
    "remainder": lambda x, divisor: x - divisor * math.floor(x / divisor),
    "round": round,
    "rsqrt": lambda x: 1 / math.sqrt(x) if x else math.inf,
    "sigmoid": _sigmoid,
    "sign": lambda x: float((x > 0) - (x < 0)),
    "silu": lambda x: x * _sigmoid(x),
    "sin": math.sin,
    "sinh": _sinh,
    "sqrt": math.sqrt,
    "tan": math.tan,
    "tanh": math.tanh,
}

#: Functions that never fall, wherever they have a value.
INCREASING = frozenset((
    "asin", "asinh", "atan", "ceil", "erf", "exp", "expm1", "floor", "hardsigmoid", "log", "log10", "log1p", "round",
    "sigmoid", "sign", "sinh", "sqrt", "tanh",
))  # fmt: skip

#: Functions that fall from plus infinity at 0, for numbers above 0.
FALLING_FROM_ZERO = frozenset(("reciprocal", "rsqrt"))

#: Where functions have a value that have none everywhere. At 0, log and what falls from there is infinite.
DOMAINS: dict[str, tuple[float, float]] = {
    "acos": (-1.0, 1.0), "acosh": (1.0, math.inf), "asin": (-1.0, 1.0), "atanh": (-1.0, 1.0), "log": (0.0, math.inf),
    "log10": (0.0, math.inf), "log1p": (-1.0, math.inf), "reciprocal": (0.0, math.inf), "rsqrt": (0.0, math.inf),
    "sqrt": (0.0, math.inf),
}  # fmt: skip


def value_of(function: Callable[..., float], argument: float, parameters: tuple[float, ...]) -> float:
    """One of FUNCTIONS at an argument: NaN where it has no value, infinite where that is too large."""
    try:
        return function(argument, *parameters)
    except (ValueError, ZeroDivisionError, TypeError):  # the last: without a parameter it needs
        return math.nan
    except OverflowError:
        return math.inf


def parameters_of(node: Node) -> tuple[float, ...]:
    """The numbers among a table op's arguments after the first: an exponent, a divisor, a slope."""
    return tuple(float(arg) for arg in node.args[1:] if isinstance(arg, int | float) and not isinstance(arg, bool))
