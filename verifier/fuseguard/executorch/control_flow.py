"""Control flow for interpreters of FX graphs: torch runs the bodies of cond and while_loop itself, as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

#: Runs one body on its operands.
Run = Callable[[torch.fx.GraphModule, Sequence[Any]], Any]


def is_control_flow(target: Any) -> bool:
    """Whether :func:`run_control_flow` knows the operator."""
    return str(target) in ("cond", "while_loop")


def run_control_flow(target: Any, args: tuple[Any, ...], run: Run) -> Any:
    """What ``cond`` or ``while_loop`` yields, every body run by ``run``."""
    if str(target) == "cond":
        predicate, if_true, if_false, operands = args
        return run(if_true if bool(predicate) else if_false, operands)
    condition, body, carried, *additional = args
    extra = additional[0] if additional else ()
    while bool(pytree.tree_leaves(run(condition, (*carried, *extra)))[0]):
        carried = run(body, (*carried, *extra))
    return carried
