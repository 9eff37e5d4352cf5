"""Quantizing as the selftest does it, under the name that tests use."""

from __future__ import annotations

from fuseguard.executorch.quantizing import CONFIGS, quantize

__all__ = ["CONFIGS", "quantize"]
