"""The script of a bug report: builds a small program, lowers it, and shows how it fails."""

from __future__ import annotations

import math
import platform
import textwrap
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import TYPE_CHECKING

import torch
from torch.fx import GraphModule

from fuseguard.executorch.comparing import absolute_errors
from fuseguard.executorch.proof import Proof
from fuseguard.executorch.reducing.piece import annotated
from fuseguard.executorch.reducing.source import UNPACK, module_source, tensor_source, wrapped
from fuseguard.measured.recording import PACKAGES

if TYPE_CHECKING:
    from fuseguard.executorch.reducing.reduction import Reduction

_SAYS = {
    "wrong": "the Arm backend lowers it, and computes something else",
    "crash": "the Arm backend raises",
    "undefined": "the Arm backend makes TOSA of it whose result is undefined",
    "runtime_fault": "the Arm backend lowers it, and the delegate cannot be run",
}

_PROGRAM = '''
def inputs() -> tuple[torch.Tensor, ...]:
    """What shows the fault."""
{inputs}


def quantized_program() -> ExportedProgram:
    """What convert_pt2e and torch.export.export yield."""
    program = torch.export.export(Program().eval(), inputs())
    # By module and call: the ops that Arm's quantizer has annotated.
    annotated: list[list[int]] = {annotated}
    modules = [module for module in program.graph_module.modules() if isinstance(module, torch.fx.GraphModule)]
    for module, numbers in zip(modules, annotated, strict=True):
        calls = [node for node in module.graph.nodes if node.op == "call_function"]
        for number in numbers:
            custom = calls[number].meta.get("custom") or {{}}
            calls[number].meta["custom"] = {{**custom, "_arm_annotation_info": {{"quantized": True}}}}
    return program


def lower(program: ExportedProgram) -> ExportedProgram:
    """The edge program."""
    partitioner = TOSAPartitioner(TosaCompileSpec(TARGET))
{lower}
    lowered: ExportedProgram = edge.exported_program()
    return lowered
'''

_LOWER = "edge = to_edge_transform_and_lower(program, partitioner=[partitioner])"
_LOWER_UNCHECKED = (
    "config = EdgeCompileConfig(_check_ir_validity=False)\n"
    "edge = to_edge_transform_and_lower(program, partitioner=[partitioner], compile_config=config)"
)

_RUN = '''
#: Orders of dimensions in memory that the backend takes for a tensor's shape.
CHANNELS_LAST = ((0, 2, 3, 1), (0, 1, 3, 4, 2))


class Runner(torch.fx.Interpreter):
    """Runs an edge program: its own ops in torch, its delegates in the TOSA reference model (package tosa-tools)."""

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
{control}        if "executorch_call_delegate" not in str(target):
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
            raise RuntimeError(f"the TOSA reference model says {{status.name}}")
        outputs = []
        for array, meta in zip(results, yielded, strict=True):
            result, order, shape = torch.from_numpy(array), tuple(meta.dim_order()), tuple(meta.shape)
            if (result.dtype, meta.dtype) == (torch.int8, torch.uint8):
                result = result.view(torch.uint8)
            if result.dtype != meta.dtype:
                raise RuntimeError(f"the delegate yields {{result.dtype}}, and the program expects {{meta.dtype}}")
            if order in CHANNELS_LAST:
                result = result.reshape([shape[dim] for dim in order])
                result = result.permute([order.index(dim) for dim in range(len(order))])
            outputs.append(result.reshape(shape))
        return outputs


def run(program: ExportedProgram, values: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    """The outputs of an edge program."""
    held = {{**program.state_dict, **program.constants}}
    given = iter(values)
    arguments = [
        next(given) if spec.kind == InputKind.USER_INPUT else held[str(spec.target)]
        for spec in program.graph_signature.input_specs
    ]
    with torch.no_grad():
        results = Runner(program.graph_module).run(*arguments)
    specs = program.graph_signature.output_specs
    return [value for value, spec in zip(results, specs, strict=True) if spec.kind == OutputKind.USER_OUTPUT]
'''

_CONTROL = """        if str(target) == "cond":
            predicate, if_true, if_false, operands = args
            return Runner(if_true if bool(predicate) else if_false).run(*operands)
        if str(target) == "while_loop":
            condition, body, carried, additional = args
            while bool(Runner(condition).run(*carried, *additional)):
                carried = Runner(body).run(*carried, *additional)
            return carried
"""

_MAIN = '''
def main() -> int:
    """1 if the fault is there, else 0."""
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    program = quantized_program()
    with torch.no_grad():
        expected = program.module()(*inputs())
    print("expected (torch)", *expected, sep="\\n")
    actual = run(lower(program), inputs())
    print("actual (delegate)", *actual, sep="\\n")
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
'''

_MAIN_CRASH = '''
def main() -> int:
    """1 if the fault is there, else 0."""
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    program = quantized_program()
    with torch.no_grad():
        print("expected (torch)", *program.module()(*inputs()), sep="\\n")
    try:
        lower(program)
    except Exception:
        traceback.print_exc()
        return 1
    print("it lowers")
    return 0
'''

_END = """

if __name__ == "__main__":
    sys.exit(main())
"""


