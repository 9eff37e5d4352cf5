"""Dequantizes a value when it is read: a program may do so long before, once for each reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from fuseguard.executorch.interpreter import BodyInterpreter


@dataclass(frozen=True)
class _Deferred:
    """``compute`` holds codes, which are smaller than what they stand for."""

    compute: Callable[[], Any]


class Deferring(BodyInterpreter):
    """Yields the same values as the interpreter that it is mixed into. Read ``env`` through :meth:`value_of` alone."""

    def run_node(self, n: torch.fx.Node) -> Any:
        if n.op == "call_function" and "dequantize_per_" in str(n.target):
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            return _Deferred(partial(self.call_function, n.target, args, kwargs))
        return super().run_node(n)

    def fetch_args_kwargs_from_env(self, n: torch.fx.Node) -> tuple[tuple[Any, ...], dict[str, Any]]:
        for item in n.all_input_nodes:
            self.value_of(item)
        return super().fetch_args_kwargs_from_env(n)

    def value_of(self, node: torch.fx.Node) -> Any:
        """What a node has yielded. All readers get one tensor: an op may write to it."""
        value = self.env[node]
        if isinstance(value, _Deferred):
            value = self.env[node] = value.compute()
        return value
