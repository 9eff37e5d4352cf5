"""Makes the files under tests/readers/data that are no .pt2 of torch.export.save. Needs torch and executorch.

    PYTHONPATH=verifier:tests/readers python tests/readers/make_lowered_fixtures.py

Releases of ExecuTorch write different schemas (5.3 and 5.4); run it in each environment that RELEASES names. The
records are what the release wrote, packed again with compression, without paths of this machine and without ids that
change from run to run.
"""

from __future__ import annotations

import copy
import io
import re
import sys
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

from make_fixtures import DATA, models, programs

#: ExecuTorch release -> the files that are made with it.
RELEASES = {
    "1.5.1": (
        "conv_cat_edge.exir", "conv_cat_lowered.exir", "conv_cat_guarded.exir", "several.etrecord", "lowered.etrecord",
        "several.pt2", "conv_cat_torch26.pt2", "xnnpack.pt2", "xnnpack_lowered.exir", "observers.pt2",
    ),
    "1.2.0": ("conv_cat_edge_1.2.0.exir", "conv_cat_lowered_1.2.0.exir"),
}  # fmt: skip
LIMIT = 100 * 1024  # of all of them


def makers() -> dict[str, Callable[[], bytes]]:
    """What makes each file. Imports torch and executorch."""
    warnings.filterwarnings("ignore")
    import torch

    made = programs()
    conv_cat, linear = made["conv_cat"], made["linear"]
    edge = made["conv_cat_edge"]
    return {
        "conv_cat_edge.exir": lambda: exir_file(edge),
        "conv_cat_lowered.exir": lambda: exir_file(lowered(conv_cat).exported_program()),
        "conv_cat_guarded.exir": lambda: exir_file(lowered(conv_cat, guarded=True).exported_program()),
        "several.etrecord": lambda: etrecord({"forward": linear, "second": made["split_add"]}),
        "lowered.etrecord": lambda: lowered_etrecord(conv_cat),
        "several.pt2": lambda: several_pt2({"encode": linear, "decode": made["split_add"]}),
        "conv_cat_torch26.pt2": lambda: torch26_file(conv_cat),
        "xnnpack.pt2": lambda: pt2_file(xnnpack_program(torch)),
        "xnnpack_lowered.exir": lambda: exir_file(xnnpack_lowered(xnnpack_program(torch))),
        "observers.pt2": lambda: pt2_file(prepared_program(torch)),
        "conv_cat_edge_1.2.0.exir": lambda: exir_file(edge),
        "conv_cat_lowered_1.2.0.exir": lambda: exir_file(lowered(conv_cat).exported_program()),
    }


def pt2_file(program: Any) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def exir_file(program: Any) -> bytes:
    from executorch.exir.serde.serialize import save

    buffer = io.BytesIO()
    save(program, buffer)
    return buffer.getvalue()


def torch26_file(program: Any) -> bytes:
    """The zip that torch.export.save of torch 2.6 made (torch/export/__init__.py), of the installed torch's JSON."""
    from torch._export.serde.schema import SCHEMA_VERSION
    from torch._export.serde.serialize import serialize

    artifact = serialize(program)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        target.writestr("serialized_exported_program.json", artifact.exported_program)
        target.writestr("serialized_state_dict.pt", artifact.state_dict)
        target.writestr("serialized_constants.pt", artifact.constants)
        target.writestr("serialized_example_inputs.pt", artifact.example_inputs)
        target.writestr("version", ".".join(map(str, SCHEMA_VERSION)))
    return buffer.getvalue()


def several_pt2(exported: dict[str, Any]) -> bytes:
    from torch.export.pt2_archive._package import package_pt2

    buffer = io.BytesIO()
    package_pt2(buffer, exported_programs=exported)
    return buffer.getvalue()


def partitioner() -> Any:
    from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec
    from executorch.backends.arm.tosa.partitioner import TOSAPartitioner

    return TOSAPartitioner(TosaCompileSpec("TOSA-1.0+INT"))


