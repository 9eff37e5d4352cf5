"""sigmoid -> conv2d -> avg_pool2d: the Arm backend raises.

Seen with executorch 1.5.1, torch 2.13.0+cpu, torchao 0.18.0, tosa-tools 2026.5.0, Python 3.11.7, for TOSA-1.0+INT:

    TosaValueError: Unsupported input dtype torch.float32, supported types are (torch.int8,)

ExecuTorch releases: crash on 1.5.1, 1.5.0, 1.4.1, 1.4.0, 1.3.1; exact on 1.2.0 (the program before it was reduced,
for TOSA-1.0+INT).

Why: FoldAndAnnotateQParamsPass takes away the DQ in front of a table op and the Q after it; torch then says of
sigmoid, tanh, exp and the like that they make floats of integers, and of all that moves, clamps or convolves their
result that it is float too. That is put right only by InsertTableOpsPass, late. Passes that ask before it see
float32: AVG_POOL2D is built with a float accumulator (from 1.3 on), where is given branches of two dtypes, and at
the end of an INT+FP delegate the cast from codes is decorated as one from floats, unless the op in front still
carries its qparams; a linear, amax, amin and max_pool2d do not. Arithmetic ends it: add, mul and the like are
rescaled, which yields integers. Before 1.4 a matrix product of such codes and of int8 ones fails as well, before
1.3 after arithmetic too, which is rescaled later there, and after a relu or clamp, whose bounds are floats until
then.

This is rule DT508 of fuseguard (table-codes-taken-for-floats). The program was quantized by Arm's TOSAQuantizer
with the configuration int8-per-channel.

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

TARGET = "TOSA-1.0+INT"


class Program(torch.nn.Module):
    """The quantized program: integer weights, and an explicit Q and DQ for each value."""

    def __init__(self) -> None:
        super().__init__()
        self._scale_2: torch.Tensor
        self.register_buffer("_scale_2", torch.tensor([0.003684457, 0.0037969758, 0.003080746, 0.003532874],
            dtype=torch.float32))
        self._zero_point_2: torch.Tensor
        self.register_buffer("_zero_point_2", torch.full((4,), 0, dtype=torch.int64))
        self._scale_3: torch.Tensor
        self.register_buffer("_scale_3", torch.tensor([1.1517854e-05, 1.1869595e-05, 9.630614e-06, 1.1043995e-05],
            dtype=torch.float32))
        self._zero_point_3: torch.Tensor
        self.register_buffer("_zero_point_3", torch.full((4,), 0, dtype=torch.int32))
        self._frozen_param2: torch.Tensor
        self.register_buffer("_frozen_param2", torch.tensor([-67, -104, -127, -115, -27, 72, 71, -127, 101, -127,
            -34, -66, -27, -28, -127, -122], dtype=torch.int8).reshape(4, 4, 1, 1))
        self._frozen_param3: torch.Tensor
        self.register_buffer("_frozen_param3", torch.tensor([-6793, 545, -23585, 17054], dtype=torch.int32))

    def forward(self, conv2d_value: torch.Tensor) -> Any:
        quantize_per_tensor_1 = decomposed.quantize_per_tensor.default(conv2d_value, 0.012256328947842121, 15, -128,
            127, torch.int8)
        dequantize_per_tensor_1 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_1,
            0.012256328947842121, 15, -128, 127, torch.int8)
        sigmoid = aten.sigmoid.default(dequantize_per_tensor_1)
        quantize_per_tensor_2 = decomposed.quantize_per_tensor.default(sigmoid, 0.003126065479591489, -128, -128,
            127, torch.int8)
        dequantize_per_tensor_2 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_2,
            0.003126065479591489, -128, -128, 127, torch.int8)
        dequantize_per_channel_2 = decomposed.dequantize_per_channel.default(self._frozen_param2, self._scale_2,
            self._zero_point_2, 0, -127, 127, torch.int8)
        dequantize_per_channel_3 = decomposed.dequantize_per_channel.default(self._frozen_param3, self._scale_3,
            self._zero_point_3, 0, -2147483647, 2147483647, torch.int32)
        conv2d_1 = aten.conv2d.default(dequantize_per_tensor_2, dequantize_per_channel_2, dequantize_per_channel_3)
        quantize_per_tensor_3 = decomposed.quantize_per_tensor.default(conv2d_1, 0.0047756158746778965, 90, -128,
            127, torch.int8)
        dequantize_per_tensor_3 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_3,
            0.0047756158746778965, 90, -128, 127, torch.int8)
        avg_pool2d = aten.avg_pool2d.default(dequantize_per_tensor_3, [2, 2], [2, 2], [0, 0], False, False)
        quantize_per_tensor_4 = decomposed.quantize_per_tensor.default(avg_pool2d, 0.0047756158746778965, 90, -128,
            127, torch.int8)
        dequantize_per_tensor_4 = decomposed.dequantize_per_tensor.default(quantize_per_tensor_4,
            0.0047756158746778965, 90, -128, 127, torch.int8)
        return (dequantize_per_tensor_4,)


def inputs() -> tuple[torch.Tensor, ...]:
    """What shows the fault."""
    value_0 = torch.tensor([-0.3076638, -0.4827116, -0.40088877, -0.68830043, -0.70727664, -0.41896898, -0.5069273,
        -0.51835644, 0.2256509, -0.90602416, -0.052612044, -0.27334931, -0.0216638, 0.39510626, 0.05489245,
        -0.33608735, -0.58717555, 0.82249105, -0.2287729, 0.95546, -0.50301796, -0.76759857, -0.6457601, -0.7461791,
        0.038440973, 0.15449706, -0.92847526, -1.3682938, -0.13747545, -0.91218674, -0.2426996, -0.4531208,
        0.15924793, 0.26029122, 0.1814003, 0.55386543, -0.0013031512, -0.7626304, 0.107776016, 0.627164,
        0.056114092, -0.29113096, -0.061923675, -0.32349092, -0.66869986, 0.4195391, -0.69082516, -0.6168208,
        -0.36239338, -0.48702812, -0.62105584, 0.3594343, -0.5294869, 0.7689015, 0.37721598, 0.52742374,
        -0.38299844, 0.035916284, -0.07435729, 0.2913481, 0.16215265, 0.615762, -1.3966358, -0.13552085, -0.1644699,
        -0.23619595, 0.06986162, 1.1300173, -0.46346503, -0.5353606, 0.88537484, 0.1800073, 0.109947905, 0.19523399,
        0.54442877, -0.4198475, 0.3921063, 0.5173373, 0.8998951, 0.33385533, 0.48210984, -0.33786672, 0.41448003,
        -0.41162682, -0.38481784, 0.76940954, -1.1464022, -0.6437831, 0.32642567, 0.29422092, -0.27933326, 1.173974,
        0.63898075, -0.3271318, 0.5298238, 0.21495222, -0.074607514, -0.73918235, 0.09062512, 0.5979903, 0.4332096,
        -0.6184432, 1.2707857, -0.13952541, -0.09587959, -0.45479244, -0.42623198, -0.32204697, 0.39481813,
        -1.1845113, -0.6739255, -0.3745349, -0.12859277, -0.07285602, 0.41654223, -0.34639823, -1.0644217,
        -0.23893617, 0.30947578, 0.07542673, 0.1893297, 0.004915461, 0.16545862, -0.37809443, -0.27639532,
        -0.562678, 0.52267647, 0.47976518, 0.08231736, -0.4406416, 0.8213595, 0.61327004, -0.4988648, -0.9722744,
        -0.02154313, 0.41921198, -0.20488638, -0.15930557, 1.1454132, -0.0106581375, -1.0675745, -0.44084004,
        0.8148682, 0.1792897, 0.98219585, -0.8758974, -0.52026606, 0.34735423, 0.5837617, 0.43131566, 0.010573082,
        0.102726616, 0.8188367, 1.374904, -0.42003402, 0.4971357, 0.893132, 0.009014033, -0.7337698, 0.12540358,
        0.45688415, -0.22393495, -0.94937086, 0.54365164, 0.92975533, -0.059668705, 0.44353306, 0.06681203,
        0.8716173, -0.16894338, -0.20514143, 0.069901735, -0.15014991, 0.72520924, 1.09062, 0.074607186, 0.497816,
        -0.25409526, 0.36354002, 0.74720573, 0.35126615, 0.7620876, -0.32739854, -0.05810976, -0.14697504,
        -0.20369574, 0.38851306, 0.3724407, -1.0818328, -0.22104353, -0.66846, 0.32700178, 0.35536832, 0.55184716,
        0.12089118, 0.052254513, 0.70351315, 0.7233845, 0.5259789, 0.25413045, 0.022052085, 0.60295665, -0.22910723,
        0.22839849, 1.2418131, 0.21419686, -0.4541256, -0.14049, -0.5723728, 1.303444, -0.76991475, -1.1206219,
        0.14307952, 0.3545233, -1.7573519, 0.5461774, 0.10579005, 0.18023288, -1.060735, -0.47917622, -0.07327073,
        1.1906488, 0.6284161, 1.0384923, -0.06394827, -0.1479043, -0.50706154, 0.1921993, 0.19059108, -0.26132673,
        0.33492446, 0.31903282, -0.04448578, -0.43368185, -0.48787165, 0.83449006, 0.65559256, 0.27266625,
        -0.8114021, -0.6318234, -0.52799606, 0.19372566, 0.027476631, 0.6414458, -0.9722268, -0.25383067,
        -0.11473086, -0.54244304, 0.07730493, 0.5381361, 0.41389218, 0.6053828, 0.37676615, -0.09932972,
        -0.079949014, 0.1269153], dtype=torch.float32).reshape(1, 4, 8, 8)
    return (value_0,)


def quantized_program() -> ExportedProgram:
    """What convert_pt2e and torch.export.export yield."""
    program = torch.export.export(Program().eval(), inputs())
    # By module and call: the ops that Arm's quantizer has annotated.
    annotated: list[list[int]] = [[2, 7, 10]]
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
