"""mul -> mul: the Arm backend raises.

Seen with executorch 1.5.1, torch 2.13.0+cpu, torchao 0.18.0, tosa-tools 2026.5.0, Python 3.11.7, for
TOSA-1.0+INT+FP:

    ValueError: If input dtype is not int8 or int16, input_zp must be 0. Got input_dtype input_dtype=<DType.FP32:
    7>, input_zp=-128

ExecuTorch releases: crash on 1.5.1, 1.5.0, 1.4.1, 1.4.0; exact on 1.3.1, 1.2.0 (the program before it was reduced,
for TOSA-1.0+INT+FP).

Why: FoldAndAnnotateQParamsPass removes the Q after an annotated op, whether or not there is a DQ before it. With
float support, the op then computes in float, and its values are read as if they were the codes that the Q would
have made. The result is silently wrong where the values leave the delegate, and lowering crashes where a lookup
table or RESCALE reads them. The INT profile leaves the op on the CPU. With float support, an activation after a
float convolution or linear is right if FuseQuantizedActivationPass removes it and lets the Q saturate instead.

This is rule PL406 of fuseguard (annotated-op-reads-float). The program was quantized by Arm's TOSAQuantizer with
the configuration int8-per-channel.

Prints the traceback, and exits with 1, if the fault is there.

fuseguard reduce cut this out of a program with 4 ops. The quantization parameters are that program's.
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
        self._tensor_constant0: torch.Tensor
        self.register_buffer("_tensor_constant0", torch.tensor([0.25], dtype=torch.float32).reshape(1, 1, 1, 1))

    def forward(self, x: torch.Tensor, sum_1_value: torch.Tensor) -> Any:
        quantize_per_tensor = decomposed.quantize_per_tensor.default(x, 0.023611310869455338, -17, -128, 127,
            torch.int8)
        dequantize_per_tensor = decomposed.dequantize_per_tensor.default(quantize_per_tensor, 0.023611310869455338,
            -17, -128, 127, torch.int8)
        mul = aten.mul.Tensor(sum_1_value, self._tensor_constant0)
        quantize_per_tensor_2 = decomposed.quantize_per_tensor.default(mul, 0.003919653594493866, -128, -128, 127,
            torch.int8)
        dequantize_per_tensor_3 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_2,
            0.003919653594493866, -128, -128, 127, torch.int8)
        mul_1 = aten.mul.Tensor(dequantize_per_tensor_3, dequantize_per_tensor)
        quantize_per_tensor_3 = decomposed.quantize_per_tensor.default(mul_1, 0.015184324234724045, -42, -128, 127,
            torch.int8)
        dequantize_per_tensor_4 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_3,
            0.015184324234724045, -42, -128, 127, torch.int8)
        return (dequantize_per_tensor_4,)


def inputs() -> tuple[torch.Tensor, ...]:
    """What shows the fault."""
    value_0 = torch.tensor([-1.1258398], dtype=torch.float32).reshape(1, 1, 1, 1)
    value_1 = torch.tensor([0], dtype=torch.int64).reshape(1, 1, 1, 1)
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
