"""split -> mul: the Arm backend lowers it, and the delegate cannot be run.

Seen with executorch 1.5.1, torch 2.13.0+cpu, torchao 0.18.0, tosa-tools 2026.5.0, Python 3.11.7, for TOSA-1.0+INT:

    a delegate yields torch.int8 where the program expects torch.float32; on a device this is a fault or garbage

ExecuTorch releases: runtime_fault on 1.5.1, 1.5.0, 1.4.1, 1.4.0; exact on 1.3.1, 1.2.0 (the program before it was
reduced, for TOSA-1.0+INT).

Why: The halves of a split are quantized one by one, after it. If one half goes through an op that stays on the CPU
and comes back, the other half's quantize op falls into the next partition, so the split's own partition ends in a
float value. TOSAPartitioner._detag_boundary_nodes takes a quantize op off the entry of an INT partition and a
dequantize op off its exit, but not such a tail: the delegate yields int8 where the program expects float32. A
device refuses it or reads garbage (executorch #19364). Fixed after 1.5.1 by #22966. With float support the same
comes of an op that the backend does not know; what is merely left in float is delegated, and the split stays whole.

This is rule BO601 of fuseguard (float-tail-leaves-delegate). The program was quantized by Arm's TOSAQuantizer with
the configuration int8-per-channel.

Expected is what the program yields in torch. Its delegates run in the TOSA reference model (pip install
tosa-tools). Exits with 1 if the fault is there.

fuseguard reduce cut this out of a program with 5 ops. The quantization parameters are that program's.
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

    def forward(self, mul_value: torch.Tensor, exp_value: torch.Tensor) -> Any:
        quantize_per_tensor_1 = decomposed.quantize_per_tensor.default(mul_value, 0.030458975583314896, 1, -128,
            127, torch.int8)
        dequantize_per_tensor_2 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_1,
            0.030458975583314896, 1, -128, 127, torch.int8)
        split = aten.split.Tensor(dequantize_per_tensor_2, 4, 1)
        getitem = split[0]
        getitem_1 = split[1]
        quantize_per_tensor_2 = decomposed.quantize_per_tensor.default(getitem, 0.030458975583314896, 1, -128, 127,
            torch.int8)
        dequantize_per_tensor_3 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_2,
            0.030458975583314896, 1, -128, 127, torch.int8)
        quantize_per_tensor_3 = decomposed.quantize_per_tensor.default(getitem_1, 0.030458975583314896, 1, -128,
            127, torch.int8)
        dequantize_per_tensor_5 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_3,
            0.030458975583314896, 1, -128, 127, torch.int8)
        mul_1 = aten.mul.Tensor(exp_value, dequantize_per_tensor_3)
        quantize_per_tensor_4 = decomposed.quantize_per_tensor.default(mul_1, 0.7113490104675293, -127, -128, 127,
            torch.int8)
        dequantize_per_tensor_6 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_4,
            0.7113490104675293, -127, -128, 127, torch.int8)
        return (dequantize_per_tensor_5, dequantize_per_tensor_6)


def inputs() -> tuple[torch.Tensor, ...]:
    """What shows the fault."""
    value_0 = torch.tensor([0.88331026, -2.3453412, -0.5178026, 2.7717667, 0.7005564, -0.2436718, 2.1625874,
        0.3959667, 2.0712104, 2.3758001, 1.4315718, -1.279277, 1.4011128, 1.8884565, 3.0154386, 0.09137693,
        0.6700975, 0.18275386, 0.9746872, 0.6700975, -0.33504874, -1.1269821, 0.8528513, 0.3959667, 0.7919334,
        3.4418643, -2.1930463, -2.3758001, 1.7970796, 0.1218359, -1.7970796, 0.0, -0.33504874, -0.5787205,
        0.82239234, -0.5787205, 0.30458975, -0.6700975, -0.8528513, -0.82239234, -2.284423, -1.8579974, 2.7413077,
        -0.82239234, -1.9798334, 0.2741308, -0.09137693, -0.73101544, -2.223505, 3.837831, -0.7005564, 0.5178026,
        2.2539642, 3.1372743, 2.558554, 3.5637002, -1.6143258, 1.6752437, -0.21321282, 1.218359, 0.4873436,
        -1.1269821, -2.406259, 0.030458976, 1.248818, -0.6091795, 1.5534078, 0.5482616, 0.0, -0.7919334, 1.7666205,
        0.5787205, -1.5534078, -1.4315718, 0.06091795, 1.0660641, -2.314882, -0.6091795, 1.4620309, 2.436718,
        -3.9292078, -2.558554, -0.33504874, 0.42642564, 0.1218359, 1.6752437, 0.42642564, 0.6396385, 0.7005564,
        -1.309736, 1.157441, -1.4011128, 0.30458975, -0.4873436, -0.6396385, 0.33504874, 1.4315718, 0.5178026,
        -1.3706539, -0.09137693, -1.0660641, 1.5534078, -0.91376925, -1.9189155, 0.18275386, 1.7361615, 1.3706539,
        2.0712104, 2.0712104, 0.9746872, 0.7005564, -1.5229487, 0.91376925, 0.7005564, 2.9240618, -1.5838668,
        1.7057025, -0.1218359, 1.0965232, -2.7717667, -0.15229487, -1.5534078, -0.45688462, 0.36550772, 0.5787205,
        1.6447847, -1.7057025, 0.06091795], dtype=torch.float32).reshape(1, 8, 4, 4)
    value_1 = torch.tensor([2.4188938, 0.095814504, 0.5958284, 15.986853, 2.0148735, 0.7837448, 8.693601, 1.4858198,
        7.934421, 10.759619, 4.1852727, 0.27823842, 4.0597157, 6.6091595, 20.398035, 1.0956819, 1.9544278,
        1.2005188, 2.6503382, 1.9544278, 0.71530324, 0.32400963, 2.3463275, 1.4858198, 2.2076604, 31.245153,
        0.11157633, 0.09294009, 6.032006, 1.1295687, 0.16578233, 1.0, 0.71530324, 0.5606152, 2.2759383, 0.5606152,
        1.3560686, 0.5116587, 0.42619798, 0.43937925, 0.10183279, 0.15598467, 15.507251, 0.43937925, 0.13809225,
        1.3153869, 0.91267365, 0.4814199, 0.10822907, 46.42467, 0.49630904, 1.6783357, 9.525422, 23.040983,
        12.917125, 35.29355, 0.19902481, 5.340096, 0.8079842, 3.381634, 1.627986, 0.32400963, 0.09015192,
        1.0309275], dtype=torch.float32).reshape(1, 4, 4, 4)
    return (value_0, value_1)


def quantized_program() -> ExportedProgram:
    """What convert_pt2e and torch.export.export yield."""
    program = torch.export.export(Program().eval(), inputs())
    # By module and call: the ops that Arm's quantizer has annotated.
    annotated: list[list[int]] = [[2, 3, 4, 9]]
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
