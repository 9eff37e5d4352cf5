"""cat -> conv2d: the Arm backend lowers it, and the delegate cannot be run.

Seen with executorch 1.5.1, torch 2.13.0+cpu, torchao 0.18.0, tosa-tools 2026.5.0, Python 3.11.7, for TOSA-1.0+INT:

    the TOSA reference model aborted (exit code -11): An error occurred when running the model.

ExecuTorch releases: runtime_fault on 1.5.1, 1.5.0, 1.4.1, 1.4.0; exact on 1.3.1, 1.2.0 (the program before it was
reduced, for TOSA-1.0+INT).

Why: Since 1.4, PropagateViewCopyPermuteUpPass moves the permute before a convolution or pool past a cat if it
changes none of the cat's inputs. If the inputs have one channel, it changes none. The pass builds the new cat from
node.all_input_nodes, which names every input once: cat([x, x, x]) becomes cat([x]). A convolution then reads
weights that are not there, and a pool or permute returns a tensor that is too small. Equal operands that are
computed twice are merged earlier and lost in the same way.

This is rule OP711 of fuseguard (repeated-operand-lost). The program was quantized by Arm's TOSAQuantizer with the
configuration int8-per-channel.

Expected is what the program yields in torch. Its delegates run in the TOSA reference model (pip install
tosa-tools). Exits with 1 if the fault is there.

fuseguard reduce cut this out of a program with 2 ops. The quantization parameters are that program's.
"""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any

import torch
from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec
from executorch.backends.arm.tosa.partitioner import TOSAPartitioner
from executorch.exir import to_edge_transform_and_lower
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

aten, decomposed = torch.ops.aten, torch.ops.quantized_decomposed

TARGET = "TOSA-1.0+INT"


