"""ones_like -> where: the Arm backend raises.

Seen with executorch 1.5.1, torch 2.13.0+cpu, torchao 0.18.0, tosa-tools 2026.5.0, Python 3.11.7, for
TOSA-1.0+INT+FP:

    RuntimeError: expected predicate to be bool, got torch.int8

ExecuTorch releases: crash on 1.5.1 (the program before it was reduced, for TOSA-1.0+INT+FP).

Why: ConvertFullLikeToFullPass replaces full_like (which ones_like and zeros_like become) with a full constant of
the dtype of the tensor that gives the shape. It ignores the op's own dtype. In a delegate, a dequantized tensor has
the dtype of its codes. torch.ones_like(x, dtype=torch.bool) therefore becomes an int8 constant. A where that takes
it as its condition does not lower. An output or an op on the CPU that reads it gets another dtype than the program
declares. A number that the codes cannot hold does not lower either, and a bool constant holds any number but 0 as
1.

This is rule OP719 of fuseguard (like-constant-loses-dtype). The program was quantized by Arm's TOSAQuantizer with
the configuration int8-per-channel.

Prints the traceback, and exits with 1, if the fault is there.

fuseguard reduce cut this out of a program with 3 ops. The quantization parameters are that program's.
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

    def forward(self, inputs_0: torch.Tensor, neg_value: torch.Tensor) -> Any:
        quantize_per_tensor = decomposed.quantize_per_tensor.default(inputs_0, 0.02048663981258869, 0, -128, 127,
            torch.int8)
        dequantize_per_tensor = decomposed.dequantize_per_tensor.default(quantize_per_tensor, 0.02048663981258869,
            0, -128, 127, torch.int8)
        dequantize_per_tensor_1 = decomposed.dequantize_per_tensor.default(quantize_per_tensor, 0.02048663981258869,
            0, -128, 127, torch.int8)
        ones_like = aten.ones_like.default(dequantize_per_tensor, dtype=torch.bool, pin_memory=False)
        quantize_per_tensor_1 = decomposed.quantize_per_tensor.default(neg_value, 0.02048663981258869, 0, -128, 127,
            torch.int8)
        dequantize_per_tensor_3 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_1,
            0.02048663981258869, 0, -128, 127, torch.int8)
        where = aten.where.self(ones_like, dequantize_per_tensor_1, dequantize_per_tensor_3)
        quantize_per_tensor_2 = decomposed.quantize_per_tensor.default(where, 0.02048663981258869, 0, -128, 127,
            torch.int8)
        dequantize_per_tensor_4 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_2,
            0.02048663981258869, 0, -128, 127, torch.int8)
        return (dequantize_per_tensor_4,)


def inputs() -> tuple[torch.Tensor, ...]:
    """What shows the fault."""
    value_0 = torch.tensor([0.59883946], dtype=torch.float32).reshape(1, 1, 1, 1)
    value_1 = torch.tensor([-0.5941126], dtype=torch.float32).reshape(1, 1, 1, 1)
    return (value_0, value_1)


def quantized_program() -> ExportedProgram:
    """What convert_pt2e and torch.export.export yield."""
    program = torch.export.export(Program().eval(), inputs())
    # By module and call: the ops that Arm's quantizer has annotated.
    annotated: list[list[int]] = [[6]]
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
