"""Quantizes a built program as its user would: export, calibrate on several input sets, convert, export again."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from executorch.backends.arm.quantizer import (
    TOSAQuantizer,
    get_symmetric_a16w8_quantization_config,
    get_symmetric_quantization_config,
)
from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec
from torch.export import ExportedProgram
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from zoo.program import Built

_CONFIGS: dict[str, Any] = {
    "int8": lambda: get_symmetric_quantization_config(is_per_channel=True),
    "a16w8": lambda: get_symmetric_a16w8_quantization_config(is_per_channel=True),
}


def quantized(built: Built, config: str) -> ExportedProgram:
    """The quantized program. Raises what torch.export and the quantizer raise."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return (built.quantize or with_arm)(built, config)


def with_arm(built: Built, config: str) -> ExportedProgram:
    """With Arm's quantizer for TOSA, weights per channel."""
    quantizer = TOSAQuantizer(TosaCompileSpec("TOSA-1.0+INT"))
    quantizer.set_global(_CONFIGS[config]())
    return after_training(built, quantizer)


def after_training(built: Built, quantizer: Any) -> ExportedProgram:
    """With any quantizer of the PT2E flow."""
    prepared = prepare_pt2e(captured(built), quantizer)
    with torch.no_grad():
        for values in built.calibration:
            prepared(*values)
    return exported(convert_pt2e(prepared), built)


def captured(built: Built) -> Any:
    """The float program as the module that the quantizers take."""
    program = exported(built.module.eval(), built)
    if built.decompose:
        program = program.run_decompositions({})
    return program.module(check_guards=False)


def exported(module: torch.nn.Module, built: Built) -> ExportedProgram:
    """``torch.export.export`` with the first input set."""
    return torch.export.export(module, built.inputs[0], dynamic_shapes=built.dynamic_shapes)
