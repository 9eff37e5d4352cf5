"""reshape -> stack: the Arm backend raises.

Seen with executorch 1.5.1, torch 2.13.0+cpu, torchao 0.18.0, tosa-tools 2026.5.0, Python 3.11.7, for
TOSA-1.0+INT+FP:

    RuntimeError: Number of dimensions of tensors must match.  Expected 2-D tensors, but got 1-D for tensor number
    1 in the list

ExecuTorch releases: crash on 1.5.1, 1.5.0, 1.4.1, 1.4.0, 1.3.1, 1.2.0 (the program before it was reduced, for
TOSA-1.0+INT+FP).

Why: With float support, a delegate computes a quantize op of a float itself. DecomposeRoundPass compares the float
with a zero of shape (1,). A value without dimensions then has one dimension, which the program does not know.
Arithmetic takes it: it broadcasts. A cat or stack with values of the right rank, an expand to fewer dimensions and
a permute do not, and lowering crashes. Such a float is an input of the program, or an op yields it on the CPU.

This is rule OP720 of fuseguard (rank-zero-gains-dimension). The program was quantized by Arm's TOSAQuantizer with
the configuration int8-per-channel.

Prints the traceback, and exits with 1, if the fault is there.

fuseguard reduce cut this out of a program with 5 ops. The quantization parameters are that program's.
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

    def forward(self, inputs_1: torch.Tensor, mul_value: torch.Tensor) -> Any:
        quantize_per_tensor_1 = decomposed.quantize_per_tensor.default(inputs_1, 0.0029570283368229866, -110, -128,
            127, torch.int8)
        dequantize_per_tensor_1 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_1,
            0.0029570283368229866, -110, -128, 127, torch.int8)
        quantize_per_tensor_4 = decomposed.quantize_per_tensor.default(mul_value, 0.0029570283368229866, -110, -128,
            127, torch.int8)
        dequantize_per_tensor_5 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_4,
            0.0029570283368229866, -110, -128, 127, torch.int8)
        reshape = aten.reshape.default(dequantize_per_tensor_5, [])
        quantize_per_tensor_5 = decomposed.quantize_per_tensor.default(reshape, 0.0029570283368229866, -110, -128,
            127, torch.int8)
        dequantize_per_tensor_6 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_5,
            0.0029570283368229866, -110, -128, 127, torch.int8)
        stack = aten.stack.default([dequantize_per_tensor_1, dequantize_per_tensor_6])
        quantize_per_tensor_6 = decomposed.quantize_per_tensor.default(stack, 0.0029570283368229866, -110, -128,
            127, torch.int8)
        dequantize_per_tensor_7 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_6,
            0.0029570283368229866, -110, -128, 127, torch.int8)
        return (dequantize_per_tensor_7,)


def inputs() -> tuple[torch.Tensor, ...]:
    """What shows the fault."""
    value_0 = torch.tensor([0.7], dtype=torch.float32).reshape(())
    value_1 = torch.tensor([-0.054197215], dtype=torch.float32).reshape(1, 1, 1, 1)
    return (value_0, value_1)


def quantized_program() -> ExportedProgram:
    """What convert_pt2e and torch.export.export yield."""
    program = torch.export.export(Program().eval(), inputs())
    # By module and call: the ops that Arm's quantizer has annotated.
    annotated: list[list[int]] = [[4, 7]]
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
