"""An FX interpreter that steps into the bodies of control flow, which torch would run as they are."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule
from torch.utils import _pytree as pytree


class BodyInterpreter(torch.fx.Interpreter):
    """Runs the bodies of cond and while_loop by an interpreter of its own kind (``of_body``)."""

    def of_body(self, module: GraphModule) -> torch.fx.Interpreter:
        """The interpreter for one body; subclasses with state of their own hand it on here."""
        return type(self)(module)

    def between_rounds(self, carried: Any) -> Any:
        """What the next round of a loop is given for what the last one yielded."""
        return carried

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = str(target)
        if name == "aten._assert_tensor_metadata.default":
            return None  # to_edge removes it, and a run in float64 has another dtype than it asks for
        if name == "cond":
            predicate, if_true, if_false, *operands = args
            return self.of_body(if_true if bool(predicate) else if_false).run(*(operands[0] if operands else ()))
        if name == "while_loop":
            condition, body, carried, *additional = args
            extra = additional[0] if additional else ()
            while bool(pytree.tree_leaves(self.of_body(condition).run(*carried, *extra))[0]):
                carried = self.between_rounds(self.of_body(body).run(*carried, *extra))
            return carried
        return super().call_function(target, args, kwargs)
