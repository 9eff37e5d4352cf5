"""JSON Schemas of what ``fuseguard check`` writes, as files in this folder.

``check.schema.json`` holds the definitions of all of them; documents differ in the definition that they start with.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

#: Format of ``fuseguard check`` -> the definition that its document is, or for json-lines each of its lines.
SCHEMAS: dict[str, str] = {"json": "report", "json-lines": "record"}


def load_schema(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a format in SCHEMAS. Raises KeyError for another one."""
    text = resources.files(__name__).joinpath("check.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return {**schema, "title": f"fuseguard check --output-format {name}", "$ref": f"#/$defs/{SCHEMAS[name]}"}
