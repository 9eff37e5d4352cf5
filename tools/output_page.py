"""The reference of the machine-readable output, made from the JSON Schemas that are in the package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fuseguard.schemas import SCHEMAS, load_schema
from rule_pages import prose

Schema = Mapping[str, Any]


def output_page() -> str:
    """Every schema as tables of its keys, in Markdown."""
    lines = [
        "# JSON", "",
        "The JSON that `fuseguard check`, `upgrade-check`, `diff`, `prove` and `selftest --record` write. `fuseguard "
        "schema NAME` prints the JSON Schema that this page is made from. Within one major `schema_version`, keys are "
        "only added, so a reader must ignore keys that it does not know.", "",
    ]  # fmt: skip
    parts: dict[str, Schema] = {}
    for name, root in SCHEMAS.items():
        parts = dict(load_schema(name)["$defs"])
        lines += [f"## {name}", "", *_definition("document", parts[root])]
    lines += ["## Parts", ""]
    for name in sorted(set(parts) - set(SCHEMAS.values())):
        lines += _definition(name, parts[name])
    return "\n".join(lines)


def _definition(name: str, schema: Schema) -> Iterator[str]:
    tables = list(_parts(name, schema))
    if not tables or tables[0][0] != name:
        yield from (f"### {prose(name)}", "", *([prose(schema["description"]), ""] if "description" in schema else []))
        if not tables:
            yield from (f"{_type(schema)}.", "")
    for title, part in tables:
        yield from _table(title, part)


def _parts(name: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    """The schema if it has keys, and whatever in it has keys of its own."""
    if "properties" in schema:
        kind = schema["properties"].get("type", {}).get("const", "")
        yield f"{name} of type {kind}" if kind else name, schema
        for key, value in schema["properties"].items():
            yield from _parts(f"{name}.{key}", value)
    if isinstance(schema.get("items"), Mapping):
        yield from _parts(f"{name}[]", schema["items"])
    for way in ("oneOf", "anyOf", "allOf"):
        for choice in schema.get(way, ()):
            yield from _parts(name, choice)


def _table(title: str, schema: Schema) -> Iterator[str]:
    yield from (f"### {prose(title)}", "")
    if schema.get("description"):
        yield from (prose(schema["description"]), "")
    shared = [_type(part) for part in schema.get("allOf", ()) if "$ref" in part]
    if shared:
        yield from (f"All keys of {', '.join(shared)}, and:", "")
    yield from ("| key | type | meaning |", "| --- | --- | --- |")
    required = schema.get("required", ())
    for key, value in schema["properties"].items():
        optional = "" if key in required else " (optional)"
        yield f"| `{key}`{optional} | {_type(value)} | {prose(value.get('description', ''))} |"
    yield ""


def _type(schema: Schema) -> str:
    """The type in words, for a table cell."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name})"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    for way in ("oneOf", "anyOf"):
        if way in schema:
            return " or ".join(_type(choice) for choice in schema[way])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"array of {_type(schema.get('items', {}))}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)
