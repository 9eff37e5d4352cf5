"""The ops that a placement leaves on the CPU, for the page: read from the JSON of ``fuseguard placement``.

A placement needs torch and a trusted file. Its JSON does not, so that ``fuseguard view`` can mark its ops without both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

#: (control-flow body, node) -> why it is on the CPU.
PlacedOps: TypeAlias = "Mapping[tuple[str, str], str]"

_MOST_OPS = 60_000  # no page has more nodes
_LONGEST = 600  # characters of an op's reasons


def placed_ops(document: Any) -> dict[tuple[str, str], str]:
    """The ops outside of the delegates, and those that Vela refuses, by their names in the exported program and in the
    edge program. Quantize and dequantize ops are left out.

    Raises ValueError for what is not the JSON of a placement.
    """
    left_out = document.get("left_out") if isinstance(document, dict) else None
    vela = document.get("vela") if isinstance(document, dict) else None
    if not isinstance(left_out, list):
        raise ValueError("it has no 'left_out'")
    refused = vela.get("ops") if isinstance(vela, dict) else None
    found: dict[tuple[str, str], str] = {}
    for item in [*left_out, *(refused if isinstance(refused, list) else [])][:_MOST_OPS]:
        if not isinstance(item, dict) or not isinstance(item.get("reasons"), list):
            raise ValueError("an op of it has no 'reasons'")
        if item.get("quantizer"):
            continue
        text = "; ".join(_reason(reason) for reason in item["reasons"])[:_LONGEST]
        for key in ("before", "node"):
            if item.get(key):
                found[str(item.get("graph") or ""), str(item[key])] = text
    return found


def _reason(reason: Any) -> str:
    if not isinstance(reason, dict):
        raise ValueError("a reason of it is not an object")
    return f"{reason.get('check') or reason.get('kind')}: {reason.get('text')}"
