"""JSON Schemas of what fuseguard writes, as files in this folder.

``check.schema.json`` holds the definitions of all of them; documents differ in the definition that they start with.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

#: Name of a schema -> the definition that its document is, or for json-lines each of its lines. The first two are
#: formats of ``fuseguard check``, the next ones commands with ``--output-format json``, the last one is a file.
SCHEMAS: dict[str, str] = {
    "json": "report", "json-lines": "record", "upgrade-check": "upgrade", "diff": "difference", "prove": "proof",
    "doctor": "engines", "inspect": "inspection", "why-not": "whynot",
    "placement": "placement",
    "recording": "recording",
}  # fmt: skip


def load_schema(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) called ``name`` in SCHEMAS. Raises KeyError for another one."""
    definition = SCHEMAS[name]
    text = resources.files(__name__).joinpath("check.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return {**schema, "title": f"fuseguard {_written_by(name)}", "$ref": f"#/$defs/{definition}"}


def _written_by(name: str) -> str:
    """The command that writes such a document."""
    if name == "recording":
        return "selftest --record"
    command, form = ("check", name) if name.startswith("json") else (name, "json")
    return f"{command} --output-format {form}"
