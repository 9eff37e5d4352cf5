"""Examples of OP704, constant-cat-folded-wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fuseguard.engine import (
    Example,
)
from fuseguard_rules.examples.operator.constant_cat_graphs import WIDE, WIDE_AFTER, cat, stack

if TYPE_CHECKING:
    import torch


def _program() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.operator.arithmetic_modules import joined_constants

    return joined_constants()


BAD = (
    Example("cat of two quantized buffers", cat("buffer", "buffer"), only_on="<1.3"),
    Example("stack of two quantized buffers", stack, only_on="<1.3"),
    Example("cat of quantized constants", cat("full", "full", "full"), _program, only_on="<1.3"),
    Example("cat of one buffer twice and another one", cat("buffer", "again", "buffer"), only_on="<1.3"),
    Example("cat of a buffer and a permuted one", cat("buffer", "permute"), only_on="<1.3"),
    Example("cat of a buffer and a requantized one", cat("buffer", "pair"), only_on="<1.3"),
    Example("cat of two float buffers", cat("float", "float"), only_on="<1.3"),
    Example("cat of a constant and what a table makes of one", cat("full", "sigmoid"), only_on="<1.3"),
    Example(
        "cat of two int16 buffers",
        cat("buffer", "buffer", qparams=WIDE, after=WIDE_AFTER),
        only_on="<1.3",
        extensions=("int16",),
    ),
)

GOOD = (
    Example("cat of a quantized buffer and an input", cat("buffer", "input")),
    Example("cat of one buffer with itself", cat("buffer", "again")),
    Example("cat of a buffer and what abs makes of one", cat("buffer", "abs")),
)
