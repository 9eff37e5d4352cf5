"""Runs VGFs on Vulkan through the Python bindings of Arm's scenario runner, in a process of its own.

A driver, an emulation layer or a VGF may abort or hang, and takes its process with it. The process is that of
:mod:`fuseguard.executorch.serving`, with the environment that :mod:`fuseguard.executorch.engines.vgf` gives it.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

#: Compiled VGFs that are kept, the last used ones: compiling the shaders takes nearly all of the time.
KEPT = 16
#: Bytes of resident memory above which only the last one is kept: the shaders of a real model take half a gigabyte.
MOST_RESIDENT = 2 << 30

#: Name of the format in a VGF -> its name in the scenario runner, and numpy's name of what it holds.
_FORMATS = {
    "R8_SINT": ("R8Sint", "int8"), "R8_UINT": ("R8Uint", "uint8"), "R16_SINT": ("R16Sint", "int16"),
    "R16_UINT": ("R16Uint", "uint16"), "R32_SINT": ("R32Sint", "int32"), "R32_UINT": ("R32Uint", "uint32"),
    "R64_SINT": ("R64Sint", "int64"), "R16_SFLOAT": ("R16Sfloat", "float16"), "R32_SFLOAT": ("R32Sfloat", "float32"),
    "R8_BOOL_ARM": ("R8BoolArm", "uint8"),
}  # fmt: skip


class Built:
    """A VGF that is ready to run."""

    def __init__(self, runner: Any, path: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        builder = runner.ScenarioBuilder()
        source = runner.VgfInfo()
        source.load_source(path)
        command = runner.DispatchVgfData(builder.add_vgf(source))
        self.inputs = inputs
        self.tensors = []
        bound: dict[int, Any] = {}  # two outputs that are one value may be one tensor
        for binding, shape, form in (*inputs, *outputs):
            if binding not in bound:
                bound[binding] = builder.add_tensor(list(shape), getattr(runner.Format, _FORMATS[form][0]))
            self.tensors.append(bound[binding])
        command.bindings = [
            runner.TypedBinding(0, binding, tensor, runner.DescriptorType.TensorArm)
            for binding, tensor in bound.items()
        ]
        builder.add_dispatch_vgf(command)
        self.scenario = builder.build()

    def run(self, arrays: Sequence[Any]) -> list[Any]:
        import numpy

        given = len(self.inputs)
        for tensor, array, (_, shape, form) in zip(self.tensors[:given], arrays, self.inputs, strict=True):
            values = numpy.ascontiguousarray(array).reshape(shape).astype(_FORMATS[form][1], copy=False)
            self.scenario.upload(tensor, values)
        self.scenario.run()
        return [numpy.array(self.scenario.download(tensor)) for tensor in self.tensors[given:]]


def prepare() -> Callable[[Any], Any]:
    """Answers (path of a VGF, inputs, outputs, arrays) with arrays; inputs and outputs are (binding, shape, format)."""
    import scenario_runner_py as runner

    kept: dict[str, Built] = {}

    def answer(request: tuple[str, Sequence[Any], Sequence[Any], Sequence[Any]]) -> list[Any]:
        path, inputs, outputs, arrays = request
        built = kept.pop(path, None) or Built(runner, path, inputs, outputs)
        results = built.run(arrays)
        kept[path] = built  # only one that ran, and as the last used one
        while len(kept) > 1 and (len(kept) > KEPT or resident_bytes() > MOST_RESIDENT):
            kept.pop(next(iter(kept)))
        return results

    return answer


def resident_bytes() -> int:
    """The memory that this process has now; 0 where the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * resource.getpagesize()
