"""Tells arithmetic from other Python in the expressions that torch evaluates when it loads a file.

``sympy.sympify`` and the guards' ``exec`` evaluate any Python. What torch itself writes is arithmetic: numbers,
symbols, operators, and calls of a few functions by name. Anything else (an attribute, a string, a call of another
function or of a result) may be code. Nothing is parsed or compiled here: Python's own parser takes any amount
of memory for nested text.

Names are read as at least as long as Python reads them (``0xfopen(`` is ``0xf`` and ``open(``), so that no name of the
lists hides another one.
"""

from __future__ import annotations

import re

#: Functions that ``srepr`` of torch's expressions calls: sympy's, and those of torch/utils/_sympy/functions.py.
FUNCTIONS = frozenset({
    "Abs", "Add", "And", "BooleanFalse", "BooleanTrue", "Eq", "Equality", "ExprCondPair", "Ge", "GreaterThan", "Gt",
    "ITE", "Integer", "Le", "LessThan", "Lt", "Max", "Min", "Mul", "Ne", "Not", "Or", "Piecewise", "Pow", "Rational",
    "StrictGreaterThan", "StrictLessThan", "Tuple", "Unequality", "Xor", "acos", "asin", "atan", "ceiling", "cos",
    "cosh", "exp", "floor", "log", "sin", "sinh", "sqrt", "tan", "tanh",
    "CeilDiv", "CeilToInt", "CleanDiv", "FloatPow", "FloatTrueDiv", "FloorDiv", "FloorToInt", "Identity", "IntTrueDiv",
    "IsNonOverlappingAndDenseIndicator", "LShift", "Mod", "ModularIndexing", "PowByNatural", "PythonMod", "RShift",
    "RoundDecimal", "RoundToInt", "ToFloat", "TruncToFloat", "TruncToInt", "Where",
})  # fmt: skip
#: Functions that guards call besides (torch/utils/_sympy/printers.py, PythonPrinter).
_GUARD_FUNCTIONS = FUNCTIONS | {
    "abs", "bool", "cast_symbool_to_symint_guardless", "ceil", "float", "int", "max", "min", "round",
}  # fmt: skip

# A symbol or a float as srepr writes it; the string is a name or a number.
_TEXT_CALL = re.compile(
    r"\b(?:(?:Symbol|Dummy)\('[A-Za-z_][A-Za-z0-9_]{0,80}'|Float\('-?(?:[0-9.]{1,80}(?:e[+-]?[0-9]{1,9})?|inf|nan)')"
)
# What guards are about: an input, by its path, and its shape.
_INPUT = re.compile(
    r"""\bL(?:\['[^'"\\\n]{1,200}'\]|\["[^'"\\\n]{1,200}"\]|\[\d{1,9}\])+"""
    r"""(?:\.(?:size|stride|storage_offset)\(\)(?:\[-?\d{1,9}\])?)?(?![\w.(\[])"""
)
_MODULE_FUNCTION = re.compile(r"\b(?:math\.[a-z0-9_]+|torch\.(?:sym_|_sym_)[a-z0-9_]+)\b")
_TOKENS = re.compile(
    r"[A-Za-z_][A-Za-z0-9_]*|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.])|\*\*|//|<<|>>|[<>=!]=|[-+*/%<>=&|^~(), ]",
    re.ASCII,
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_CALL = re.compile(r"([A-Za-z0-9_.]+|\)) *\(", re.ASCII)
# Names before which a parenthesis only groups.
_OPERATORS = frozenset({"and", "or", "not"})
_KEYWORDS = frozenset({
    "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else", "except", "finally",
    "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "pass", "raise", "return", "try",
    "while", "with", "yield", "__debug__",
})  # fmt: skip


def is_arithmetic(expression: str) -> bool:
    """Whether a symbolic expression calls nothing but arithmetic. Text that is not valid Python may pass."""
    return _only(_TEXT_CALL.sub("Integer(0", expression), FUNCTIONS)


def is_guard(code: str) -> bool:
    """Whether a guard only compares the shapes of inputs, by arithmetic."""
    return _only(_MODULE_FUNCTION.sub("Abs", _INPUT.sub(" 0 ", code)), _GUARD_FUNCTIONS)


def _only(text: str, functions: frozenset[str]) -> bool:
    if _TOKENS.sub("", text):
        return False
    called = set(_CALL.findall(text))
    names = set(_NAME.findall(text))
    return called <= functions | _OPERATORS and not names & _KEYWORDS


def is_identifier(name: str) -> bool:
    """Whether ``name`` can only be a name in generated source."""
    return name.isidentifier()


def is_path(name: str) -> bool:
    """Whether a dotted name stays within the quotes that FX puts around its parts (``_format_target``)."""
    return name.isprintable() and not set(name) & set("\"'\\")
