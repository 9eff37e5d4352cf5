"""clamp: the Arm backend raises.

Seen with executorch 1.5.1, torch 2.13.0+cpu, torchao 0.18.0, tosa-tools 2026.5.0, Python 3.11.7, for
TOSA-1.0+INT+FP:

    AssertionError: Expecting input to have dtype torch.float32, but got dtype: torch.int8

ExecuTorch releases: crash on 1.5.1, 1.5.0, 1.3.1, 1.2.0; exact on 1.4.1, 1.4.0 (the program before it was reduced,
for TOSA-1.0+INT+FP).

Why: DecomposeTOSAUnsupportedClampPass turns a clamp whose bounds are tensors into minimum(maximum(x, lower),
upper). It runs before FoldAndAnnotateQParamsPass, so nothing states the scale of maximum's result.
InsertRescaleInt32Pass then assumes the scale of the upper bound, and every value that the clamp passes on is scaled
by the ratio of the two. From 1.5 on, with floats, the fold keeps the Q and DQ of minimum, because only one of its
operands has any, and the Q gets codes. A clamp with one bound becomes one op, which is correct. The rule reports
nothing for releases that lower the program correctly.

This is rule OP715 of fuseguard (tensor-bounds-lose-scale). The program was quantized by Arm's TOSAQuantizer with
the configuration int8-per-channel.

Prints the traceback, and exits with 1, if the fault is there.

fuseguard reduce cut this out of a program with 2 ops. The quantization parameters are that program's.
"""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from typing import Any

import torch
from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec
from executorch.backends.arm.tosa.partitioner import TOSAPartitioner
from executorch.exir import to_edge_transform_and_lower
from torch.export import ExportedProgram

aten, decomposed = torch.ops.aten, torch.ops.quantized_decomposed

TARGET = "TOSA-1.0+INT+FP"


class Program(torch.nn.Module):
    """The quantized program: integer weights, and an explicit Q and DQ for each value."""

    def __init__(self) -> None:
        super().__init__()
        self._frozen_param2: torch.Tensor
        self.register_buffer("_frozen_param2", torch.tensor([-49], dtype=torch.int8).reshape(1, 1, 1, 1))
        self._frozen_param3: torch.Tensor
        self.register_buffer("_frozen_param3", torch.tensor([44], dtype=torch.int8).reshape(1, 1, 1, 1))

    def forward(self, conv2d_value: torch.Tensor) -> Any:
        dequantize_per_tensor = decomposed.dequantize_per_tensor.default(self._frozen_param2, 0.013852362520992756,
            7, -128, 127, torch.int8)
        dequantize_per_tensor_1 = decomposed.dequantize_per_tensor.default(self._frozen_param3,
            0.013852362520992756, 7, -128, 127, torch.int8)
        quantize_per_tensor_1 = decomposed.quantize_per_tensor.default(conv2d_value, 0.013852362520992756, 7, -128,
            127, torch.int8)
        dequantize_per_tensor_3 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_1,
            0.013852362520992756, 7, -128, 127, torch.int8)
        clamp = aten.clamp.Tensor(dequantize_per_tensor_3, dequantize_per_tensor, dequantize_per_tensor_1)
        quantize_per_tensor_2 = decomposed.quantize_per_tensor.default(clamp, 0.013852362520992756, 7, -128, 127,
            torch.int8)
        dequantize_per_tensor_4 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_2,
            0.013852362520992756, 7, -128, 127, torch.int8)
        return (dequantize_per_tensor_4,)


def inputs() -> tuple[torch.Tensor, ...]:
    """What shows the fault."""
    value_0 = torch.tensor([1.5829319], dtype=torch.float32).reshape(1, 1, 1, 1)
    return (value_0,)


def quantized_program() -> ExportedProgram:
    """What convert_pt2e and torch.export.export yield."""
    program = torch.export.export(Program().eval(), inputs())
    # By module and call: the ops that Arm's quantizer has annotated.
    annotated: list[list[int]] = [[4]]
    modules = [module for module in program.graph_module.modules() if isinstance(module, torch.fx.GraphModule)]
    for module, numbers in zip(modules, annotated, strict=True):
        calls = [node for node in module.graph.nodes if node.op == "call_function"]
        for number in numbers:
            custom = calls[number].meta.get("custom") or {}
            calls[number].meta["custom"] = {**custom, "_arm_annotation_info": {"quantized": True}}
    return program


def lower(program: ExportedProgram) -> ExportedProgram:
    """The edge program."""
    partitioner = TOSAPartitioner(TosaCompileSpec(TARGET))
    edge = to_edge_transform_and_lower(program, partitioner=[partitioner])
    lowered: ExportedProgram = edge.exported_program()
    return lowered


def main() -> int:
    """1 if the fault is there, else 0."""
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    program = quantized_program()
    with torch.no_grad():
        print("expected (torch)", *program.module()(*inputs()), sep="\n")
    try:
        lower(program)
    except Exception:
        traceback.print_exc()
        return 1
    print("it lowers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
