"""A second grammar: what the first one draws, with results that it never yields.

Of a program of the first grammar it takes results and adds *endings* to them: values of rank 0, constants that are made
from an input's shape, with its dtype or another one, int64 values, an input of rank 0, ops that the edge dialect
rejects, and ops in forms that the backend may not lower. It also draws whether ExecuTorch checks the edge IR.
Torch-free; the torch side is in result_modules.py. The first grammar draws the same programs for the same seed as
before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from . import grammar
from .grammar import Program, draw_program

#: Kinds of endings by family, each with its weight.
ENDINGS: dict[str, dict[str, int]] = {
    "rank 0": {
        "sum_all": 3, "mean_all": 2, "amax_all": 2, "amin_all": 1, "any_all": 2, "all_all": 1, "first_element": 2,
        "reshaped_to_scalar": 1, "relu_of_mean": 1,
    },
    "rank 0 inside": {
        "minus_mean": 3, "times_amax": 1, "expanded_amax": 1, "stacked_scalars": 1, "sum_with_dim": 1,
        "stacked_with_sum": 2, "joined_with_sum": 2,
    },
    "number": {"number_added": 1, "number_stacked": 2, "number_joined": 2, "number_product_joined": 1},
    "from a shape": {"zeros_like": 2, "ones_like": 1, "full_like": 1, "fill": 1, "plus_ones_like": 3, "copy_onto": 1},
    "another dtype": {
        "bool_ones_like": 1, "int32_full_like": 2, "int8_zeros_like": 1, "chosen_by_ones": 2, "filled_by_zeros": 1,
        "int32_compared": 1, "int32_in_shape_of_mask": 2, "int32_cast": 1, "not_ones": 1, "int32_in_shape_of_argmax": 2,
    },
    "int64": {"int64_ones": 2, "int64_zeros": 1, "int64_arange": 1, "int64_full": 1, "argmax": 2, "one_hot": 1},
    "not in the edge dialect": {"exp2": 1, "signbit": 1, "cumprod_of_last": 1},
    "forms": {
        "cropped": 2, "not_of_numbers": 2, "any_of_numbers": 1, "equal_masks": 1, "masks_added": 1, "columns_added": 1,
        "cast_to_int8": 2, "cast_to_int16_and_back": 1, "half_to_int32": 1, "gathered_by_zeros": 2, "on_diagonals": 1,
        "resized_bicubic": 1, "squared_error": 1, "dot": 1, "log_sigmoid": 2,
    },
}  # fmt: skip
KINDS: dict[str, int] = {kind: weight for family in ENDINGS.values() for kind, weight in family.items()}


@dataclass(frozen=True)
class Ending:
    """``value`` is the number of the base program's result that it starts from, modulo how many there are; ``other``
    that of the input whose shape it takes, likewise. Endings of the family "number" take an input of rank 0 instead,
    the program's last one.
    """

    kind: str
    value: int
    other: int
    number: float


@dataclass(frozen=True)
class ResultProgram(Program):
    """A program of the first grammar with endings.

    ``alone``: the endings are the only results. ``first``: they come before the others. ``ir_validity`` is what the
    program is lowered with (``EdgeCompileConfig._check_ir_validity``).
    """

    endings: tuple[Ending, ...] = ()
    alone: bool = False
    first: bool = False
    ir_validity: bool = True

    @property
    def kinds(self) -> tuple[str, ...]:
        return (*(step.kind for step in self.steps), *(ending.kind for ending in self.endings))

    @property
    def has_number(self) -> bool:
        """Whether there is an input of rank 0 after the others."""
        return any(ending.kind in ENDINGS["number"] for ending in self.endings)

    @property
    def unquantized(self) -> tuple[str, ...]:
        return tuple(f"base.{name}" for name in super().unquantized)


def program_of(seed: int, index: int) -> ResultProgram:
    """Program ``index`` of campaign ``seed``: always the same one."""
    random = Random(f"results:{seed}:{index}")
    base = draw_program(random)
    if random.random() < 0.7:
        base = replace(base, edit=None)
    endings = tuple(draw_ending(random) for _ in range(random.choice((1, 1, 2))))
    return ResultProgram(
        **vars(base),
        endings=endings,
        alone=random.random() < 0.3,
        first=random.random() < 0.3,
        ir_validity=random.random() < 0.75,
    )


def draw_ending(random: Random) -> Ending:
    kind = random.choices(list(KINDS), list(KINDS.values()))[0]
    return Ending(kind, random.randrange(8), random.randrange(8), random.choice((0.5, 2.0, 3.0)))


def smaller(program: Program) -> Iterator[Program]:
    """Programs one simplification away: without an ending, or with a simpler base program."""
    if isinstance(program, ResultProgram):
        for number in range(len(program.endings)):
            if len(program.endings) > 1:
                endings = (*program.endings[:number], *program.endings[number + 1 :])
                yield replace(program, endings=endings)
        if not program.alone:
            yield replace(program, alone=True)
    yield from grammar.smaller(program)
