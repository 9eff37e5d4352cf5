"""What a lowered file holds, as text and as JSON-ready data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fuseguard.engine.interface import ExportedFile, Value
from fuseguard.engine.shown import counted
from fuseguard.ir.layout import described_layout
from fuseguard.ir.pte import PteDelegate, PteMethod, PteProgram, PteTensor
from fuseguard.ir.qparams import QParams
from fuseguard.ir.tosa import TosaProgram
from fuseguard.ir.vgf import VgfProgram, VgfTensor
from fuseguard.readers.lowered import LoweredFile
from fuseguard.report.json import envelope, layout_dict, qparams_dict, value_dict
from fuseguard.report.lines import Line
from fuseguard.report.quoting import MAX_ARRAY, labelled, listed, name, quoted

_KINDS = {"pte": "an ExecuTorch program", "vgf": "a VGF file", "tosa": "a TOSA flatbuffer"}
_CONSTANTS = ("CONST", "CONST_SHAPE")
#: Said of outputs that share one value.
SHARED = (
    "are one value in the compiled graph. Arm's emulation layer writes the last of them alone; the others hold zeros "
    "or garbage"
)


def render(file: str, read: LoweredFile | ExportedFile) -> Iterator[Line]:
    """The file line by line."""
    if isinstance(read, ExportedFile):
        yield Line((name(file), "strong"), f": an exported program, {counted(read.size, 'byte')}", hang=2)
        yield from _rows(2, "input", [_value(item, "quantized to") for item in read.interface.inputs])
        yield from _rows(2, "output", [_value(item, "dequantized from") for item in read.interface.outputs])
        return
    yield Line((name(file), "strong"), f": {_KINDS[read.kind]}, {counted(read.size, 'byte')}", hang=2)
    program = read.program
    if isinstance(program, TosaProgram):
        yield from _tosa(program, 2)
    elif isinstance(program, VgfProgram):
        yield from _vgf(program, 2)
    else:
        yield _row(2, "schema", program.identifier)
        for method in program.methods:
            yield from _method(method)


def _method(method: PteMethod) -> Iterator[Line]:
    yield Line(f"  method {name(method.name)}")
    yield from _rows(4, "input", [_pte_tensor(item) for item in method.inputs])
    yield from _rows(4, "output", [_pte_tensor(item) for item in method.outputs])
    yield _row(4, "on the CPU", _counts(method.cpu_ops) or "nothing")
    yield _row(4, "delegates", f"{len(method.delegates)}, {counted(method.calls, 'call')}")
    for number, delegate in enumerate(method.delegates[:MAX_ARRAY]):
        yield Line(f"    delegate {number}: {name(delegate.backend)}, {counted(delegate.size, 'byte')}")
        for key, value in labelled(delegate.specs):
            yield _row(6, "spec", f"{name(key)} = {name(value)}")
        if delegate.fault:
            yield Line("      ", ("damaged", "error"), f": {quoted(delegate.fault)}")
        if delegate.tosa is not None:
            yield from _tosa(delegate.tosa, 6)
        if delegate.vgf is not None:
            yield from _vgf(delegate.vgf, 6)
        for block, size in delegate.blocks:
            yield _row(6, "block", f"{name(block)}, {counted(size, 'byte')}")
    if len(method.delegates) > MAX_ARRAY:
        yield Line(f"    and {len(method.delegates) - MAX_ARRAY:,} more delegates")


def _tosa(program: TosaProgram, indent: int) -> Iterator[Line]:
    yield _row(indent, "TOSA", ".".join(map(str, program.version)))
    for label, names in (("input", program.inputs), ("output", program.outputs)):
        yield from _rows(indent, label, [_tosa_tensor(program, item) for item in names])
    yield _row(indent, "ops", _counts(_tosa_ops(program)) or "none")
    for group in program.same_outputs:
        shown = "outputs " + listed([str(number) for number in group])
        text = f": {shown} are one value but for IDENTITY; a VGF made of it has one tensor for them (BO606)"
        yield Line(" " * indent, ("note", "note"), text, hang=indent + 2)


def _vgf(program: VgfProgram, indent: int) -> Iterator[Line]:
    yield _row(indent, "VGF", ".".join(map(str, program.version)))
    yield _row(indent, "segments", _counts(program.segments) or "none")
    yield from _rows(indent, "input", [_vgf_tensor(item) for item in program.inputs])
    yield from _rows(indent, "output", [_vgf_tensor(item) for item in program.outputs])
    yield _row(indent, "ops", _counts(program.ops) or "none")
    for value in program.shared:
        shown = "outputs " + listed([str(number) for number in value.outputs])
        if len(value.outputs) < 2:
            shown = "resources " + listed([str(number) for number in value.resources])
        yield Line(" " * indent, ("warning", "warning"), f": {shown} {SHARED}", hang=indent + 2)


def _row(indent: int, label: str, text: str) -> Line:
    return Line((f"{'':{indent}}{label:10}", "dim"), f"  {quoted(text)}", hang=indent + 12)


def _rows(indent: int, label: str, texts: Sequence[str]) -> Iterator[Line]:
    for number, text in enumerate(texts[:MAX_ARRAY]):
        yield _row(indent, f"{label} {number}", text)
    if len(texts) > MAX_ARRAY:
        yield _row(indent, label, f"and {len(texts) - MAX_ARRAY:,} more")


def _pte_tensor(item: PteTensor) -> str:
    text = _typed(item.dtype, item.shape, item.dim_order)
    return text if item.qparams is None else f"{text}, {_qparams(item.qparams)}"


def _value(item: Value, change: str) -> str:
    """An input or output of an exported program. ``change``: what the program does with it unless it holds codes."""
    text = f"{item.dtype or 'no tensor'} {list(item.shape)}, {described_layout(item.dim_order)}, {name(item.name)}"
    text += f" of {name(item.program)}" if item.program else ""
    found = item.qparams
    if found is None:
        return text
    known = found.known and not found.per_channel
    text += "; codes" if item.codes else f"; {change} {found.dtype}"
    return f"{text}, {_qparams(found)}" if known else text


def _qparams(found: QParams) -> str:
    return f"scale {found.scale:.6g}, zero point {found.zero_point}, codes [{found.qmin}, {found.qmax}]"


def _vgf_tensor(item: VgfTensor) -> str:
    text = f"{_typed(item.format, item.shape, item.dim_order)}, binding {item.binding}"
    return text + (f", {name(item.name)}" if item.name else "")


def _typed(dtype: str, shape: Sequence[int], dim_order: Sequence[int] | None) -> str:
    return f"{dtype} {list(shape)}, {described_layout(dim_order)}"


def _tosa_tensor(program: TosaProgram, of: str) -> str:
    tensor = program.tensors.get(of)
    if tensor is None:
        return f"{name(of)}, which is missing"
    return f"{_typed(tensor.dtype, tensor.shape, tensor.dim_order)}, {name(of)}"


def _tosa_ops(program: TosaProgram) -> dict[str, int]:
    counts: dict[str, int] = {}
    for op in program.ops:
        if op.kind not in _CONSTANTS:
            counts[op.kind] = counts.get(op.kind, 0) + 1
    return counts


def _counts(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{name(op)} x{count}" if count > 1 else name(op) for op, count in ordered[:MAX_ARRAY])
    return shown + (f" and {len(ordered) - MAX_ARRAY:,} more" if len(ordered) > MAX_ARRAY else "")


def to_dict(file: str, read: LoweredFile | ExportedFile) -> dict[str, Any]:
    """The file as JSON-ready data."""
    program, interface = (None, read.interface) if isinstance(read, ExportedFile) else (read.program, None)
    return {
        **envelope(),
        "file": file,
        "kind": "exported" if isinstance(read, ExportedFile) else read.kind,
        "size": read.size,
        "exported": None if interface is None else {
            "inputs": [value_dict(item) for item in interface.inputs],
            "outputs": [value_dict(item) for item in interface.outputs],
        },
        "tosa": _tosa_dict(program) if isinstance(program, TosaProgram) else None,
        "vgf": _vgf_dict(program) if isinstance(program, VgfProgram) else None,
        "pte": _pte_dict(program) if isinstance(program, PteProgram) else None,
    }


def _pte_dict(program: PteProgram) -> dict[str, Any]:
    methods = [
        {
            "name": method.name,
            "inputs": [_pte_tensor_dict(item) for item in method.inputs],
            "outputs": [_pte_tensor_dict(item) for item in method.outputs],
            "cpu_ops": dict(method.cpu_ops),
            "delegate_calls": method.calls,
            "delegates": [_delegate_dict(item) for item in method.delegates],
        }
        for method in program.methods
    ]
    return {"identifier": program.identifier, "methods": methods}


def _pte_tensor_dict(item: PteTensor) -> dict[str, Any]:
    qparams = item.qparams
    return {
        "dtype": item.dtype,
        "shape": list(item.shape),
        **layout_dict(item.dim_order),
        "qparams": "" if qparams is None else _qparams(qparams),
        **qparams_dict(qparams),
    }


def _delegate_dict(item: PteDelegate) -> dict[str, Any]:
    return {
        "backend": item.backend,
        "size": item.size,
        "specs": dict(item.specs),
        "tosa": _tosa_dict(item.tosa) if item.tosa is not None else None,
        "vgf": _vgf_dict(item.vgf) if item.vgf is not None else None,
        "blocks": [{"name": block, "size": size} for block, size in item.blocks],
        "fault": item.fault,
    }


def _tosa_dict(program: TosaProgram) -> dict[str, Any]:
    def tensor(of: str) -> dict[str, Any]:
        known = program.tensors.get(of)
        return {
            "name": of,
            "dtype": known.dtype if known is not None else "",
            "shape": list(known.shape) if known is not None else [],
            **layout_dict(known.dim_order if known is not None else None),
        }

    return {
        "version": ".".join(map(str, program.version)),
        "inputs": [tensor(item) for item in program.inputs],
        "outputs": [tensor(item) for item in program.outputs],
        "ops": _tosa_ops(program),
        "same_outputs": [list(group) for group in program.same_outputs],
    }


def _vgf_dict(program: VgfProgram) -> dict[str, Any]:
    def tensor(item: VgfTensor) -> dict[str, Any]:
        return {
            "name": item.name,
            "format": item.format,
            "shape": list(item.shape),
            **layout_dict(item.dim_order),
            "binding": item.binding,
        }

    return {
        "version": ".".join(map(str, program.version)),
        "segments": dict(program.segments),
        "inputs": [tensor(item) for item in program.inputs],
        "outputs": [tensor(item) for item in program.outputs],
        "ops": dict(program.ops),
        "shared_outputs": [list(value.outputs) for value in program.shared if len(value.outputs) > 1],
        "shared_resources": [list(value.resources) for value in program.shared],
        "passed_on_outputs": list(program.passed_on),
    }
