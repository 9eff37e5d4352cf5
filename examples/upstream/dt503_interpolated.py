"""view_copy -> add -> rsqrt -> mul: the Arm backend lowers it, and computes something else.

Seen with executorch 1.5.1, torch 2.13.0+cpu, torchao 0.18.0, tosa-tools 2026.5.0, Python 3.11.7, for
TOSA-1.0+INT+FP+int16:

    output 0: 176 of 256 elements differ, the worst at (0, 1, 2, 0):
    expected -16.726, actual -48.3506

    in steps of the output's scale: 2.118e+04

ExecuTorch releases: wrong on 1.5.1, 1.5.0; bounded on 1.4.1, 1.4.0, 1.3.1; exact on 1.2.0 (the program before it
was reduced, for TOSA-1.0+INT+FP+int16).

Why: TOSA's TABLE maps int8 to int8, or int16 to 16 bits with 513 entries and interpolation between them.
InsertTableOpsPass makes the table for the output's dtype and never asks for the input's. What the function does
between two entries 128 codes apart is lost: steps (floor, round), poles (reciprocal and rsqrt near 0), periods (sin
of a wide range). Only codes that the program can reach count: the exp of a softmax reads 0 and less, and its
reciprocal a sum of 1 and more. Before 1.5 the last 128 codes get one value. Before 1.4 the table is shifted right
by ceil(log2(largest code)) - 15, and where the output uses 2**14 codes or fewer (a sigmoid that shares its range
with a wide tensor) that count is negative and the table comes out as zeros.

This is rule DT503 of fuseguard (lookup-table-width). The program was quantized by Arm's TOSAQuantizer with the
configuration a16w8.

Expected is what the program yields in torch. Its delegates run in the TOSA reference model (pip install
tosa-tools). Exits with 1 if the fault is there.

fuseguard reduce cut this out of a program with 6 ops. The quantization parameters are that program's.
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

TARGET = "TOSA-1.0+INT+FP+int16"


class Program(torch.nn.Module):
    """The quantized program: integer weights, and an explicit Q and DQ for each value."""

    def __init__(self) -> None:
        super().__init__()
        self._frozen_param1: torch.Tensor
        self.register_buffer("_frozen_param1", torch.tensor([0, 4, 41, 410], dtype=torch.int16))

    def forward(self, sub_value: torch.Tensor) -> Any:
        dequantize_per_tensor_3 = decomposed.dequantize_per_tensor.default(self._frozen_param1, 0.000244140625, 0,
            -32767, 32767, torch.int16)
        view_copy_1 = aten.view_copy.default(dequantize_per_tensor_3, [1, 4, 1, 1])
        quantize_per_tensor_2 = decomposed.quantize_per_tensor.default(view_copy_1, 0.000244140625, 0, -32767,
            32767, torch.int16)
        dequantize_per_tensor_4 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_2, 0.000244140625, 0,
            -32767, 32767, torch.int16)
        quantize_per_tensor_3 = decomposed.quantize_per_tensor.default(sub_value, 0.000244140625, 0, -32767, 32767,
            torch.int16)
        dequantize_per_tensor_5 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_3, 0.000244140625, 0,
            -32767, 32767, torch.int16)
        full = aten.full.default([1, 1, 1, 1], 1e-05, dtype=torch.float32)
        quantize_per_tensor_4 = decomposed.quantize_per_tensor.default(full, 0.000244140625, 0, -32767, 32767,
            torch.int16)
        dequantize_per_tensor_6 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_4, 0.000244140625, 0,
            -32767, 32767, torch.int16)
        add = aten.add.Tensor(dequantize_per_tensor_4, dequantize_per_tensor_6)
        quantize_per_tensor_5 = decomposed.quantize_per_tensor.default(add, 0.000244140625, 0, -32767, 32767,
            torch.int16)
        dequantize_per_tensor_7 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_5, 0.000244140625, 0,
            -32767, 32767, torch.int16)
        rsqrt = aten.rsqrt.default(dequantize_per_tensor_7)
        quantize_per_tensor_6 = decomposed.quantize_per_tensor.default(rsqrt, 0.002908451948314905, 0, -32767,
            32767, torch.int16)
        dequantize_per_tensor_8 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_6,
            0.002908451948314905, 0, -32767, 32767, torch.int16)
        mul = aten.mul.Tensor(dequantize_per_tensor_5, dequantize_per_tensor_8)
        quantize_per_tensor_7 = decomposed.quantize_per_tensor.default(mul, 0.0014928559539839625, 0, -32767, 32767,
            torch.int16)
        dequantize_per_tensor_9 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_7,
            0.0014928559539839625, 0, -32767, 32767, torch.int16)
        return (dequantize_per_tensor_9,)


def inputs() -> tuple[torch.Tensor, ...]:
    """What shows the fault."""
    value_0 = torch.tensor([0.11987305, -0.31103516, -0.068359375, 0.37060547, 0.09350586, -0.03149414, 0.28881836,
        0.053222656, 0.27783203, 0.3173828, 0.18920898, -0.16870117, 0.1862793, 0.25170898, 0.4008789, 0.0107421875,
        0.087890625, 0.022460938, 0.12817383, 0.088134766, -0.04321289, -0.1484375, 0.11254883, 0.052001953,
        0.10449219, 0.46044922, -0.29370117, -0.3173828, 0.24072266, 0.016845703, -0.23999023, -0.0009765625,
        -0.046142578, -0.07836914, 0.10864258, -0.07910156, 0.041015625, -0.09008789, -0.11450195, -0.111083984,
        -0.30615234, -0.24682617, 0.36401367, -0.11035156, -0.26513672, 0.037597656, -0.013916016, -0.09887695,
        -0.2956543, 0.51342773, -0.09472656, 0.06713867, 0.3017578, 0.4165039, 0.3413086, 0.47607422, -0.2133789,
        0.22290039, -0.028076172, 0.16113281, 0.06542969, -0.15209961, -0.31982422, 0.0036621094, 0.16845703,
        -0.080078125, 0.20800781, 0.0715332, -0.0007324219, -0.106933594, 0.23364258, 0.07885742, -0.20898438,
        -0.19140625, 0.006591797, 0.14208984, -0.3071289, -0.08251953, 0.19335938, 0.32495117, -0.5227051,
        -0.33935547, -0.045654297, 0.055908203, 0.0146484375, 0.22265625, 0.056396484, 0.08691406, 0.091308594,
        -0.1730957, 0.15625, -0.18530273, 0.041259766, -0.06665039, -0.08569336, 0.04663086, 0.19238281, 0.06982422,
        -0.18432617, -0.011230469, -0.14038086, 0.20727539, -0.12084961, -0.25585938, 0.024902344, 0.23291016,
        0.18457031, 0.27734375, 0.27490234, 0.13183594, 0.095214844, -0.20336914, 0.12207031, 0.09326172,
        0.39013672, -0.21264648, 0.22802734, -0.018066406, 0.1459961, -0.36914062, -0.020507812, -0.20678711,
        -0.0625, 0.049072266, 0.07543945, 0.22021484, -0.22851562, 0.0075683594, 0.057617188, 0.07739258,
        -0.040283203, -0.02368164, -0.16577148, -0.28149414, 0.32543945, 0.034423828, -0.14086914, 0.06298828,
        0.03149414, 0.07714844, 0.114746094, 0.19970703, 0.10864258, 0.01586914, 0.19970703, -0.099853516,
        0.15234375, 0.1237793, -0.059814453, -0.037597656, 0.38330078, 0.13793945, -0.06274414, -0.21582031,
        0.048095703, -0.27929688, 0.022705078, 0.22094727, -0.27905273, 0.0949707, 0.2163086, 0.026367188,
        0.31469727, 0.15625, 0.19750977, -0.29760742, 0.11743164, 0.03173828, 0.13330078, -0.19897461, -0.23779297,
        -0.23925781, 0.26245117, -0.041992188, 0.15625, 0.19799805, 0.034423828, 0.17529297, -0.057373047,
        0.2043457, -0.10229492, -0.34277344, -0.10205078, -0.0949707, 0.13256836, -0.24121094, 0.12158203,
        -0.109375, -0.22021484, -0.14404297, 0.0024414062, 0.067871094, -0.25073242, 0.19726562, -0.09887695,
        -0.2565918, 0.087646484, -0.0021972656, 0.26757812, -0.055908203, 0.057617188, -0.006591797, -0.21240234,
        -0.022949219, 0.0390625, -0.14746094, 0.3400879, 0.06933594, -0.029052734, 0.1274414, -0.056152344,
        -0.26586914, -0.13085938, 0.34399414, -0.19213867, -0.1274414, -0.17749023, 0.16772461, 0.23046875,
        -0.35229492, -0.22143555, -0.34350586, 0.30688477, -0.0007324219, 0.28808594, -0.022216797, 0.115478516,
        -0.033935547, 0.23779297, -0.03149414, -0.009033203, 0.12963867, -0.17407227, 0.029052734, 0.38061523,
        0.078125, 0.006591797, -0.20458984, 0.14672852, 0.22363281, 0.11694336, -0.23120117, -0.028564453,
        -0.0390625, 0.2980957, -0.14013672, 0.036132812, 0.2722168, -0.07324219, -0.26538086, 0.33911133,
        0.41308594, 0.051513672, -0.11303711, 0.18554688, 0.09643555], dtype=torch.float32).reshape(1, 4, 8, 8)
    return (value_0,)


def quantized_program() -> ExportedProgram:
    """What convert_pt2e and torch.export.export yield."""
    program = torch.export.export(Program().eval(), inputs())
    # By module and call: the ops that Arm's quantizer has annotated.
    annotated: list[list[int]] = [[1, 6, 9, 12, 15]]
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
