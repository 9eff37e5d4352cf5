"""_to_dim_order_copy -> index_add: the Arm backend raises.

Seen with executorch 1.5.1, torch 2.13.0+cpu, torchao 0.18.0, tosa-tools 2026.5.0, Python 3.11.7, for
TOSA-1.0+INT+FP:

    AssertionError: index.Tensor: None indices are not supported at the moment (indices[0] is None).

ExecuTorch releases: crash on 1.5.1, 1.5.0, 1.4.1, 1.4.0, 1.3.1, 1.2.0 (the program before it was reduced, for
TOSA-1.0+INT+FP).

Why: The partitioner asks each op's support check whether the backend can lower it. For some ops, there is no check
of what their lowering requires. The TOSA PAD op takes no negative padding, which crops in PyTorch. LOGICAL_NOT,
LOGICAL_AND, LOGICAL_OR, LOGICAL_XOR, REDUCE_ANY and REDUCE_ALL take only bools, but PyTorch's ops take any number
for true if it is not zero. ADD, EQUAL, GREATER, MAXIMUM and the like take no bools. The edge dialect makes an
index_put that accumulates of an index_add, and AccumulateIndexPutPass reads the old values with an index that
leaves out dimensions, which the backend cannot lower. In all of these cases, lowering raises an exception.

This is rule OP721 of fuseguard (op-form-not-lowered). The program was quantized by Arm's TOSAQuantizer with the
configuration int8-per-channel.

Prints the traceback, and exits with 1, if the fault is there.

fuseguard reduce cut this out of a program with 6 ops. The quantization parameters are that program's.
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
        self.register_buffer("_tensor_constant0", torch.tensor([0], dtype=torch.int64))

    def forward(self, select_value: torch.Tensor, slice_1_value: torch.Tensor) -> Any:
        quantize_per_tensor_2 = decomposed.quantize_per_tensor.default(select_value, 0.012352216057479382, 27, -128,
            127, torch.int8)
        dequantize_per_tensor_3 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_2,
            0.012352216057479382, 27, -128, 127, torch.int8)
        _to_dim_order_copy = torch.ops.dim_order_ops._to_dim_order_copy.default(self._tensor_constant0,
            dtype=torch.int32)
        quantize_per_tensor_4 = decomposed.quantize_per_tensor.default(slice_1_value, 0.02030598372220993, 1, -128,
            127, torch.int8)
        dequantize_per_tensor_5 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_4,
            0.02030598372220993, 1, -128, 127, torch.int8)
        index_add = aten.index_add.default(dequantize_per_tensor_3, 1, _to_dim_order_copy, dequantize_per_tensor_5)
        quantize_per_tensor_5 = decomposed.quantize_per_tensor.default(index_add, 0.01996009796857834, 28, -128,
            127, torch.int8)
        dequantize_per_tensor_6 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_5,
            0.01996009796857834, 28, -128, 127, torch.int8)
        return (dequantize_per_tensor_6,)


def inputs() -> tuple[torch.Tensor, ...]:
    """What shows the fault."""
    value_0 = torch.tensor([0.1605788], dtype=torch.float32).reshape(1, 1, 1)
    value_1 = torch.tensor([0.5888735], dtype=torch.float32).reshape(1, 1, 1)
    return (value_0, value_1)


def quantized_program() -> ExportedProgram:
    """What convert_pt2e and torch.export.export yield."""
    program = torch.export.export(Program().eval(), inputs())
    # By module and call: the ops that Arm's quantizer has annotated.
    annotated: list[list[int]] = [[]]
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
