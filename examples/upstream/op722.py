"""adaptive_max_pool2d: the Arm backend raises.

Seen with executorch 1.5.1, torch 2.13.0+cpu, torchao 0.18.0, tosa-tools 2026.5.0, Python 3.11.7, for TOSA-1.0+INT:

    SpecViolationError:

ExecuTorch releases: crash on 1.5.1, 1.5.0, 1.4.1, 1.4.0, 1.3.1, 1.2.0 (the program before it was reduced, for
TOSA-1.0+INT).

Why: Before anything is delegated, to_edge decomposes the ops of the program and makes the edge dialect of the
result. ExecuTorch's verifier then accepts only core ATen ops and copying views. Any other ATen op that no
decomposition removes raises SpecViolationError: torch.exp2, torch.cumprod and F.adaptive_max_pool2d, for instance,
and nn.Bilinear, which is decomposed into such an op. It does not matter where the op would run, so a partitioner
comes too late to prevent the error. The check is EdgeCompileConfig's _check_ir_validity, by default True. With
False, the same program is lowered, and the op runs on the CPU, unless it is on a list of Arm's backend (erfinv and
shifts are).

This is rule OP722 of fuseguard (edge-dialect-rejects-op). The program was quantized by Arm's TOSAQuantizer with the
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

TARGET = "TOSA-1.0+INT"


class Program(torch.nn.Module):
    """The quantized program: integer weights, and an explicit Q and DQ for each value."""

    def forward(self, conv2d_value: torch.Tensor) -> Any:
        quantize_per_tensor_1 = decomposed.quantize_per_tensor.default(conv2d_value, 0.012352216057479382, 27, -128,
            127, torch.int8)
        dequantize_per_tensor_1 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_1,
            0.012352216057479382, 27, -128, 127, torch.int8)
        adaptive_max_pool2d = aten.adaptive_max_pool2d.default(dequantize_per_tensor_1, [2, 2])
        getitem_1 = adaptive_max_pool2d[1]
        return (getitem_1,)


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
