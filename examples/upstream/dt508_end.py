"""tanh -> linear: the Arm backend raises.

Seen with executorch 1.5.1, torch 2.13.0+cpu, torchao 0.18.0, tosa-tools 2026.5.0, Python 3.11.7, for
TOSA-1.0+INT+FP:

    TosaValueError: Unsupported dtype torch.int8 for GREATER_EQUAL

ExecuTorch releases: crash on 1.5.1, 1.5.0, 1.4.1, 1.4.0, 1.3.1, 1.2.0 (the program before it was reduced, for
TOSA-1.0+INT+FP).

Why: FoldAndAnnotateQParamsPass removes the DQ before a table op and the Q after it. According to torch, sigmoid,
tanh, exp and the like then make floats from integers, and everything that moves, clamps or convolves their result
is float too. Only InsertTableOpsPass corrects this, and it runs late. Passes that ask earlier see float32.
AVG_POOL2D is built with a float accumulator (from 1.3 on). where gets branches of two dtypes. At the end of an
INT+FP delegate, the cast from codes is decorated as a cast from floats, unless the op before it still carries its
qparams; a linear, amax, amin and max_pool2d do not. Arithmetic ends the effect: add, mul and the like are rescaled,
which yields integers. Before 1.4, a matrix product of such codes and int8 codes fails as well. Before 1.3, it also
fails after arithmetic, which is rescaled later there, and after a relu or clamp, whose bounds are floats until
then.

This is rule DT508 of fuseguard (table-codes-taken-for-floats). The program was quantized by Arm's TOSAQuantizer
with the configuration int8-per-channel.

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

    def __init__(self) -> None:
        super().__init__()
        self._scale_2: torch.Tensor
        self.register_buffer("_scale_2", torch.tensor([0.0018984879], dtype=torch.float32))
        self._zero_point_2: torch.Tensor
        self.register_buffer("_zero_point_2", torch.tensor([0], dtype=torch.int64))
        self._scale_3: torch.Tensor
        self.register_buffer("_scale_3", torch.tensor([1.1573939e-05], dtype=torch.float32))
        self._zero_point_3: torch.Tensor
        self.register_buffer("_zero_point_3", torch.tensor([0], dtype=torch.int32))
        self._frozen_param2: torch.Tensor
        self.register_buffer("_frozen_param2", torch.tensor([-118], dtype=torch.int8).reshape(1, 1))
        self._frozen_param3: torch.Tensor
        self.register_buffer("_frozen_param3", torch.tensor([7811], dtype=torch.int32))

    def forward(self, linear_value: torch.Tensor) -> Any:
        dequantize_per_channel_2 = decomposed.dequantize_per_channel.default(self._frozen_param2, self._scale_2,
            self._zero_point_2, 0, -127, 127, torch.int8)
        dequantize_per_channel_3 = decomposed.dequantize_per_channel.default(self._frozen_param3, self._scale_3,
            self._zero_point_3, 0, -2147483647, 2147483647, torch.int32)
        quantize_per_tensor_1 = decomposed.quantize_per_tensor.default(linear_value, 0.008570900186896324, -31,
            -128, 127, torch.int8)
        dequantize_per_tensor_1 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_1,
            0.008570900186896324, -31, -128, 127, torch.int8)
        tanh = aten.tanh.default(dequantize_per_tensor_1)
        quantize_per_tensor_2 = decomposed.quantize_per_tensor.default(tanh, 0.006096398923546076, -17, -128, 127,
            torch.int8)
        dequantize_per_tensor_2 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_2,
            0.006096398923546076, -17, -128, 127, torch.int8)
        linear_1 = aten.linear.default(dequantize_per_tensor_2, dequantize_per_channel_2, dequantize_per_channel_3)
        quantize_per_tensor_3 = decomposed.quantize_per_tensor.default(linear_1, 0.0009919233852997422, 23, -128,
            127, torch.int8)
        dequantize_per_tensor_3 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_3,
            0.0009919233852997422, 23, -128, 127, torch.int8)
        return (dequantize_per_tensor_3,)


def inputs() -> tuple[torch.Tensor, ...]:
    """What shows the fault."""
    value_0 = torch.tensor([-0.2295346], dtype=torch.float32).reshape(1, 1)
    return (value_0,)


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
