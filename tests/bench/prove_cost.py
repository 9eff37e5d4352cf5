"""What a proof of a network costs: seconds and peak memory, by step.

    PYTHONPATH=<torchvision> .venvs/1.5.1/bin/python tests/bench/prove_cost.py resnet18 224
    PYTHONPATH=<torchvision> .venvs/1.5.1/bin/python tests/bench/prove_cost.py mobilenet_v2 96 --all-inputs

The network has random weights, and is quantized to int8 by Arm's quantizer, calibrated on one input. Torchvision is
not a dependency: install it beside the environment, without its own dependencies.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from fuseguard.executorch import prove
from fuseguard.executorch.quantizing import quantize
from fuseguard.executorch.reference_model import _WORKER

SPEC = "TOSA-1.0+INT"


class Steps:
    """The steps of a proof by the text of their progress lines, the cells together."""

    def __init__(self) -> None:
        self.name = "quantizing"
        self.began = _seconds()
        self.total = self.began

    def __call__(self, text: str) -> None:
        name = "cells" if text.startswith("cell ") else text
        if name != self.name:
            self.end()
            self.name = name

    def end(self) -> None:
        spent = (now - before for now, before in zip(_seconds(), self.began, strict=True))
        child = _WORKER._child._process
        of_child = f", of the reference model {_peak(child.pid):.0f} MiB" if child is not None else ""
        print(f"{self.name:28} {_said(*spent)}, peak {_peak('self'):.0f} MiB{of_child}", flush=True)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts again
        self.began = _seconds()


def _seconds() -> tuple[float, float]:
    """By the clock, and of processor time of this process and of the reference model's."""
    child = _WORKER._child._process
    # Linux's number for the processor time of another process, as clock_getcpuclockid(3) computes it.
    of_child = time.clock_gettime((~child.pid << 3) | 2) if child is not None else 0.0
    return time.monotonic(), time.process_time() + of_child


def _said(wall: float, processor: float) -> str:
    return f"{wall:.1f} s ({processor:.1f} s of processor time)"


def _peak(process: int | str) -> float:
    """The largest resident size in MiB."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def network_of(name: str, size: int) -> torch.nn.Module:
    """A network of torchvision with random weights; its batch norms know the statistics of random images."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):  # torchvision's own operators need not fit the installed torch: none is used
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

    network: torch.nn.Module = torchvision.models.get_model(name, weights=None)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        network.train()(torch.randn(4, 3, size, size))
    return network.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="as torchvision.models calls it")
    parser.add_argument("size", type=int, help="height and width of the image")
    parser.add_argument("--all-inputs", action="store_true")
    parser.add_argument("--no-locate", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = network_of(options.network, options.size)
    inputs = (torch.randn(1, 3, options.size, options.size),)
    steps = Steps()
    program = quantize(network, inputs, SPEC)
    locate = not options.no_locate
    proof = prove(program, inputs, SPEC, locate=locate, all_inputs=options.all_inputs, progress=steps)
    steps.end()
    total = (now - before for now, before in zip(_seconds(), steps.total, strict=True))
    print(proof.outcome, f"{len(proof.cells)} cells, {_said(*total)} in all")
    if proof.all_inputs is not None:
        found = proof.all_inputs
        print(f"{found.share_proved:.1%} of {len(found.cells)} proved in {found.seconds:.1f} s")
        for cell in (*found.refuted, *found.remaining):
            print(cell.status, cell.value, cell.ops, cell.reason)


if __name__ == "__main__":
    main()
