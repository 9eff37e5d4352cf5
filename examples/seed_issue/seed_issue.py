"""The bug report that fuseguard grew out of: a ReLU after a convolution, concatenated with a signed tensor.

    python examples/seed_issue/seed_issue.py

The concatenation gives the ReLU's output a zero point of -111 while its lowest code is -127. Depending on the
release, the backend then crashes or silently drops the ReLU. The script checks the program, lowers it for two
targets as it is, with fuseguard's checks and after fuseguard's repair, and runs the delegates in the TOSA reference
model.
"""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any

# torch, torchao and the backend warn of much that is not the reader's concern here, some of it while imported.
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

import torch  # noqa: E402
from executorch.backends.arm.quantizer import VgfQuantizer, get_symmetric_quantization_config  # noqa: E402
from executorch.backends.arm.vgf import VgfCompileSpec  # noqa: E402
from torch.export import ExportedProgram  # noqa: E402
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e  # noqa: E402

import fuseguard  # noqa: E402
from fuseguard.executorch import prove, repair  # noqa: E402

TARGETS = ("TOSA-1.0+INT+FP", "TOSA-1.0+INT")
WAYS = ("unguarded", "guarded", "repaired")
WIDTHS = (15, 9, 7, 17, 17)


class SeedIssue(torch.nn.Module):
    """The reported model, to the letter."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(4, 4, 3, padding=1)
        self.conv2 = torch.nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """[1, 4, h, w] twice to [1, 4, h, w]."""
        rectified = torch.relu(self.conv1(x))
        joined: torch.Tensor = self.conv2(torch.cat([rectified, y], dim=1))
        return joined


def quantized() -> tuple[ExportedProgram, tuple[torch.Tensor, torch.Tensor]]:
    """The quantized program and its inputs."""
    torch.manual_seed(0)
    model = SeedIssue().eval()
    inputs = (torch.rand(1, 4, 16, 16), torch.rand(1, 4, 16, 16) - 0.065)
    quantizer = VgfQuantizer(VgfCompileSpec())
    limits = {"act_qmin": -127, "act_qmax": 127, "weight_qmin": -127, "weight_qmax": 127}
    quantizer.set_global(get_symmetric_quantization_config(is_per_channel=True, **limits))
    prepared = prepare_pt2e(_module(torch.export.export(model, inputs)), quantizer)
    prepared(*inputs)
    return torch.export.export(convert_pt2e(prepared), inputs), inputs


def _module(program: ExportedProgram) -> Any:
    """The program as a module without guards, which older releases' passes stumble over."""
    try:
        return program.module(check_guards=False)
    except TypeError:  # a torch without guards
        return program.module()


def main() -> int:
    """0 if every guarded and every repaired lowering can be trusted."""
    program, inputs = quantized()
    for node in program.graph.nodes:
        if "quantize_per_tensor.default" in str(node.target) and "relu" in str(node.args[0]):
            print(f"the quantized ReLU: zero point {node.args[2]}, lowest code {node.args[3]}\n")
    for finding in fuseguard.check(program, target=TARGETS[0]).findings:
        print(f"{finding.source}: {finding.code} {finding.name}: {finding.message}\n")

    _print_row("target", "lowering", "outcome", "worst error", "ops delegated/CPU")
    trusted = True
    for target in TARGETS:
        for way in WAYS:
            lowered = repair(program, target).program if way == "repaired" else program
            proof = prove(lowered, inputs, target, checks="guard" if way == "guarded" else None)
            trusted = trusted and (proof.ok or way == "unguarded")
            on_cpu = sum("quantize_per" not in name for name in proof.cpu_ops)
            error = f"{proof.max_error:.3g}" if proof.outputs else "-"
            ops = f"{proof.delegated_ops} / {on_cpu}" if proof.outputs else "-"
            _print_row(target, way, proof.outcome, error, ops)
            if proof.exception:
                print(f"    {proof.exception.splitlines()[0]}")
    return 0 if trusted else 1


def _print_row(*cells: str) -> None:
    print("  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
