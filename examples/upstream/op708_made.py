"""conv2d -> log_sigmoid: the Arm backend raises.

Seen with executorch 1.5.1, torch 2.13.0+cpu, torchao 0.18.0, tosa-tools 2026.5.0, Python 3.11.7, for
TOSA-1.0+INT+FP:

    RuntimeError: Attempting to broadcast a dimension of length 2 at -1! Mismatching argument at index 1 had
    torch.Size([1, 4, 1, 2]); but expected shape should be broadcastable to [1, 1, 2, 4]

ExecuTorch releases: crash on 1.5.1, 1.5.0; exact on 1.4.1, 1.4.0, 1.3.1, 1.2.0 (the program before it was reduced,
for TOSA-1.0+INT+FP).

Why: Since 1.5, PropagateViewCopyPermuteUpPass moves permutes, including those around convolutions and pools,
through elementwise ops. It may move one through an op with two operands if one operand is a single number, which no
permute changes. But it then puts the permute before the first operand, whichever that is. If the first operand is
the number, the permute of the other one is lost: the elements come out in another order, or in a shape that the
next op does not accept. 1 - x is such an op; x - 1 is not. The edge dialect makes minimum(0, x) of a log_sigmoid,
which the backend delegates where floats are lowered.

This is rule OP708 of fuseguard (permute-lands-on-scalar). The program was quantized by Arm's TOSAQuantizer with the
configuration int8-per-channel.

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
        self.conv_weight = torch.nn.Parameter(torch.full((4, 4, 1, 1,), -0.47767425, dtype=torch.float32),
            requires_grad=False)
        self.conv_bias = torch.nn.Parameter(torch.tensor([0.1976676, 0.3000114, -0.33897054, -0.21773142],
            dtype=torch.float32), requires_grad=False)
        self._scale_0: torch.Tensor
        self.register_buffer("_scale_0", torch.tensor([0.0032403353, 0.0031216121, 0.0011898152, 0.0037612144],
            dtype=torch.float32))
        self._zero_point_0: torch.Tensor
        self.register_buffer("_zero_point_0", torch.full((4,), 0, dtype=torch.int64))
        self._scale_1: torch.Tensor
        self.register_buffer("_scale_1", torch.tensor([6.5798195e-05, 6.338741e-05, 2.4160368e-05, 7.637516e-05],
            dtype=torch.float32))
        self._zero_point_1: torch.Tensor
        self.register_buffer("_zero_point_1", torch.full((4,), 0, dtype=torch.int32))
        self._frozen_param0: torch.Tensor
        self.register_buffer("_frozen_param0", torch.full((4, 4, 1, 1,), -127, dtype=torch.int8))
        self._frozen_param1: torch.Tensor
        self.register_buffer("_frozen_param1", torch.tensor([3004, 4733, -14030, -2851], dtype=torch.int32))

    def forward(self, x: torch.Tensor) -> Any:
        dequantize_per_channel = decomposed.dequantize_per_channel.default(self._frozen_param0, self._scale_0,
            self._zero_point_0, 0, -127, 127, torch.int8)
        dequantize_per_channel_1 = decomposed.dequantize_per_channel.default(self._frozen_param1, self._scale_1,
            self._zero_point_1, 0, -2147483647, 2147483647, torch.int32)
        quantize_per_tensor = decomposed.quantize_per_tensor.default(x, 0.02030598372220993, 1, -128, 127,
            torch.int8)
        dequantize_per_tensor = decomposed.dequantize_per_tensor.default(quantize_per_tensor, 0.02030598372220993,
            1, -128, 127, torch.int8)
        conv2d = aten.conv2d.default(dequantize_per_tensor, dequantize_per_channel, dequantize_per_channel_1)
        quantize_per_tensor_1 = decomposed.quantize_per_tensor.default(conv2d, 0.012983565218746662, -4, -128, 127,
            torch.int8)
        dequantize_per_tensor_1 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_1,
            0.012983565218746662, -4, -128, 127, torch.int8)
        log_sigmoid = aten.log_sigmoid.default(dequantize_per_tensor_1)
        quantize_per_tensor_2 = decomposed.quantize_per_tensor.default(log_sigmoid, 0.007011160254478455, 127, -128,
            127, torch.int8)
        dequantize_per_tensor_2 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_2,
            0.007011160254478455, 127, -128, 127, torch.int8)
        return (dequantize_per_tensor_2,)


def inputs() -> tuple[torch.Tensor, ...]:
    """What shows the fault."""
    value_0 = torch.tensor([0.59883946, -1.5550951, -1.478174, 2.5672328, 0.9625183, 0.34916824, 0.9984566,
        -0.49871477], dtype=torch.float32).reshape(1, 4, 1, 2)
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
