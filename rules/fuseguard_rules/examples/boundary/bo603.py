"""Examples of BO603, control-flow-qparams-disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fuseguard.engine import Example
from fuseguard_rules.examples.boundary import control_flow_graphs as graphs

if TYPE_CHECKING:
    import torch


def _program() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.boundary.modules import stepping_up_to_a_limit

    return stepping_up_to_a_limit()


def _never_entered() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.boundary.modules import calibrated_outside_its_condition

    return calibrated_outside_its_condition()


BAD = (
    Example("cond whose operands have different qparams", graphs.cond(graphs.FINE), extensions=("cf",)),
    Example("cond with an operand in float", graphs.cond(None), extensions=("cf",)),
    Example("cond with all operands in float", graphs.cond(None, first=None), extensions=("cf",)),
    Example("cond that quantizes an operand twice", graphs.cond(entry=graphs.FINE), extensions=("cf",)),
    Example("cond with a branch left in float", graphs.cond(branches=("add", "float")), extensions=("cf",)),
    Example(
        "cond in float with a branch that is not quantized in the end",
        graphs.cond(None, first=None, branches=("float", "float-result")),
        extensions=("cf",),
    ),
    Example(
        "cond with branches that permute in the end",
        graphs.cond(branches=("permuted", "permuted")),
        companions=("PL401",),
        extensions=("cf",),
    ),
    Example("while_loop with finer qparams inside", graphs.loop(inside=graphs.FINER), extensions=("cf",)),
    Example("while_loop with other qparams after it", graphs.loop(graphs.COARSE), extensions=("cf",)),
    Example(
        "while_loop that no value enters, with other qparams after it",
        graphs.loop(graphs.COARSE, limit=0.0),
        extensions=("cf",),
    ),
    Example("while_loop whose operands have different qparams", graphs.loop(second=graphs.COARSE), extensions=("cf",)),
    Example(
        "while_loop whose body quantizes an additional input",
        graphs.loop(additional=True),
        only_on="<1.4",
        extensions=("cf",),
    ),
    Example(
        "while_loop with an additional input of other qparams",
        graphs.loop(second=graphs.COARSE, additional=True),
        extensions=("cf",),
    ),
    Example(
        "while_loop with a step that is not carried along, from Arm's quantizer",
        graphs.loop(second=graphs.COARSE),
        _program,
        extensions=("cf",),
    ),
)

GOOD = (
    Example("cond with one set of qparams for its operands", graphs.cond(), extensions=("cf",)),
    Example("while_loop with one set of qparams", graphs.loop(), extensions=("cf",)),
    Example(
        "while_loop that no value enters, with coarser qparams inside",
        graphs.loop(inside=graphs.COARSE, limit=0.0),
        _never_entered,
        extensions=("cf",),
    ),
)
