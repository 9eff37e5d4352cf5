"""A spec becomes a quantized program with inputs: exported, quantized, edited, made to take and yield codes."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from executorch.backends.arm.quantizer import TOSAQuantizer
from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.utils import _pytree as pytree
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from fuseguard_testkit.quantizing import CONFIGS

from .grammar import Program
from .hand_edits import apply_edit
from .other_quantizers import foreign, trained
from .program_modules import ProgramModule
from .quantized_io import as_taken, with_codes
from .result_grammar import ResultProgram
from .result_modules import ResultModule
from .whole_grammar import WholeProgram
from .whole_modules import WholeModule, arguments_of


class NotAProgram(Exception):
    """Torch or the quantizer fails before there is a program; ``stage`` says which: eager, quantizer, edit."""

    def __init__(self, stage: str, error: BaseException) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.stage = stage


def inputs_of(program: Program) -> tuple[Tensor, ...]:
    """The inputs that the program is calibrated on; their largest magnitude is exactly the stated reach."""
    torch.manual_seed(program.seed + 7919)
    values = []
    for item in program.inputs:
        value = torch.randn(program.shape)
        value = value * (item.reach / float(value.abs().max()))
        values.append(value.abs() if item.sign else value)
    if isinstance(program, ResultProgram) and program.has_number:
        values.append(torch.randn(()))
    return tuple(values)


def feeds(program: Program, calibrated: tuple[Any, ...], quantized: ExportedProgram) -> list[tuple[Any, ...]]:
    """What the program is judged on: first its own feed, then two sets that reach the ends of every input's range.

    Arguments after the inputs that the spec draws stay as they are, and so do integers. Inputs of codes get the codes.
    """
    torch.manual_seed(program.seed + 104729)
    count = len(program.inputs) + (isinstance(program, ResultProgram) and program.has_number)
    own, rest = calibrated[:count], calibrated[count:]
    ends = tuple(value.abs().max() * torch.randint(-1, 2, value.shape) for value in own)
    wide = tuple(value.abs().max() * 8 * (torch.rand(value.shape) - 0.5) for value in own)
    first = tuple(value * program.feed for value in own)
    signs = [item.sign for item in program.inputs]
    signs += [0] * (len(own) - len(signs))  # a number has either sign
    sets = [
        tuple(value.abs() if sign else value for value, sign in zip(values, signs, strict=True))
        for values in (first, ends, wide)
    ]
    return [as_taken(quantized, (*values, *rest)) for values in sets]


def build(program: Program) -> tuple[ExportedProgram, tuple[Any, ...], str]:
    """The quantized program, its inputs (flat, as floats) and what the hand edit did. Raises NotAProgram."""
    training = isinstance(program, WholeProgram) and program.qat
    # Arm's pass for index_copy_ runs it with a parameter that requires gradients.
    with warnings.catch_warnings(), torch.set_grad_enabled(training or not isinstance(program, WholeProgram)):
        warnings.simplefilter("ignore")
        return _build(program)


def _build(program: Program) -> tuple[ExportedProgram, tuple[Any, ...], str]:
    inputs: tuple[Any, ...] = inputs_of(program)
    options: dict[str, Any] = {}
    whole = program if isinstance(program, WholeProgram) else None
    try:
        module: nn.Module = ProgramModule(program)
        if isinstance(program, ResultProgram):
            module = ResultModule(program, module)
        if whole is not None:
            module = WholeModule(whole, module.eval(), inputs)
            extras, options = arguments_of(module)
            inputs += extras
        module = module.train() if whole is not None and whole.qat else module.eval()
        sizes = _dynamic_shapes(whole, len(inputs)) if whole is not None else None
        exported = _exported(module, inputs, options, sizes and {"inputs": sizes}).module(check_guards=False)
    except Exception as error:
        raise NotAProgram("eager", error) from error
    try:
        if whole is not None and whole.qat:
            converted = trained(exported, program.profile, program.config, program.unquantized, inputs, options)
        else:
            prepared = prepare_pt2e(exported, _quantizer(program))
            # What a state holds after one call is calibrated in another one.
            for _ in range(2 if whole is not None and whole.state is not None else 1):
                prepared(*inputs, **options)
            converted = convert_pt2e(prepared)
    except Exception as error:
        raise NotAProgram("quantizer", error) from error
    try:
        done = apply_edit(converted, program.edit) if program.edit else ""
        result = _exported(converted, inputs, options, sizes)
    except Exception as error:
        raise NotAProgram("edit" if program.edit else "quantizer", error) from error
    if whole is not None and whole.io:
        try:
            result = with_codes(result, whole.io)
        except Exception as error:
            raise NotAProgram("quantizer", error) from error
    return result, tuple(pytree.tree_leaves((inputs, options))), done


def _exported(module: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any], sizes: Any) -> ExportedProgram:
    return torch.export.export(module, inputs, options or None, dynamic_shapes=sizes)


def _dynamic_shapes(program: WholeProgram, count: int) -> tuple[dict[int, Any], ...] | None:
    """The dynamic sizes of each input; None for fixed ones."""
    if not program.dynamic:
        return None
    size: Any = Dim.AUTO if program.dynamic == "auto" else Dim("size", min=2, max=64)
    dim = len(program.shape) - 1 if program.dynamic == "last" else 0
    return tuple({dim: size} for _ in range(count))


def _quantizer(program: Program) -> Any:
    if isinstance(program, WholeProgram) and program.quantizer != "arm":
        return foreign(program.quantizer, program.config)
    quantizer = TOSAQuantizer(TosaCompileSpec(program.profile))
    quantizer.set_global(CONFIGS[program.config]())
    for name in program.unquantized:
        quantizer.set_module_name(name, None)
    return quantizer