def lowered(program: Any, guarded: bool = False) -> Any:
    """The edge manager of a program that the TOSA backend compiled."""
    from executorch.exir import to_edge_transform_and_lower

    from fuseguard.executorch import guard

    chosen = guard(partitioner(), program=program) if guarded else partitioner()
    return to_edge_transform_and_lower(program, partitioner=[chosen])


def etrecord(exported: dict[str, Any]) -> bytes:
    """An ETRecord as lowering makes it, with the edge programs from before."""
    from executorch.exir import to_edge_transform_and_lower

    edge = to_edge_transform_and_lower(exported, partitioner=[partitioner()], generate_etrecord=True)
    buffer = io.BytesIO()
    edge.to_executorch().get_etrecord().save(buffer)
    return buffer.getvalue()


def lowered_etrecord(program: Any) -> bytes:
    """An ETRecord of what generate_etrecord is given: here, the edge program after lowering."""
    from executorch.devtools import generate_etrecord

    edge = lowered(program)
    before = copy.deepcopy(edge)
    buffer = io.BytesIO()
    generate_etrecord(buffer, before, edge.to_executorch())
    return buffer.getvalue()


def xnnpack_quantizer() -> Any:
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )

    return XNNPACKQuantizer().set_global(get_symmetric_quantization_config())


def xnnpack_program(torch: Any) -> Any:
    """ConvCat, quantized by another backend's quantizer."""
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    torch.manual_seed(0)
    inputs = (torch.rand(1, 2, 4, 4), torch.rand(1, 2, 4, 4) - 0.1)
    exported = torch.export.export(models()["ConvCat"]().eval(), inputs)
    prepared = prepare_pt2e(exported.module(check_guards=False), xnnpack_quantizer())
    prepared(*inputs)
    return torch.export.export(convert_pt2e(prepared), inputs)


def xnnpack_lowered(program: Any) -> Any:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    return to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).exported_program()


def prepared_program(torch: Any) -> Any:
    """SplitAdd with the observers of prepare_pt2e, exported instead of converted."""
    from executorch.backends.arm.quantizer import TOSAQuantizer, get_symmetric_quantization_config
    from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec
    from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e

    torch.manual_seed(0)
    inputs = (torch.rand(1, 2, 4, 4),)
    quantizer = TOSAQuantizer(TosaCompileSpec("TOSA-1.0+INT"))
    quantizer.set_global(get_symmetric_quantization_config(is_qat=True))  # its observers can be exported
    exported = torch.export.export(models()["SplitAdd"]().eval(), inputs)
    return torch.export.export(prepare_pt2e(exported.module(check_guards=False), quantizer), inputs)


def scrubbed(data: bytes) -> bytes:
    """The archive, packed with compression, without paths of this machine and ids that change from run to run."""
    packages = re.compile(rb'[^"\\\s]*/site-packages/')
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for info in source.infolist():
            record = source.read(info)
            if record[:1] == b"{":
                record = packages.sub(b"/venv/lib/python3/site-packages/", record)
                record = re.sub(rb'(graph_id\\*": )\d+', rb"\g<1>0", record)
            if info.filename.endswith("serialization_id"):
                record = b"0" * len(record)
            packed.writestr(zipfile.ZipInfo(info.filename), record, zipfile.ZIP_DEFLATED, 9)
    return target.getvalue()


def main() -> None:
    from importlib.metadata import version

    made = makers()
    for name in RELEASES[version("executorch")]:
        data = scrubbed(made[name]())
        if any(path in data for path in (b"/root", b"/work", b"/tmp", b"/home")):
            raise SystemExit(f"{name} holds a path of this machine")
        (DATA / name).write_bytes(data)
        sys.stdout.write(f"{name} {len(data)} bytes\n")
    names = [name for files in RELEASES.values() for name in files]
    total = sum((DATA / name).stat().st_size for name in names if (DATA / name).exists())
    if total > LIMIT:
        raise SystemExit(f"the files have {total} bytes, more than {LIMIT}")


if __name__ == "__main__":
    main()
