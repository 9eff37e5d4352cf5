"""add -> while_loop: the Arm backend lowers it, and computes something else.

Seen with executorch 1.5.1, torch 2.13.0+cpu, torchao 0.18.0, tosa-tools 2026.5.0, Python 3.11.7, for
TOSA-1.0+INT+FP+cf:

    output 0: 6 of 6 elements differ, the worst at (0, 0):
    expected 7.43918, actual 0

    in steps of the output's scale: 255

ExecuTorch releases: wrong on 1.5.1, 1.5.0, 1.4.1, 1.4.0, 1.3.1, 1.2.0 (the program before it was reduced, for
TOSA-1.0+INT+FP+cf).

Why: The backend folds the DQs in front of a control-flow op and the Qs after it, the Qs at the entries of its
bodies and the DQs at their exits, and puts RESCALEs into the bodies for the difference
(InsertControlFlowRescalesPass). It keeps one set of qparams for all operands, the first's, and one Q for each entry
of a body, the last. What a loop yields is rescaled to the qparams after the loop, also where it goes into the next
round, which reads it with those of the operands; where the two are the same, that is one rounding more for each
round. Arm's quantizer shares qparams among the operands and results, but not with the additional inputs of a
while_loop; before 1.4 a body that quantizes one of them does not lower at all. A loop that was calibrated on values
which never meet its condition is not warned about: what it compares is clamped to what was seen, and no input
enters it. Control flow is delegated only with the cf extension; without it the op stays on the CPU, and nothing is
reported.

This is rule BO603 of fuseguard (control-flow-qparams-disagree). The program was quantized by Arm's TOSAQuantizer
with the configuration int8-per-channel.

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

TARGET = "TOSA-1.0+INT+FP+cf"


class ProgramWhileLoopCondGraph0(torch.nn.Module):
    """A body of control flow."""

    def forward(self, arg0_1: torch.Tensor, arg1_1: torch.Tensor) -> Any:
        quantize_per_tensor = decomposed.quantize_per_tensor.default(arg0_1, 0.03378657251596451, -93, -128, 127,
            torch.int8)
        dequantize_per_tensor = decomposed.dequantize_per_tensor.default(quantize_per_tensor, 0.03378657251596451,
            -93, -128, 127, torch.int8)
        sum_1 = aten.sum.dim_IntList(dequantize_per_tensor, [0, 1], True)
        quantize_per_tensor_1 = decomposed.quantize_per_tensor.default(sum_1, 0.12760679423809052, -128, -128, 127,
            torch.int8)
        dequantize_per_tensor_1 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_1,
            0.12760679423809052, -128, -128, 127, torch.int8)
        reshape = aten.reshape.default(dequantize_per_tensor_1, [1])
        quantize_per_tensor_2 = decomposed.quantize_per_tensor.default(reshape, 0.12760679423809052, -128, -128,
            127, torch.int8)
        dequantize_per_tensor_2 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_2,
            0.12760679423809052, -128, -128, 127, torch.int8)
        full = aten.full.default([1], 30.0, device=torch.device("cpu"), pin_memory=False)
        quantize_per_tensor_3 = decomposed.quantize_per_tensor.default(full, 0.12760679423809052, -128, -128, 127,
            torch.int8)
        dequantize_per_tensor_3 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_3,
            0.12760679423809052, -128, -128, 127, torch.int8)
        lt = aten.lt.Tensor(dequantize_per_tensor_2, dequantize_per_tensor_3)
        squeeze = aten.squeeze.default(lt)
        return squeeze


class ProgramWhileLoopBodyGraph0(torch.nn.Module):
    """A body of control flow."""

    def forward(self, arg0_1: torch.Tensor, arg1_1: torch.Tensor) -> Any:
        quantize_per_tensor = decomposed.quantize_per_tensor.default(arg0_1, 0.031042812392115593, -90, -128, 127,
            torch.int8)
        dequantize_per_tensor = decomposed.dequantize_per_tensor.default(quantize_per_tensor, 0.031042812392115593,
            -90, -128, 127, torch.int8)
        quantize_per_tensor_1 = decomposed.quantize_per_tensor.default(arg1_1, 0.0027450979687273502, -128, -128,
            127, torch.int8)
        dequantize_per_tensor_1 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_1,
            0.0027450979687273502, -128, -128, 127, torch.int8)
        dequantize_per_tensor_2 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_1,
            0.0027450979687273502, -128, -128, 127, torch.int8)
        clone = aten.clone.default(dequantize_per_tensor_2)
        quantize_per_tensor_2 = decomposed.quantize_per_tensor.default(clone, 0.0027450979687273502, -128, -128,
            127, torch.int8)
        dequantize_per_tensor_3 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_2,
            0.0027450979687273502, -128, -128, 127, torch.int8)
        add = aten.add.Tensor(dequantize_per_tensor, dequantize_per_tensor_1)
        quantize_per_tensor_3 = decomposed.quantize_per_tensor.default(add, 0.031042812392115593, -113, -128, 127,
            torch.int8)
        dequantize_per_tensor_4 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_3,
            0.031042812392115593, -113, -128, 127, torch.int8)
        return (dequantize_per_tensor_4, dequantize_per_tensor_3)


class Program(torch.nn.Module):
    """The quantized program: integer weights, and an explicit Q and DQ for each value."""

    def __init__(self) -> None:
        super().__init__()
        self._frozen_param0: torch.Tensor
        self.register_buffer("_frozen_param0", torch.tensor([127], dtype=torch.int8).reshape(1, 1))
        self._frozen_param1: torch.Tensor
        self.register_buffer("_frozen_param1", torch.tensor([127], dtype=torch.int8))
        self.while_loop_cond_graph_0 = ProgramWhileLoopCondGraph0()
        self.while_loop_body_graph_0 = ProgramWhileLoopBodyGraph0()

    def forward(self, x: torch.Tensor) -> Any:
        quantize_per_tensor = decomposed.quantize_per_tensor.default(x, 0.01458027120679617, 21, -128, 127,
            torch.int8)
        dequantize_per_tensor = decomposed.dequantize_per_tensor.default(quantize_per_tensor, 0.01458027120679617,
            21, -128, 127, torch.int8)
        dequantize_per_tensor_1 = decomposed.dequantize_per_tensor.default(self._frozen_param0,
            0.003921568859368563, -128, -128, 127, torch.int8)
        add = aten.add.Tensor(dequantize_per_tensor, dequantize_per_tensor_1)
        quantize_per_tensor_1 = decomposed.quantize_per_tensor.default(add, 0.01458027120679617, -47, -128, 127,
            torch.int8)
        dequantize_per_tensor_2 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_1,
            0.01458027120679617, -47, -128, 127, torch.int8)
        dequantize_per_tensor_3 = decomposed.dequantize_per_tensor.default(self._frozen_param1,
            0.0027450979687273502, -128, -128, 127, torch.int8)
        while_loop = torch.ops.higher_order.while_loop(self.while_loop_cond_graph_0, self.while_loop_body_graph_0,
            (dequantize_per_tensor_2, dequantize_per_tensor_3), ())
        getitem = while_loop[0]
        getitem_1 = while_loop[1]
        quantize_per_tensor_2 = decomposed.quantize_per_tensor.default(getitem, 0.02917325124144554, -128, -128,
            127, torch.int8)
        dequantize_per_tensor_4 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_2,
            0.02917325124144554, -128, -128, 127, torch.int8)
        return (dequantize_per_tensor_4,)


def inputs() -> tuple[torch.Tensor, ...]:
    """What shows the fault."""
    value_0 = torch.tensor([1.5409961, -0.2934289, -2.1787894, 0.56843126, -1.0845224, -1.3985955],
        dtype=torch.float32).reshape(2, 3)
    return (value_0,)


def quantized_program() -> ExportedProgram:
    """What convert_pt2e and torch.export.export yield."""
    program = torch.export.export(Program().eval(), inputs())
    # By module and call: the ops that Arm's quantizer has annotated.
    annotated: list[list[int]] = [[3, 7, 8, 9], [2, 5, 8, 11, 12], [5, 8]]
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
        if str(target) == "cond":
            predicate, if_true, if_false, operands = args
            return Runner(if_true if bool(predicate) else if_false).run(*operands)
        if str(target) == "while_loop":
            condition, body, carried, additional = args
            while bool(Runner(condition).run(*carried, *additional)):
                carried = Runner(body).run(*carried, *additional)
            return carried
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
