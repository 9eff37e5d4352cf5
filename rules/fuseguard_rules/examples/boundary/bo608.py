"""Examples of BO608, body-hands-on-operand."""

from __future__ import annotations

from fuseguard.engine import Example
from fuseguard_rules.examples.boundary import control_flow_graphs as graphs

BAD = (
    Example(
        "cond with a branch that yields an operand",
        graphs.cond(branches=("operand", "add"), result=graphs.FIRST),
        extensions=("cf",),
    ),
    Example("while_loop whose body yields an operand", graphs.loop(handed="operand"), extensions=("cf",)),
    Example(
        "while_loop with an additional input",
        graphs.loop(additional=True),
        companions=("BO603",),
        extensions=("cf",),
    ),
)

GOOD = (
    Example(
        "cond with a branch that yields an operand, with other qparams after it",
        graphs.cond(branches=("operand", "add")),
        extensions=("cf",),
    ),
    Example(
        "cond with a branch that yields the maximum of an operand and itself",
        graphs.cond(branches=("maximum", "add"), result=graphs.FIRST),
        extensions=("cf",),
    ),
    Example(
        "while_loop whose body yields the maximum of an operand and itself",
        graphs.loop(handed="maximum"),
        extensions=("cf",),
    ),
)
