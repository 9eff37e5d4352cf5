"""Says what torch imports when it loads a tree spec (torch/utils/_pytree.py), the JSON of how inputs are nested.

An enum among the keys of a dict is imported by its module's name, and so is the factory of a defaultdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from fuseguard.ir.value import Value
from fuseguard.readers.schema import MalformedProgram

#: Factories that are there in every process, and do nothing but make an empty container or number.
_FACTORIES = frozenset({
    *(("builtins", name) for name in ("bool", "dict", "float", "int", "list", "set", "str", "tuple")),
    ("collections", "Counter"), ("collections", "OrderedDict"), ("collections", "deque"),
})  # fmt: skip
_ENUM = "__enum__"


class Imports(Value, frozen=True):
    """Something that is imported, in words."""

    text: str


def imports_of(spec: str) -> list[Imports]:
    """What loading a tree spec imports. Raises MalformedProgram for text that is not JSON."""
    if not spec:
        return []
    found: list[Imports] = []
    for item in _objects(_decoded(spec)):
        context = item.get("context")
        if isinstance(context, str) and (_ENUM in context or "default_factory" in context or "\\" in context):
            # torch's json module may read what this decoder refuses, such as NaN.
            try:
                inner = list(_objects(_decoded(context)))
            except MalformedProgram:
                inner = []
                found.append(Imports(f"what the context {context!r} names"))
            found += [told for value in inner for told in _imports(value)]
        found += _imports(item)
    return found


def _imports(value: dict[str, Any]) -> Iterator[Imports]:
    if _ENUM in value:
        module = str(value.get("fqn")).partition(":")[0]
        yield Imports(f"the import of {module!r}, for an enum")
    factory, name = value.get("default_factory_module"), value.get("default_factory_name")
    known = isinstance(factory, str) and isinstance(name, str) and (factory, name) in _FACTORIES
    if (factory is not None or name is not None) and not known:
        yield Imports(f"the import of {factory!r}, for the factory {name!r}")


def keywords_of(spec: str) -> list[str]:
    """The names of keyword arguments, which FX pastes into the head of the generated function (``_get_codegen``)."""
    if not spec:
        return []
    match _decoded(spec):
        case [_, {"children_spec": [_, {"context": str(context)}]}]:
            try:
                keys = _decoded(context)
            except MalformedProgram:
                return [context]  # whatever it is, no list of names
            # list.extend takes a list's items, an object's keys and a text's characters.
            return [key for key in keys if isinstance(key, str)] if isinstance(keys, list | dict | str) else []
    return []


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise MalformedProgram(f"a tree spec: {error}") from error


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object of a value, however deep."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield item
            pending += item.values()
        elif isinstance(item, list):
            pending += item
