"""Makes the .pt2 files under tests/readers/data. Needs torch and executorch; the tests that read them do not.

    PYTHONPATH=verifier python tests/readers/make_fixtures.py

The files are what torch.export.save wrote, except that paths of this machine and ids that change from run to run
are replaced, so that a second run makes the same programs.
"""

from __future__ import annotations

import io
import linecache
import re
import sys
import types
import warnings
import zipfile
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
SAMPLE = Path(__file__).parents[2] / "verifier" / "fuseguard" / "samples" / "conv_cat.pt2"  # of fuseguard demo
LIMIT = 60 * 1024

# Compiled under a neutral file name: the exporter records the name in every node's stack trace.
SOURCE = '''\
import torch


class ConvCat(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(2, 3, 1)

    def forward(self, x, y):
        return torch.cat([torch.relu(self.conv(x)), y], 1)


class Linear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Hardtanh(0.0, 6.0))

    def forward(self, x):
        return self.body(x)


class Split(torch.nn.Module):
    def forward(self, x):
        first, second = torch.split(x, 2, 1)
        chunks = torch.chunk(x, 4, 1)
        pooled, indices = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
        values, order = torch.topk(x, 2)
        return first + second, chunks[1], chunks[3], torch.unbind(x, 0)[0], pooled, indices, order


class SplitAdd(torch.nn.Module):
    def forward(self, x):
        first, second = torch.split(x, 1, 1)
        return first + second


class Cond(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(2, 2, 1)

    def forward(self, x):
        def inner(value):
            return torch.cond(value.sum() > 1, lambda v: (v + 1, v - 1), lambda v: (v * 2, v * 3), (value,))

        def outer(value):
            return torch.relu(value), value - 1

        first, second = torch.cond(x.sum() > 0, inner, outer, (self.conv(x),))
        return first + 1, second


class Loop(torch.nn.Module):
    def forward(self, count, x):
        loop = torch.ops.higher_order.while_loop
        return loop(lambda i, v: i < 3, lambda i, v: (i + 1, v * 2), (count, x), ())


class Arguments(torch.nn.Module):
    """Arguments of many kinds: symbolic sizes, infinities, dtypes, devices, a Python number and a lifted tensor."""

    def forward(self, x, k):
        y = torch.clamp(x.view(x.shape[0] * 2, -1), min=float("-inf"), max=6.0) + k
        z = torch.full_like(y, float("inf")) + torch.tensor([1.0, 2.0, 3.0, 4.0])
        half = y.to(torch.float16).clone(memory_format=torch.contiguous_format)
        return z, half[:, [0, 1]], torch.zeros(3, dtype=torch.int8, device="cpu"), x.shape[0]
'''


def models() -> dict[str, Any]:
    """The classes of SOURCE, compiled under the file name model.py."""
    module = types.ModuleType("fixture_model")
    linecache.cache["model.py"] = (len(SOURCE), None, SOURCE.splitlines(keepends=True), "model.py")
    sys.modules[module.__name__] = module  # torch.cond imports the module that its branches are defined in
    exec(compile(SOURCE, "model.py", "exec"), module.__dict__)
    return module.__dict__


def programs() -> dict[str, Any]:
    """An ExportedProgram by fixture name. Imports torch and executorch."""
    warnings.filterwarnings("ignore")
    import torch
    from executorch.backends.arm.quantizer import TOSAQuantizer, get_symmetric_quantization_config
    from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec
    from executorch.exir import EdgeCompileConfig, to_edge
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    def quantized(module: Any, inputs: tuple[Any, ...]) -> Any:
        quantizer = TOSAQuantizer(TosaCompileSpec("TOSA-1.0+INT"))
        quantizer.set_global(get_symmetric_quantization_config(is_per_channel=True))
        exported = torch.export.export(module.eval(), inputs)
        prepared = prepare_pt2e(exported.module(check_guards=False), quantizer)
        prepared(*inputs)
        return torch.export.export(convert_pt2e(prepared), inputs)

    torch.manual_seed(0)
    classes = models()
    image = torch.rand(1, 2, 4, 4)
    conv_cat = quantized(classes["ConvCat"](), (image, torch.rand(1, 2, 4, 4) - 0.1))
    rows = {"x": {0: torch.export.Dim.AUTO}, "k": None}
    return {
        "conv_cat": conv_cat,
        "linear": quantized(classes["Linear"](), (torch.rand(2, 4),)),
        "split": torch.export.export(classes["Split"](), (torch.rand(2, 4, 4, 4),)),
        "split_add": quantized(classes["SplitAdd"](), (image,)),
        "cond": torch.export.export(classes["Cond"](), (image,)),
        "loop": torch.export.export(classes["Loop"](), (torch.tensor(0), torch.rand(2))),
        "arguments": torch.export.export(classes["Arguments"](), (torch.rand(2, 8), 3), dynamic_shapes=rows),
        "conv_cat_edge": to_edge(
            conv_cat, compile_config=EdgeCompileConfig(_check_ir_validity=False)
        ).exported_program(),
    }


def scrub(data: bytes) -> bytes:
    """The archive without paths of this machine and without ids that change from run to run."""
    packages = re.compile(rb'[^"\\\s]*/site-packages/')
    scrubbed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(scrubbed, "w") as target:
        for info in source.infolist():
            record = source.read(info)
            if info.filename.endswith(".json"):
                record = packages.sub(b"/venv/lib/python3/site-packages/", record)
                record = re.sub(rb'(graph_id\\": )\d+', rb"\g<1>0", record)
            if info.filename.endswith("serialization_id"):
                record = b"0" * len(record)
            target.writestr(zipfile.ZipInfo(info.filename), record)
    return scrubbed.getvalue()


def main() -> None:
    import torch

    DATA.mkdir(exist_ok=True)
    for name, program in programs().items():
        buffer = io.BytesIO()
        torch.export.save(program, buffer)
        data = scrub(buffer.getvalue())
        if len(data) > LIMIT or any(path in data for path in (b"/root", b"/work", b"/tmp", b"/home")):
            raise SystemExit(f"{name}.pt2 is too large ({len(data)} bytes) or holds a path of this machine")
        (DATA / f"{name}.pt2").write_bytes(data)
        if name == "conv_cat":
            SAMPLE.write_bytes(data)
        sys.stdout.write(f"{name}.pt2 {len(data)} bytes\n")


if __name__ == "__main__":
    main()
