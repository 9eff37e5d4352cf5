"""Float modules of the examples of OP721.

Imports torch: only ``Example.program`` imports this file.
"""

from __future__ import annotations

import torch
from torch import nn

from fuseguard_rules.examples.operator.result_modules import Made, made


def cropped() -> Made:
    return made(lambda conv, x: nn.functional.pad(conv(x), (-1, -1, -1, -1)))


def moved() -> Made:
    return made(lambda conv, x: nn.functional.pad(conv(x), (-1, 2)))


def padded() -> Made:
    return made(lambda conv, x: nn.functional.pad(conv(x), (1, 2)))


def inverted_numbers() -> Made:
    return made(lambda conv, x: torch.logical_not(conv(x)))


def any_number() -> Made:
    return made(lambda conv, x: torch.any(conv(x), 1))


def all_numbers() -> Made:
    return made(lambda conv, x: torch.all(conv(x), 1))


def inverted_integers() -> Made:
    return made(lambda conv, x: torch.logical_not((conv(x) * 3).to(torch.int32)))


def inverted_bools() -> Made:
    return made(lambda conv, x: torch.logical_not(conv(x) > 0))


def added_to_columns() -> Made:
    return made(lambda conv, x: conv(x)[0].index_add(1, torch.tensor([0, 2]), x[0, :, :2]))


def added_to_rows() -> Made:
    return made(lambda conv, x: conv(x)[0].index_add(0, torch.tensor([0, 2]), x[0, :2]))


def equal_bools() -> Made:
    return made(lambda conv, x: (conv(x) > 0) == (x > 0))
