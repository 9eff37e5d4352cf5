"""Specs of small quantized programs: drawn from a seed, valid by construction, and made smaller while they fail.

Torch-free. A spec is a DAG over numbered values: the inputs first, then what each step yields, in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random

from hypothesis import strategies as st

from .op_kinds import KINDS, LARGEST, Shape, yields

CONFIGS = ("int8-per-channel", "int8-per-channel", "int8-per-tensor", "int8-narrow", "a16w8")
#: Input shapes by weight.
FORMS: tuple[tuple[Shape, int], ...] = (((1, 4, 6, 6), 7), ((1, 4, 8), 2), ((2, 4, 6, 6), 1), ((2, 8), 1))
#: What a hand edit does to one Q/DQ place of the converted graph, and the factors it may draw.
EDITS: dict[str, tuple[float, ...]] = {
    "output_scale": (0.5, 2.0, 3.0),
    "output_zero_point": (3.0, -20.0),
    "dq_scale": (0.5, 2.0),
    "remove_output_q": (0.0,),
    "float_operand": (0.0,),
    "second_q": (0.5, 2.0),
    "requantize": (0.5, 1.7),
    "clear_meta": (0.0,),
    "int16_zero_point": (5.0,),
    "quant_range": (0.0, 1.0, 2.0),
    "bias_scale": (2.0,),
    "tiny_scale": (1e-9,),
    "dtype_int16": (0.0,),
}


@dataclass(frozen=True)
class Step:
    """``layer`` is the index of the step whose weights it uses (weight tying); None means its own."""

    kind: str
    args: tuple[int, ...]
    params: tuple[float, ...] = ()
    layer: int | None = None


@dataclass(frozen=True)
class Edit:
    """``pick`` chooses among the places where the edit is possible, modulo their number."""

    name: str
    pick: int
    factor: float


@dataclass(frozen=True)
class Input:
    """``reach``: the largest magnitude; ``sign``: 0 for both signs, 1 for positive values only."""

    reach: float
    sign: int = 0


@dataclass(frozen=True)
class Program:
    shape: Shape
    inputs: tuple[Input, ...]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]
    config: str
    profile: str
    edit: Edit | None = None
    seed: int = 0
    #: How far the judged inputs go beyond the calibrated ones: above 1 they saturate.
    feed: float = 1.0

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(step.kind for step in self.steps)

    @property
    def unquantized(self) -> tuple[str, ...]:
        return tuple(f"layers.{number}" for number, step in enumerate(self.steps)
                     if step.kind == "float_block" and step.layer is None)  # fmt: skip


def value_shapes(program: Program) -> list[Shape]:
    """The shape of every value. Raises ValueError where a step does not fit what it is given."""
    shapes: list[Shape] = [program.shape] * len(program.inputs)
    for number, step in enumerate(program.steps):
        kind = KINDS[step.kind]
        if any(not 0 <= arg < len(shapes) for arg in step.args) or not step.args:
            raise ValueError(f"step {number} uses a value that does not exist")
        shape = shapes[step.args[0]]
        if any(shapes[arg] != shape for arg in step.args) or not kind.fits(shape):
            raise ValueError(f"step {number} ({step.kind}) does not take {[shapes[arg] for arg in step.args]}")
        if step.layer is not None:
            owner = program.steps[step.layer] if 0 <= step.layer < number else None
            first = None if owner is None else shapes[owner.args[0]]
            if owner is None or (owner.kind, owner.params, first) != (step.kind, step.params, shape):
                raise ValueError(f"step {number} shares a layer that does not fit")
        given = yields(step.kind, shape, len(step.args), step.params)
        if any(min(item) < 1 or not 2 <= len(item) <= 4 for item in given):
            raise ValueError(f"step {number} ({step.kind}) yields {given}")
        shapes += given
    return shapes


def fault(program: Program) -> str:
    """Why a program is not one of the grammar's, or ""."""
    try:
        shapes = value_shapes(program)
    except ValueError as error:
        return str(error)
    if not program.steps or not program.outputs or max(program.outputs) >= len(shapes):
        return "no steps or outputs"
    if min(program.outputs) < len(program.inputs):
        return "an input is an output"
    users = [arg for step in program.steps for arg in step.args] + list(program.outputs)
    for step in program.steps:
        # In place: nobody else may see the value that is overwritten, and an input belongs to the caller.
        if step.kind == "relu_" and (users.count(step.args[0]) > 1 or not _owned(program, step.args[0])):
            return "an in-place op on a value that others read"
    return ""


