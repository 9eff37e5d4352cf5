"""dot: the Arm backend raises.

Seen with executorch 1.5.1, torch 2.13.0+cpu, torchao 0.18.0, tosa-tools 2026.5.0, Python 3.11.7, for
TOSA-1.0+INT+FP:

    StopIteration:

ExecuTorch releases: crash on 1.5.1, 1.5.0, 1.4.1, 1.4.0; exact on 1.3.1, 1.2.0 (the program before it was reduced,
for TOSA-1.0+INT+FP).

Why: A sum, amax, any or mean over all dimensions, a select, a squeeze and a reshape to () end in a view to rank 0,
and so does a dot or a loss, which the edge dialect reduces to a sum or a mean. InsertConstShapesPass gives the view
its shape as a separate node, CONST_SHAPE(()), which yields an empty list. ExecuTorch runs its verifier of the edge
IR after the backend's passes, and EdgeOpArgValidator asks each node for its first result: StopIteration. If another
view follows directly, it merges with the first one, and nothing fails. The check is EdgeCompileConfig's
_check_ir_validity, by default True. Arm's own ahead-of-time compiler sets it to False, and the same program is then
lowered exactly. 1.2 and 1.3 lower it either way, so the rule reports nothing for them.

This is rule OP712 of fuseguard (view-to-rank-zero). The program was quantized by Arm's TOSAQuantizer with the
configuration int8-per-channel.

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

    def forward(self, flatten_value: torch.Tensor, flatten_1_value: torch.Tensor) -> Any:
        quantize_per_tensor_2 = decomposed.quantize_per_tensor.default(flatten_value, 0.012352216057479382, 27,
            -128, 127, torch.int8)
        dequantize_per_tensor_3 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_2,
            0.012352216057479382, 27, -128, 127, torch.int8)
        quantize_per_tensor_3 = decomposed.quantize_per_tensor.default(flatten_1_value, 0.02030598372220993, 1,
            -128, 127, torch.int8)
        dequantize_per_tensor_4 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_3,
            0.02030598372220993, 1, -128, 127, torch.int8)
        dot = aten.dot.default(dequantize_per_tensor_3, dequantize_per_tensor_4)
        quantize_per_tensor_4 = decomposed.quantize_per_tensor.default(dot, 0.05559372901916504, -128, -128, 127,
            torch.int8)
        dequantize_per_tensor_5 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_4,
            0.05559372901916504, -128, -128, 127, torch.int8)
        return (dequantize_per_tensor_5,)


def inputs() -> tuple[torch.Tensor, ...]:
    """What shows the fault."""
    value_0 = torch.tensor([0.1605788], dtype=torch.float32)
    value_1 = torch.tensor([0.5888735], dtype=torch.float32)
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
