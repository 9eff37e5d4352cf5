"""Quantizes a module with the backend's own quantizer, lowers it and prints the result, for test_hurry.py."""

from __future__ import annotations

import hashlib
import sys

import torch
from torch import nn

from fuseguard.executorch.hurry import hurry, hurry_alone
from fuseguard.executorch.lowering import compile_spec_for, lower_to_edge
from fuseguard.ir.view import View
from fuseguard.readers.fx import read_program
from fuseguard.target import Target
from fuseguard_testkit.quantizing import quantize

PROFILE = "TOSA-1.0+INT"


class Joined(nn.Module):
    """An anchor, a table, a pool and a cat; the batch norm and dropout are decomposed."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value = torch.relu(self.norm(self.conv(x)))
        return torch.cat([nn.functional.max_pool2d(value, 3, 1, 1), torch.sigmoid(value)], 1).mean((2, 3))


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    program = quantize(Joined().eval(), (torch.randn(1, 3, 6, 6),), PROFILE, "int8-per-channel")
    view = View(read_program(program))
    for node in view.graph:
        print(node.name, node.target, view.qparams(node))
    lowered = lower_to_edge(program, compile_spec_for(Target.parse(PROFILE)))
    for name, module in lowered.program.graph_module.named_children():
        print("delegate", name, hashlib.sha256(module.processed_bytes).hexdigest())
        print(*(f"{node.name} {node.target}" for node in module.original_module.graph.nodes), sep="\n")
    print(lowered.program.graph)


if __name__ == "__main__":
    if "--hurry" in sys.argv:
        hurry()
    if "--hurry-alone" in sys.argv:
        hurry_alone()
    main()