def _owned(program: Program, value: int) -> bool:
    """Whether ``value`` is fresh memory: the only result of an anchor or of arithmetic."""
    producer = producers(program).get(value)
    return producer is not None and KINDS[program.steps[producer].kind].group in ("anchor", "elementwise")


def producers(program: Program) -> dict[int, int]:
    """The step that yields each value; inputs have none."""
    result: dict[int, int] = {}
    shapes: list[Shape] = [program.shape] * len(program.inputs)
    for number, step in enumerate(program.steps):
        given = yields(step.kind, shapes[step.args[0]], len(step.args), step.params)
        result |= {len(shapes) + offset: number for offset in range(len(given))}
        shapes += given
    return result


def program_of(seed: int, index: int) -> Program:
    """Program ``index`` of campaign ``seed``: always the same one."""
    return draw_program(Random(f"{seed}:{index}"))


def programs() -> st.SearchStrategy[Program]:
    return st.randoms(use_true_random=False).map(draw_program)


def draw_program(random: Random, weights: Mapping[str, float] | None = None) -> Program:
    """A program; ``weights`` replaces those of some kinds, as shape_grammar.py does."""
    shape = random.choices([form for form, _ in FORMS], [weight for _, weight in FORMS])[0]
    inputs = tuple(
        Input(random.choice((0.5, 1.0, 3.0, 9.0, 40.0)), int(random.random() < 0.2))
        for _ in range(random.choice((1, 2, 2, 2, 3)))
    )
    config = random.choice(CONFIGS)
    profile = random.choice(("TOSA-1.0+INT", "TOSA-1.0+INT+FP"))
    if config == "a16w8" and random.random() < 0.93:
        profile += "+int16"
    wanted = random.choice((2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8))
    program = Program(
        shape, inputs, (), (), config, profile, None, random.randrange(1000), random.choice((1.0, 1.0, 1.0, 1.6))
    )
    for _ in range(60):
        if len(program.steps) >= wanted:
            break
        grown = replace(program, steps=(*program.steps, _draw_step(random, program, weights or {})))
        try:
            shapes = value_shapes(grown)
        except ValueError:
            continue
        if max(size for size in map(_elements, shapes)) <= LARGEST:
            program = grown
    program = _without_bad_in_place(_pruned(_with_outputs(random, program)))
    if random.random() < 0.34:
        name = random.choice(tuple(EDITS))
        if name == "int16_zero_point" and config != "a16w8":
            name = "output_scale"
        program = replace(program, edit=Edit(name, random.randrange(64), random.choice(EDITS[name])))
    assert not fault(program), (fault(program), program)
    return program


def _elements(shape: Shape) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _draw_step(random: Random, program: Program, weights: Mapping[str, float]) -> Step:
    shapes = value_shapes(program)
    if program.steps and random.random() < 0.08:
        return _repeated(random, program)
    # Later values are likelier, so that chains grow long; earlier ones stay possible, so that they fork.
    first = max(random.randrange(len(shapes)), random.randrange(len(shapes)))
    shape = shapes[first]
    fitting = [kind for kind in KINDS.values() if kind.fits(shape)]
    kind = random.choices(fitting, [weights.get(kind.name, kind.weight) for kind in fitting])[0]
    args = [first]
    peers = [number for number, other in enumerate(shapes) if other == shape and number != first] or [first]
    if kind.takes == "pair":
        args.append(random.choice(peers) if random.random() < 0.93 else first)
    elif kind.takes == "list":
        args += [random.choice(peers) for _ in range(random.choice((1, 1, 2)))]
    if len(args) > 1 and random.random() < 0.5:
        args.reverse()
    return Step(kind.name, tuple(args), tuple(float(item) for item in kind.draw(random, shape)))


