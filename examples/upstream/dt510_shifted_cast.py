"""sum -> mul: the Arm backend raises.

Seen with executorch 1.5.1, torch 2.13.0+cpu, torchao 0.18.0, tosa-tools 2026.5.0, Python 3.11.7, for TOSA-1.0+INT:

    TosaValueError: TOSA requires input_zp to be zero when the input dtype is torch.int32.

ExecuTorch releases: crash on 1.5.1, 1.5.0, 1.4.1, 1.4.0; exact on 1.3.1, 1.2.0 (the program before it was reduced,
for TOSA-1.0+INT).

Why: torch casts the input of sum, mean, cumsum and prod to the dtype of their result: (x > 0).cumsum(1,
dtype=torch.float32) counts in float32. The backend's support lists accept these ops whatever they read, and its
passes drop the cast. DecomposeCumsumPass turns a cumulative sum into a depthwise convolution, which TOSA does not
have for bool and int32, and whose int32 result for int8 is not what the graph says. sum, prod, amax and amin become
REDUCE ops, which do not take bool, and a sum of int32 stays int32 where floats are expected. A mean becomes a
REDUCE_SUM of its input and a MUL by a float. A result in int64, torch's default, keeps the op on the CPU.

This is rule DT510 of fuseguard (reduction-of-raw-numbers). The program was quantized by Arm's TOSAQuantizer with
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

TARGET = "TOSA-1.0+INT"


class Program(torch.nn.Module):
    """The quantized program: integer weights, and an explicit Q and DQ for each value."""

    def forward(self, x: torch.Tensor, counts: torch.Tensor) -> Any:
        quantize_per_tensor = decomposed.quantize_per_tensor.default(x, 0.023611310869455338, -17, -128, 127,
            torch.int8)
        dequantize_per_tensor = decomposed.dequantize_per_tensor.default(quantize_per_tensor, 0.023611310869455338,
            -17, -128, 127, torch.int8)
        sum_1 = aten.sum.dim_IntList(counts, [1], True, dtype=torch.float32)
        quantize_per_tensor_1 = decomposed.quantize_per_tensor.default(sum_1, 0.21558095514774323, -3, -128, 127,
            torch.int8)
        dequantize_per_tensor_1 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_1,
            0.21558095514774323, -3, -128, 127, torch.int8)
        mul = aten.mul.Tensor(dequantize_per_tensor_1, dequantize_per_tensor)
        quantize_per_tensor_2 = decomposed.quantize_per_tensor.default(mul, 0.3817705810070038, -16, -128, 127,
            torch.int8)
        dequantize_per_tensor_2 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_2,
            0.3817705810070038, -16, -128, 127, torch.int8)
        return (dequantize_per_tensor_2,)


def inputs() -> tuple[torch.Tensor, ...]:
    """What shows the fault."""
    value_0 = torch.tensor([-1.1258398], dtype=torch.float32).reshape(1, 1, 1, 1)
    value_1 = torch.tensor([-3], dtype=torch.int32).reshape(1, 1, 1, 1)
    return (value_0, value_1)


def quantized_program() -> ExportedProgram:
    """What convert_pt2e and torch.export.export yield."""
    program = torch.export.export(Program().eval(), inputs())
    # By module and call: the ops that Arm's quantizer has annotated.
    annotated: list[list[int]] = [[2, 5]]
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
