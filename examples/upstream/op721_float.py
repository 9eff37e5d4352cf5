"""all: the Arm backend raises.

Seen with executorch 1.5.1, torch 2.13.0+cpu, torchao 0.18.0, tosa-tools 2026.5.0, Python 3.11.7, for
TOSA-1.0+INT+FP:

    TosaValueError: LOGICAL_NOT requires bool inputs but got torch.float32

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

    def forward(self, conv2d_value: torch.Tensor) -> Any:
        quantize_per_tensor_1 = decomposed.quantize_per_tensor.default(conv2d_value, 0.012352216057479382, 27, -128,
            127, torch.int8)
        dequantize_per_tensor_1 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_1,
            0.012352216057479382, 27, -128, 127, torch.int8)
        all_1 = aten.all.dim(dequantize_per_tensor_1, 1)
        return (all_1,)


def inputs() -> tuple[torch.Tensor, ...]:
    """What shows the fault."""
    value_0 = torch.tensor([0.16646945], dtype=torch.float32).reshape(1, 1, 1, 1)
    return (value_0,)


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
