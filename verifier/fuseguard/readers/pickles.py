"""Says what a pickle would call, from its opcodes alone (``pickletools.genops``, which runs none of them).

A pickle is a program. It can call the globals that it names; those that rebuild plain tensors are known. Everything
else is reported: other globals, opcodes whose effect is not in the pickle itself, and pickles that cannot be analysed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# A tensor takes about 200 bytes, and opcodes are read at some MB a second.
MAX_PICKLE_BYTES = 512 * 1024
# Distinct ones that are reported.
_MOST = 8

_STORAGES = (
    "BFloat16", "Bool", "Byte", "Char", "ComplexDouble", "ComplexFloat", "Double", "Float", "Half", "Int", "Long",
    "QInt32", "QInt8", "QUInt2x4", "QUInt4x2", "QUInt8", "Short",
)  # fmt: skip
_DTYPES = (
    "bfloat16", "bool", "complex128", "complex32", "complex64", "float16", "float32", "float64", "float8_e4m3fn",
    "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "int16", "int32", "int64", "int8", "uint16", "uint32",
    "uint64", "uint8",
)  # fmt: skip
_CONTAINERS = ("bool", "complex", "dict", "float", "frozenset", "int", "list", "set", "str", "tuple")
#: Module and name of what rebuilds plain tensors and containers. torch itself lets its restricted loader call each of
#: those of tensors (torch/_weights_only_unpickler.py), and none runs anything that a pickle hands it.
TENSOR_GLOBALS = frozenset({
    *(("torch", f"{storage}Storage") for storage in _STORAGES), *(("torch", dtype) for dtype in _DTYPES),
    ("torch.storage", "UntypedStorage"), ("torch", "Size"), ("torch", "device"), ("torch.serialization", "_get_layout"),
    ("torch._utils", "_rebuild_tensor"), ("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor_v3"),
    ("torch._utils", "_rebuild_parameter"), ("torch._utils", "_rebuild_sparse_tensor"),
    ("torch._utils", "_rebuild_meta_tensor_no_storage"), ("torch._utils", "_rebuild_qtensor"),
    ("torch", "per_tensor_affine"), ("torch", "per_channel_affine"),
    ("torch.nn.parameter", "Parameter"), ("collections", "OrderedDict"), ("collections", "defaultdict"),
    *((module, name) for module in ("builtins", "__builtin__") for name in _CONTAINERS),
})  # fmt: skip

_TEXT = ("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8")
_GET = ("GET", "BINGET", "LONG_BINGET")
_PUT = ("PUT", "BINPUT", "LONG_BINPUT")


def beyond_tensors(data: bytes, longest: int = MAX_PICKLE_BYTES) -> list[str]:
    """What a pickle may call besides what rebuilds tensors, as words; empty for one of plain tensors and containers.

    A pickle of more than ``longest`` bytes is not looked through, and is not passed either.
    """
    if len(data) > longest:
        return [f"a pickle of {len(data):,} bytes, which is too long to analyse"]
    found: dict[str, None] = {}
    try:
        for item in _calls(data):
            found[item] = None
            if len(found) > _MOST:
                break
    except Exception as error:  # ValueError and UnicodeError of genops; whatever else it is, the pickle is not known
        found[f"a pickle that cannot be analysed ({type(error).__name__})"] = None
    return list(found)


def _calls(data: bytes) -> Iterator[str]:
    import pickletools  # its parser alone is used, and only where there is a pickle

    memo: dict[int, str | None] = {}
    # What the latest opcodes pushed, where it is text. None stands for anything else.
    pushed: list[str | None] = [None, None]
    for opcode, argument, _ in pickletools.genops(data):
        name = opcode.name
        if name in ("GLOBAL", "INST"):
            module, _, attribute = str(argument).partition(" ")
            yield from _unknown(module, attribute)
        elif name == "STACK_GLOBAL":
            if pushed[-2] is None or pushed[-1] is None:
                yield "a global whose name is computed while loading"
            else:
                yield from _unknown(pushed[-2], pushed[-1])
        elif name in ("EXT1", "EXT2", "EXT4"):
            yield f"the registered extension {argument}"
        if name in _PUT or name == "MEMOIZE":
            memo[len(memo) if name == "MEMOIZE" else int(argument or 0)] = pushed[-1]
        elif name in _TEXT:
            pushed = [pushed[-1], str(argument)]
        elif name in _GET:
            pushed = [pushed[-1], memo.get(int(argument or 0))]
        elif name not in ("FRAME", "PROTO"):
            pushed = [None, None]  # whatever it did to the stack, the text is not known to be on top any more


def _unknown(module: str, name: str) -> Iterator[str]:
    if (module, name) not in TENSOR_GLOBALS:
        yield f"{module}.{name}"


_SERIALIZED = re.compile(r"data\.pkl|byteorder|version|\.format_version|\.storage_alignment|\.data/serialization_id")


def is_tensor_record(name: str) -> bool:
    """Whether ``torch.save`` writes a record of this name, below the root of its archive, for plain tensors."""
    return _SERIALIZED.fullmatch(name) is not None or (name.startswith("data/") and name[5:].isdigit())
