"""A finding is at the model's own line, and not in torch, in ExecuTorch or in one of Arm's passes."""

from __future__ import annotations

import pytest

from fuseguard.ir import Node, SourceLine
from fuseguard.ir.source_lines import calling_line, model_line, of_framework

SITE = "/venv/lib/python3.11/site-packages"
USER = SourceLine("/home/me/train.py", 12, "forward", "return self.model(x)")
WRAPPER = SourceLine("/home/me/wrapper.py", 30, "forward")
RESNET = SourceLine(f"{SITE}/torchvision/models/resnet.py", 143, "forward", "out = self.relu(out)")
CONV = SourceLine(f"{SITE}/torch/nn/modules/conv.py", 548, "forward")
PASS = SourceLine(f"{SITE}/executorch/backends/arm/_passes/decompose_softmax_pass.py", 113, "call_operator")
GENERATED = SourceLine("<eval_with_key>.12", 5, "forward")


@pytest.mark.parametrize(
    "file",
    [
        CONV.file,
        PASS.file,
        f"{SITE}/torch/_dynamo/eval_frame.py",
        f"{SITE}/torchao/quantization/pt2e/quantizer.py",
        f"{SITE}/executorch/exir/pass_base.py",
        f"{SITE}/functorch/einops/rearrange.py",
        "torch/fx/passes/runtime_assert.py",
        "/src/pytorch/torch/nn/modules/linear.py",
        "/src/executorch/backends/arm/_passes/decompose_var_pass.py",
        "C:\\venv\\Lib\\site-packages\\torch\\nn\\functional.py",
        f"{SITE}/torch/nn/functional.py",
        f"{SITE}/fuseguard/executorch/quantizing.py",
        "/usr/lib/python3/dist-packages/torch/nn/modules/rnn.py",
    ],
)
def test_lines_of_the_framework(file: str) -> None:
    assert of_framework(file)


@pytest.mark.parametrize(
    "file",
    [
        USER.file,
        RESNET.file,
        f"{SITE}/timm/layers/attention.py",
        f"{SITE}/executorch/examples/models/mobilenet_v2/model.py",
        "/home/me/torch/model.py",
        "/home/me/torch/nn/mine.py",
        "/home/me/executorch/model.py",
        "model.py",
        "/home/me/my_torch/fx/model.py",
        f"{SITE}/torchvision/ops/misc.py",
        f"{SITE}/torchaudio/models/conformer.py",
        "",
    ],
)
def test_lines_of_models(file: str) -> None:
    assert not of_framework(file)


@pytest.mark.parametrize(
    ("stack", "line", "call"),
    [
        ((USER, CONV), USER, None),
        ((USER, WRAPPER, CONV), WRAPPER, None),
        ((USER, RESNET, CONV), RESNET, USER),
        ((USER, WRAPPER, RESNET, CONV), RESNET, WRAPPER),
        ((RESNET, CONV), RESNET, None),
        ((USER, PASS), USER, None),
        ((USER, GENERATED, PASS), USER, None),
        ((PASS,), None, None),
        ((CONV, PASS), None, None),
        ((GENERATED,), None, None),
        ((), None, None),
    ],
)
def test_the_model_and_the_call_that_led_there(
    stack: tuple[SourceLine, ...], line: SourceLine | None, call: SourceLine | None
) -> None:
    assert (model_line(stack), calling_line(stack)) == (line, call)
    assert Node("n", "call", "aten.relu.default", stack=stack).source == line