class Program(torch.nn.Module):
    """The quantized program: integer weights, and an explicit Q and DQ for each value."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_weight = torch.nn.Parameter(torch.full((1, 3, 3, 3,), -0.1838569, dtype=torch.float32),
            requires_grad=False)
        self.conv_bias = torch.nn.Parameter(torch.tensor([-0.010603924], dtype=torch.float32), requires_grad=False)
        self._scale_0: torch.Tensor
        self.register_buffer("_scale_0", torch.tensor([0.0014476922], dtype=torch.float32))
        self._zero_point_0: torch.Tensor
        self.register_buffer("_zero_point_0", torch.tensor([0], dtype=torch.int64))
        self._scale_1: torch.Tensor
        self.register_buffer("_scale_1", torch.tensor([2.4886569e-05], dtype=torch.float32))
        self._zero_point_1: torch.Tensor
        self.register_buffer("_zero_point_1", torch.tensor([0], dtype=torch.int32))
        self._frozen_param0: torch.Tensor
        self.register_buffer("_frozen_param0", torch.full((1, 3, 3, 3,), -127, dtype=torch.int8))
        self._frozen_param1: torch.Tensor
        self.register_buffer("_frozen_param1", torch.tensor([-426], dtype=torch.int32))

    def forward(self, x: torch.Tensor) -> Any:
        dequantize_per_channel = decomposed.dequantize_per_channel.default(self._frozen_param0, self._scale_0,
            self._zero_point_0, 0, -127, 127, torch.int8)
        dequantize_per_channel_1 = decomposed.dequantize_per_channel.default(self._frozen_param1, self._scale_1,
            self._zero_point_1, 0, -2147483647, 2147483647, torch.int32)
        quantize_per_tensor = decomposed.quantize_per_tensor.default(x, 0.017190512269735336, 14, -128, 127,
            torch.int8)
        dequantize_per_tensor = decomposed.dequantize_per_tensor.default(quantize_per_tensor, 0.017190512269735336,
            14, -128, 127, torch.int8)
        cat = aten.cat.default([dequantize_per_tensor, dequantize_per_tensor, dequantize_per_tensor], 1)
        quantize_per_tensor_1 = decomposed.quantize_per_tensor.default(cat, 0.017190512269735336, 14, -128, 127,
            torch.int8)
        dequantize_per_tensor_1 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_1,
            0.017190512269735336, 14, -128, 127, torch.int8)
        conv2d = aten.conv2d.default(dequantize_per_tensor_1, dequantize_per_channel, dequantize_per_channel_1)
        quantize_per_tensor_2 = decomposed.quantize_per_tensor.default(conv2d, 0.009967165999114513, -12, -128, 127,
            torch.int8)
        dequantize_per_tensor_2 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_2,
            0.009967165999114513, -12, -128, 127, torch.int8)
        return (dequantize_per_tensor_2,)


def inputs() -> tuple[torch.Tensor, ...]:
    """What shows the fault."""
    value_0 = torch.tensor([-0.21883368, -2.4350653, -0.07291476, -0.03398641, 0.9625183, 0.34916824, -0.921462,
        -0.056194786, -0.6226985, -0.46372217, 1.9217824, -0.40254554, 0.12390248, 1.1647835, 0.9233735, 1.3872952,
        -0.88337576, -0.41891348, -0.8048265, 0.56560963, 0.6103646, 0.46688354, 1.9506571, -1.0630985,
        -0.077325754, 0.11639865, -0.5939908, -1.2439282, -0.10209263, -1.0335484, -0.31263882, 0.24578547,
        -0.25964156, 0.11833705, 0.24395925, 1.1646006, 0.28857616, 0.38659775, -0.20106392, -0.117926985,
        0.19219905, -0.7721569, -1.9003453, 0.13067745, -0.70429397, 0.31472096, 0.15739289, 0.3853627, 0.9671457,
        -0.9910827, 0.30160543, -0.107316926, 0.9984566, -0.49871477, 0.7611109, 0.61830086, 0.31404856, 0.213333,
        -0.12005083, 0.36045972, -0.314035, -1.078708, 0.24081051, -1.3962272],
        dtype=torch.float32).reshape(1, 1, 8, 8)
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


#: Orders of dimensions in memory that the backend takes for a tensor's shape.
CHANNELS_LAST = ((0, 2, 3, 1), (0, 1, 3, 4, 2))


class Runner(torch.fx.Interpreter):
    """Runs an edge program: its own ops in torch, its delegates in the TOSA reference model (package tosa-tools)."""

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        if "executorch_call_delegate" not in str(target):
            return super().call_function(target, args, kwargs)
        import tosa_reference_model

        delegate, *values = args
        graph = delegate.original_module.graph
        names = set(delegate.original_module.graph_signature.user_inputs)
        given = [node.meta["val"] for node in graph.nodes if node.op == "placeholder" and node.name in names]
        (output,) = (node for node in graph.nodes if node.op == "output")
        yielded = [node.meta["val"] for node in output.args[0]]
        arrays = []
        for value, meta in zip(values, given, strict=True):
            order = tuple(meta.dim_order())
            arrays.append((value.permute(order) if order in CHANNELS_LAST else value).contiguous().numpy())
        results, status = tosa_reference_model.run(delegate.processed_bytes, arrays)
        if status.name != "TOSA_VALID":
            raise RuntimeError(f"the TOSA reference model says {status.name}")
        outputs = []
        for array, meta in zip(results, yielded, strict=True):
            result, order, shape = torch.from_numpy(array), tuple(meta.dim_order()), tuple(meta.shape)
            if (result.dtype, meta.dtype) == (torch.int8, torch.uint8):
                result = result.view(torch.uint8)
            if result.dtype != meta.dtype:
                raise RuntimeError(f"the delegate yields {result.dtype}, and the program expects {meta.dtype}")
            if order in CHANNELS_LAST:
                result = result.reshape([shape[dim] for dim in order])
                result = result.permute([order.index(dim) for dim in range(len(order))])
            outputs.append(result.reshape(shape))
        return outputs


def run(program: ExportedProgram, values: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    """The outputs of an edge program."""
    held = {**program.state_dict, **program.constants}
    given = iter(values)
    arguments = [
        next(given) if spec.kind == InputKind.USER_INPUT else held[str(spec.target)]
        for spec in program.graph_signature.input_specs
    ]
    with torch.no_grad():
        results = Runner(program.graph_module).run(*arguments)
    specs = program.graph_signature.output_specs
    return [value for value, spec in zip(results, specs, strict=True) if spec.kind == OutputKind.USER_OUTPUT]


def main() -> int:
    """1 if the fault is there, else 0."""
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    program = quantized_program()
    with torch.no_grad():
        expected = program.module()(*inputs())
    print("expected (torch)", *expected, sep="\n")
    actual = run(lower(program), inputs())
    print("actual (delegate)", *actual, sep="\n")
    found = 0
    for number, (want, got) in enumerate(zip(expected, actual, strict=True)):
        if want.shape != got.shape:
            print(f"output {number}: shape {tuple(got.shape)} instead of {tuple(want.shape)}")
            found = 1
            continue
        one, other = want.to(torch.float64), got.to(torch.float64)
        same = torch.isclose(other, one, rtol=0.0, atol=1e-5 * float(one.abs().max()), equal_nan=True)
        errors = (one - other).abs().nan_to_num(nan=float("inf")).masked_fill(same, 0.0)
        if not bool(same.all()):
            worst = tuple(int(index) for index in torch.unravel_index(errors.argmax(), errors.shape))
            print(
                f"output {number}: {int((~same).sum())} of {same.numel()} elements differ, the worst at {worst}: "
                f"expected {want[worst].item():.6g}, actual {got[worst].item():.6g}"
            )
            found = 1
    print("the lowering is wrong" if found else "the lowering is right")
    return found


if __name__ == "__main__":
    sys.exit(main())
