"""A fourth grammar: programs of all kinds, with what concerns a whole program.

It draws from everything: the op kinds of the first grammar, of shape_grammar.py and of whole_kinds.py, the endings of
result_grammar.py, and *features*: state, twin outputs, arguments that are no tensors or are given by keyword, dynamic
sizes, another quantizer than Arm's, quantization-aware training, and codes as inputs and outputs. Most programs have
one or two of them. Torch-free; the torch side is in whole_modules.py and building.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from . import grammar, result_grammar, shape_grammar, whole_kinds
from .grammar import Program, draw_program
from .result_grammar import ResultProgram, draw_ending

#: The first grammar's weights hold for the kinds that are not here.
WEIGHTS = {**{kind: weight / 2 for kind, weight in shape_grammar.WEIGHTS.items()}, **whole_kinds.WEIGHTS}
#: How a program writes its state, and when it reads it.
WAYS = (
    "copy_", "add_", "decay", "slice", "index_copy_", "index_put_", "slice_scatter", "shift", "counter",
)  # fmt: skip
READS = ("none", "before", "after", "both", "matmul")
#: A second output of the same value.
TWINS = (
    "same", "dropout", "clone", "contiguous", "view", "reshaped", "relu twice", "relu clone", "detach", "to",
    "transposed twice", "input",
)  # fmt: skip
ARGUMENTS = (
    "none", "int", "float", "bool", "keyword tensor", "keyword none", "keyword number", "none output", "int output",
    "nested", "indices", "mask", "unread",
)  # fmt: skip
#: "batch" and "last" name the size with a Dim, so that torch refuses what needs a fixed one; "auto" lets it fix the
#: size.
DYNAMIC = ("batch", "batch", "auto", "last")
FOREIGN = ("xnnpack", "xnnpack-dynamic", "x86-inductor", "arm-inductor")
IO = ("inputs", "outputs", "both", "uint8")
#: The features by weight.
FEATURES: dict[str, int] = {
    "state": 6, "twin": 3, "arguments": 4, "dynamic": 3, "foreign": 3, "qat": 3, "io": 4, "endings": 4,
}  # fmt: skip
#: Features that one program does not have together: the buffer of a state, an argument and an input of codes have
#: fixed sizes, and training is done with Arm's quantizer.
APART = (
    {"dynamic", "state"}, {"dynamic", "arguments"}, {"dynamic", "io"}, {"foreign", "qat"}, {"dynamic", "endings"},
)  # fmt: skip


@dataclass(frozen=True)
class State:
    """``value`` is the number of the result that is written, modulo how many there are."""

    way: str
    read: str
    value: int


@dataclass(frozen=True)
class WholeProgram(ResultProgram):
    """A program with endings, or none, and with features; "" and None stand for those that it does not have.

    ``twin_value``: the number of the result that gets a twin, modulo how many there are.
    """

    state: State | None = None
    twin: str = ""
    twin_value: int = 0
    arguments: tuple[str, ...] = ()
    dynamic: str = ""
    quantizer: str = "arm"
    qat: bool = False
    io: str = ""

    @property
    def features(self) -> tuple[str, ...]:
        """Each as ``family: what``."""
        found = [f"ending: {ending.kind}" for ending in self.endings]
        if self.state is not None:
            found.append(f"state: {self.state.way}, read {self.state.read}")
        found += [f"argument: {name}" for name in self.arguments]
        named = (("twin", self.twin), ("dynamic", self.dynamic), ("io", self.io))
        found += [f"{family}: {name}" for family, name in named if name]
        if self.quantizer != "arm":
            found.append(f"quantizer: {self.quantizer}")
        if self.qat:
            found.append("qat: arm")
        if not self.ir_validity:
            found.append("ir: not checked")
        return tuple(found)

    @property
    def unquantized(self) -> tuple[str, ...]:
        return tuple(f"base.{name}" for name in super().unquantized)


def program_of(seed: int, index: int) -> WholeProgram:
    """Program ``index`` of campaign ``seed``: always the same one."""
    random = Random(f"whole:{seed}:{index}")
    base = draw_program(random, WEIGHTS)
    if random.random() < 0.7:
        base = replace(base, edit=None)
    program = WholeProgram(**vars(base), ir_validity=random.random() < 0.75)
    for name in _features(random):
        program = _with_feature(random, program, name)
    assert not fault(program), (fault(program), program)
    return program


def fault(program: Program) -> str:
    """Why a program is not one of the grammar's, or ""."""
    found = grammar.fault(program)
    if not found and isinstance(program, WholeProgram):
        if program.alone and not program.endings:
            return "no endings to be alone"
        if program.dynamic in ("batch", "auto") and program.shape[0] < 2:
            return "torch fixes a size of 1"
        if (program.quantizer != "arm" or program.qat) and program.config == "a16w8":
            return "int16 is Arm's, without training"
    return found


def _features(random: Random) -> list[str]:
    chosen: list[str] = []
    for _ in range(random.choice((0, 1, 1, 1, 1, 2, 2, 2))):
        allowed = [
            name for name in FEATURES
            if name not in chosen and not any({name, other} in APART for other in chosen)
        ]  # fmt: skip
        chosen += random.choices(allowed, [FEATURES[name] for name in allowed])
    return chosen


def _with_feature(random: Random, program: WholeProgram, name: str) -> WholeProgram:
    if name == "state":
        state = State(random.choice(WAYS), random.choice(READS), random.randrange(8))
        return replace(program, state=state)
    if name == "twin":
        return replace(program, twin=random.choice(TWINS), twin_value=random.randrange(8))
    if name == "arguments":
        return replace(program, arguments=tuple(random.sample(ARGUMENTS, random.choice((1, 1, 2)))))
    if name == "dynamic":
        sizes = replace(program, dynamic=random.choice(DYNAMIC), shape=(2, *program.shape[1:]))
        return program if fault(sizes) else sizes
    if name == "foreign":
        return replace(_int8(program), quantizer=random.choice(FOREIGN))
    if name == "qat":
        return replace(_int8(program), qat=True)
    if name == "io":
        return replace(program, io=random.choice(IO))
    endings = tuple(draw_ending(random) for _ in range(random.choice((1, 1, 2))))
    return replace(program, endings=endings, alone=random.random() < 0.3, first=random.random() < 0.3)


def _int8(program: WholeProgram) -> WholeProgram:
    if program.config != "a16w8":
        return program
    edit = program.edit if program.edit is None or program.edit.name != "int16_zero_point" else None
    return replace(program, config="int8-per-channel", profile=program.profile.removesuffix("+int16"), edit=edit)


def smaller(program: Program) -> Iterator[Program]:
    """Programs one simplification away: without a feature, or with a simpler base program. All of them valid."""
    for candidate in _simplifications(program):
        if candidate != program and not fault(candidate):
            yield candidate


def _simplifications(program: Program) -> Iterator[Program]:
    if isinstance(program, WholeProgram):
        if program.endings:
            yield replace(program, endings=(), alone=False, first=False)
        plain = WholeProgram(program.shape, program.inputs, program.steps, program.outputs, program.config,
                             program.profile)  # fmt: skip
        for name in ("state", "twin", "dynamic", "quantizer", "qat", "io", "ir_validity"):
            yield replace(program, **{name: getattr(plain, name)})
        for name in program.arguments:
            yield replace(program, arguments=tuple(other for other in program.arguments if other != name))
        if program.state is not None:
            for read in READS[: READS.index(program.state.read)]:
                yield replace(program, state=replace(program.state, read=read))
            yield replace(program, state=replace(program.state, way=WAYS[0]))
    yield from result_grammar.smaller(program)
