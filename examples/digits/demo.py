"""What a plain lowering does to a trained model, and what fuseguard does about it. Run it with ``make demo``.

Trains a classifier, quantizes it with Arm's quantizer, checks the exported file, then lowers it as the backend
would, with fuseguard's checks and after fuseguard's repair, and runs every delegate in the TOSA reference model on all
test images. Where the engine vgf works (``fuseguard doctor``), the VGF of the same program also runs on Vulkan, unless
``--no-vgf`` is given.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

# torch, torchao and the backend warn of much that is not the reader's concern here, some of it while imported.
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

import torch  # noqa: E402
from train import Digits, quantize, train  # noqa: E402

from fuseguard.executorch import prove, repair  # noqa: E402
from fuseguard.executorch.engines.status import vgf_status  # noqa: E402

if TYPE_CHECKING:
    from fuseguard.executorch import Proof

TARGETS = ("TOSA-1.0+INT+FP", "TOSA-1.0+INT")
WAYS = ("unguarded", "guarded", "repaired")
OUTPUT = Path(__file__).parent / "out"

HEADER = (
    "target", "lowering", "outcome", "wrong logits", "ties", "largest error", "predictions changed", "accuracy",
    "delegated/CPU",
)  # fmt: skip
WIDTHS = (15, 9, 7, 12, 4, 13, 19, 8, 13)
#: One more column where the engine vgf works: the outcome, and whether Vulkan yields what the reference model does.
VULKAN = "VGF on Vulkan"
NOTES = """
   wrong logits   have another code than the eager program computes, rounding ties left out
   ties           lie halfway between two codes: the eager program rounds to even, TOSA rounds up, and both are right
   largest error  of all logits, ties included; a step is the distance between two codes
   delegated/CPU  counts ops other than quantize and dequantize"""


def main(with_vgf: bool = True) -> int:
    """0 if every guarded and every repaired lowering can be trusted."""
    started = time.monotonic()
    digits = Digits.load()
    model = train(digits)
    program = quantize(model, digits.train_images, digits.test_images)
    with torch.no_grad():
        exact = model(digits.test_images)
        eager = program.module()(digits.test_images)

    OUTPUT.mkdir(exist_ok=True)
    path = OUTPUT / "digits.pt2"
    torch.export.save(program, path)
    torch.save(digits.test_images, OUTPUT / "images.pt")  # for "fuseguard prove --inputs"

    print("1. The program: a classifier for 8 x 8 digits, trained and then quantized with Arm's quantizer")
    print(f"   accuracy on {len(digits.test_labels)} test images: float {_accuracy(exact, digits):.1%}, ", end="")
    print(f"quantized, eager {_accuracy(eager, digits):.1%}\n")

    print(f"2. fuseguard check {_shown(path)} --target {TARGETS[0]}\n", flush=True)
    check = subprocess.run(
        [Path(sys.executable).with_name("fuseguard"), "check", _shown(path), "--target", TARGETS[0]], check=False
    )
    print(f"\n   exit code {check.returncode}\n", flush=True)

    vgf = vgf_status()
    on_vulkan = with_vgf and vgf.works
    proofs = [(target, way, _prove(program, digits, target, way)) for target in TARGETS for way in WAYS]
    print(f"3. Lowered with ExecuTorch {proofs[0][2].release}, every delegate run in the TOSA reference model\n")
    _print_row((*HEADER, VULKAN) if on_vulkan else HEADER)
    for target, way, proof in proofs:
        last = (_on_vulkan(program, digits, target, way),) if on_vulkan else ()
        _print_row((target, way, *_cells(proof, digits), *last))
    for target, way, proof in proofs:
        if proof.exception:
            print(f"\n   {target}, {way}: {proof.exception.splitlines()[0]}")
    print(f"{NOTES}\n\n   Took {time.monotonic() - started:.0f} s.")
    if with_vgf and not vgf.works:
        print("\n   There is no column for VGF on Vulkan: " + vgf.explained().replace("\n", "\n   "))
    return 0 if all(proof.ok for _, way, proof in proofs if way != "unguarded") else 1


def _prove(
    program: torch.export.ExportedProgram, digits: Digits, target: str, way: str, engine: str = "tosa"
) -> Proof:
    if way == "repaired":
        program = repair(program, target).program
    guarded: Literal["guard"] | None = "guard" if way == "guarded" else None
    return prove(program, (digits.test_images,), target, checks=guarded, engine=engine)


def _on_vulkan(program: torch.export.ExportedProgram, digits: Digits, target: str, way: str) -> str:
    proof = _prove(program, digits, target, way, "vgf")
    differing = len(proof.engine_differences)
    return f"{proof.outcome}, {differing} outputs not as TOSA" if differing else proof.outcome


def _cells(proof: Proof, digits: Digits) -> tuple[str, ...]:
    """The row's columns after the first two. A lowering that raised has no numbers."""
    if not proof.outputs:
        return (proof.outcome, *"-" * (len(HEADER) - 3))
    logits, eager = proof.outputs[0], proof.reference[0]
    changed = (logits.argmax(1) != eager.argmax(1)).float().mean().item()
    on_cpu = sum("quantize_per" not in name for name in proof.cpu_ops)
    return (
        proof.outcome,
        f"{proof.mismatches - proof.rounding_ties} of {proof.elements}",
        str(proof.rounding_ties),
        _largest(proof),
        f"{changed:.1%}",
        f"{_accuracy(logits, digits):.1%}",
        f"{proof.delegated_ops} / {on_cpu}",
    )


def _largest(proof: Proof) -> str:
    """The largest error in steps of the output. Where no logit is wrong, it is that of a tie."""
    if not proof.mismatches:
        return "0"
    steps = f"{proof.max_error_steps:.3g}"
    tie = ", a tie" if proof.mismatches == proof.rounding_ties else ""
    return f"{steps} step{'' if steps == '1' else 's'}{tie}"


def _accuracy(logits: torch.Tensor, digits: Digits) -> float:
    return (logits.argmax(1) == digits.test_labels).float().mean().item()


def _print_row(cells: tuple[str, ...]) -> None:
    widths = (*WIDTHS, len(VULKAN))[: len(cells)]
    print("   " + "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


def _shown(path: Path) -> str:
    """The path as the reader would type it from where they are."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    sys.exit(main(with_vgf="--no-vgf" not in sys.argv[1:]))