def _repeated(random: Random, program: Program) -> Step:
    """The same computation once more: torch.export does not merge it, the backend may."""
    number = random.randrange(len(program.steps))
    step = program.steps[number]
    if not KINDS[step.kind].layered:
        return step
    return replace(step, layer=number if step.layer is None else step.layer)


def _with_outputs(random: Random, program: Program) -> Program:
    """Every value that nobody reads is an output, and now and then one that somebody reads too."""
    used = {arg for step in program.steps for arg in step.args}
    values = range(len(program.inputs), len(value_shapes(program)))
    outputs = [value for value in values if value not in used or random.random() < 0.1]
    if len(outputs) > 2 and random.random() < 0.5:
        random.shuffle(outputs)
    return replace(program, outputs=tuple(outputs[:4]))


def _without_bad_in_place(program: Program) -> Program:
    steps = list(program.steps)
    users = [arg for step in steps for arg in step.args] + list(program.outputs)
    for number, step in enumerate(steps):
        if step.kind == "relu_" and (users.count(step.args[0]) > 1 or not _owned(program, step.args[0])):
            steps[number] = replace(step, kind="relu")
    return replace(program, steps=tuple(steps))


def smaller(program: Program) -> Iterator[Program]:
    """Programs one simplification away, the boldest first; all of them valid."""
    for candidate in _simplifications(program):
        if candidate != program and not fault(candidate):
            yield candidate


def _simplifications(program: Program) -> Iterator[Program]:
    if program.edit is not None:
        yield replace(program, edit=None)
    for output in program.outputs:
        if len(program.outputs) > 1:
            yield _pruned(replace(program, outputs=(output,)))
    for output in program.outputs:
        if len(program.outputs) > 1:
            yield _pruned(replace(program, outputs=tuple(item for item in program.outputs if item != output)))
    shapes = value_shapes(program)
    made = producers(program)
    for number, step in reversed(list(enumerate(program.steps))):
        for value in (value for value, producer in made.items() if producer == number):
            # Whoever read the value reads what it was made from, or an input of its shape.
            for other in dict.fromkeys((*step.args, *range(len(program.inputs)))):
                if shapes[other] == shapes[value]:
                    yield _pruned(_renamed(program, value, other))
        if len(program.outputs) == 1 and program.outputs[0] in (v for v, p in made.items() if p == number):
            for arg in step.args:
                yield _pruned(replace(program, outputs=(arg,)))
        if step.layer is not None:
            yield _with_step(program, number, replace(step, layer=None))
        if len(step.args) > 2:
            yield _with_step(program, number, replace(step, args=step.args[:2]))
    for config in ("int8-per-tensor", "int8-per-channel"):
        if program.config not in ("int8-per-tensor", config) and program.config != "a16w8":
            yield replace(program, config=config)
    if program.feed > 1:
        yield replace(program, feed=1.0)
    if program.shape[0] > 1:
        yield replace(program, shape=(1, *program.shape[1:]))


def _with_step(program: Program, number: int, step: Step) -> Program:
    return replace(program, steps=(*program.steps[:number], step, *program.steps[number + 1 :]))


def _renamed(program: Program, value: int, other: int) -> Program:
    def new(item: int) -> int:
        return other if item == value else item

    steps = tuple(replace(step, args=tuple(map(new, step.args))) for step in program.steps)
    return replace(program, steps=steps, outputs=tuple(dict.fromkeys(map(new, program.outputs))))


def _pruned(program: Program) -> Program:
    """Without the steps that no output needs; values are numbered again. Unused inputs stay.

    A step whose weights came from a step that goes gets weights of its own.
    """
    made = producers(program)
    needed: set[int] = set()
    pending = list(program.outputs)
    while pending:
        number = made.get(pending.pop())
        if number is None or number in needed:
            continue
        needed.add(number)
        pending += program.steps[number].args
    kept = sorted(needed)
    values: dict[int, int] = {number: number for number in range(len(program.inputs))}
    for value, number in made.items():
        if number in needed:
            values[value] = len(values)
    steps = []
    for number in kept:
        step = program.steps[number]
        layer = kept.index(step.layer) if step.layer in needed else None
        steps.append(replace(step, args=tuple(values[arg] for arg in step.args), layer=layer))
    return replace(program, steps=tuple(steps), outputs=tuple(values[output] for output in program.outputs))
