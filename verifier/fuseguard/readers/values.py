"""Values of torch.export's JSON, each checked for its type: values that do not follow the schema are refused."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from fuseguard.ir.graph import Arg
from fuseguard.readers.schema import MalformedProgram

# torch's integers have 64 bits; Python's would cost memory and time without bound.
MAX_INTEGER = 2**64

# JSON has no such numbers; torch writes these words (_dataclass_to_dict).
_WORDS = {"Infinity": float("inf"), "-Infinity": float("-inf"), "NaN": float("nan")}
_ANNOTATION_KEY = "_arm_annotation_info"


def only(union: Any) -> tuple[str, Any]:
    """The key and value of a union, which the schema writes as an object with one key."""
    if type(union) is not dict or len(union) != 1:
        raise MalformedProgram("an argument is not an object with exactly one key")
    [(key, value)] = union.items()
    return key, value


def text_of(value: Any, key: str) -> str:
    text = value.get(key) if type(value) is dict else None
    if type(text) is not str or not text:
        raise MalformedProgram(f"an argument or output has no {key!r} that is text")
    return text


def items_of(value: Any) -> list[Any]:
    if type(value) is not list:
        raise MalformedProgram(f"a list is expected, not {type(value).__name__}")
    return value


def integer(value: Any) -> int:
    if type(value) is not int or not -MAX_INTEGER < value < MAX_INTEGER:
        raise MalformedProgram(f"an integer of 64 bits is expected, not {type(value).__name__}")
    return value


def literal(key: str, value: Any) -> Arg:
    if key == "as_float":
        if isinstance(value, str) and value in _WORDS:
            return _WORDS[value]
        return value if isinstance(value, float) else float(integer(value))
    if key == "as_int":
        return integer(value)
    if key == "as_none":
        return None
    if (key == "as_bool" and isinstance(value, bool)) or (key == "as_string" and isinstance(value, str)):
        return value
    raise MalformedProgram(f"a {key!r} argument is {type(value).__name__}")


class _Annotation(msgspec.Struct):
    quantized: bool | int | None = None


class _Custom(msgspec.Struct):
    annotation: _Annotation | None = msgspec.field(default=None, name=_ANNOTATION_KEY)


@lru_cache(maxsize=256)
def annotated(custom: str) -> bool:
    """``_arm_annotation_info.quantized`` of a node's custom metadata, which is JSON within the JSON."""
    if _ANNOTATION_KEY not in custom:
        return False
    try:
        info = msgspec.json.decode(custom, type=_Custom).annotation
    except (ValueError, RecursionError):  # UnicodeError is a ValueError
        return False  # users may put anything there
    return info is not None and bool(info.quantized)