def script_of(reduction: Reduction, notes: Sequence[str] = (), title: str = "") -> str:
    """See :meth:`Reduction.script`."""
    proof = reduction.proof
    module = reduction.piece.module
    bodies = [item for item in reduction.program.graph_module.modules() if isinstance(item, GraphModule)]
    marks = [[number for number, mark in enumerate(annotated(body)) if mark] for body in bodies]
    control = any(isinstance(node.target, torch._ops.HigherOrderOperator) for node in module.graph.nodes)
    config = reduction.judge.compile_config
    unchecked = not (reduction.judge.target.ir_validity if config is None else config._check_ir_validity)
    lower = textwrap.indent(_LOWER_UNCHECKED if unchecked else _LOWER, "    ")
    made = _PROGRAM.format(inputs=_inputs(reduction.inputs), annotated=marks, lower=lower)
    classes = module_source(module, "Program")
    crash = proof.outcome == "crash"
    ran = _MAIN_CRASH if crash else f"{_RUN.format(control=_CONTROL if control else '')}\n{_MAIN}"
    unpack = f"{UNPACK}\n" if "unpacked(" in classes + made else ""
    parts = [_head(reduction, notes, title), _imports(crash, bool(unpack), unchecked)]
    parts += [f'\nTARGET = "{reduction.judge.target.spec}"\n\n', unpack, "\n", classes.rstrip(), "\n\n", made, "\n"]
    parts += [ran, _END]
    return "".join(parts)


def _imports(crash: bool, packed: bool, unchecked: bool) -> str:
    own = ["logging", "sys", "warnings", *(["traceback"] if crash else []), *(["base64", "zlib"] if packed else [])]
    exir = "EdgeCompileConfig, to_edge_transform_and_lower" if unchecked else "to_edge_transform_and_lower"
    lines = ["from __future__ import annotations", "", *(f"import {name}" for name in sorted(own))]
    lines += ["from typing import Any", "", "import torch"]
    lines += ["from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec"]
    lines += ["from executorch.backends.arm.tosa.partitioner import TOSAPartitioner"]
    lines += [f"from executorch.exir import {exir}", "from torch.export import ExportedProgram"]
    lines += [] if crash else ["from torch.export.graph_signature import InputKind, OutputKind"]
    lines += ["", "aten, decomposed = torch.ops.aten, torch.ops.quantized_decomposed"]
    return "\n".join(lines) + "\n"


def _inputs(inputs: Sequence[torch.Tensor]) -> str:
    lines = []
    for number, value in enumerate(inputs):
        lines += wrapped(f"value_{number} = {tensor_source(value)}", 4)
    names = ", ".join(f"value_{number}" for number in range(len(inputs)))
    lines += wrapped(f"return ({names}{',' if len(inputs) == 1 else ''})", 4)
    return "\n".join(lines)


def _head(reduction: Reduction, notes: Sequence[str], title: str) -> str:
    proof = reduction.proof
    paragraphs = [
        title or f"{' -> '.join(map(short_name, reduction.ops)) or 'a constant'}: {_SAYS[proof.outcome]}.",
        f"Seen with {_versions()}, for {reduction.judge.target.spec}:",
        *_seen(proof),
        *notes,
        _HOW[proof.outcome == "crash"],
        f"fuseguard reduce cut this out of a program with {reduction.ops_before} ops. The quantization parameters are "
        f"that program's.",
    ]
    text = "\n\n".join(
        item if item.startswith("    ") else textwrap.fill(item, 116, break_on_hyphens=False, break_long_words=False)
        for item in paragraphs
    )
    text = text.replace("\\", "\\\\").replace('"""', "'''")
    return f'"""{text}\n"""\n\n'


_HOW = {
    False: "Expected is what the program yields in torch. Its delegates run in the TOSA reference model (pip install "
    "tosa-tools). Exits with 1 if the fault is there.",
    True: "Prints the traceback, and exits with 1, if the fault is there.",
}


def short_name(target: str) -> str:
    """``conv2d`` for ``aten.conv2d.default``."""
    parts = target.split(".")
    return parts[1] if len(parts) > 1 else target


def _versions() -> str:
    found = []
    for name in ("executorch", *PACKAGES):
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join((*found, f"Python {platform.python_version()}"))


def _seen(proof: Proof) -> Iterator[str]:
    """What was seen, as indented paragraphs."""
    if proof.exception:
        lines = textwrap.wrap(proof.exception.strip().partition("\n")[0], 110, break_long_words=False)
        yield textwrap.indent("\n".join(lines[:4]), "    ")
    for number, (want, got) in enumerate(zip(proof.reference, proof.outputs, strict=False)):
        if want.shape != got.shape or not want.numel():
            continue
        errors = absolute_errors(got, want)
        differing = int((errors > 1e-5 * float(want.to(torch.float64).abs().nan_to_num().max())).sum())
        if not differing:
            continue
        at = tuple(int(index) for index in torch.unravel_index(errors.argmax(), errors.shape))
        yield (
            f"    output {number}: {differing} of {errors.numel()} elements differ, the worst at {at}:\n"
            f"    expected {float(want[at]):.6g}, actual {float(got[at]):.6g}"
        )
    steps = proof.max_error_steps
    if steps is not None and math.isfinite(steps) and proof.outcome == "wrong":
        yield f"    in steps of the output's scale: {steps:.4g}"
