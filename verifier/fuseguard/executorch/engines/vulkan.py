"""Vulkan as the VGF engine needs it: the loader, a driver, Arm's emulation layers, and the environment for a process.

The Vulkan loader 1.3.239 stacks layers in the order in which it finds their manifests, and not in that of
VK_INSTANCE_LAYERS. Each manifest is therefore copied to a folder of its own, that of the graph layer first.
"""

from __future__ import annotations

import atexit
import ctypes.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from fuseguard.executorch.engines import vulkan_probe

#: What a VGF needs of a device (SPV_ARM_graph, SPV_ARM_tensors).
EXTENSIONS: tuple[str, ...] = ("VK_ARM_tensors", "VK_ARM_data_graph")

#: Manifest -> layer, in the order in which they have to be stacked.
_LAYERS: tuple[tuple[str, str], ...] = (
    ("VkLayer_Graph.json", "VK_LAYER_ML_Graph_Emulation"),
    ("VkLayer_Tensor.json", "VK_LAYER_ML_Tensor_Emulation"),
)
#: Where Vulkan's loader looks for the manifests of drivers on Linux.
_DRIVER_FOLDERS = ("/usr/local/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d",
                   "/usr/share/vulkan/icd.d")  # fmt: skip
_PROBE_SECONDS = 60
_LAST_WORDS = 300


@dataclass(frozen=True, slots=True)
class Device:
    """The first device of a driver. ``fault`` says why there is none; "" if there is one."""

    device: str = ""
    extensions: frozenset[str] = frozenset()
    fault: str = ""

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(name for name in EXTENSIONS if name not in self.extensions)

    @property
    def has_extensions(self) -> bool:
        return not self.missing


def find_loader() -> str | None:
    """The name of Vulkan's loader library, None if there is none."""
    return ctypes.util.find_library("vulkan")


def find_driver() -> Path | None:
    """The manifest of the driver that Vulkan's own variables name, else that of Mesa's lavapipe."""
    for variable in ("VK_DRIVER_FILES", "VK_ICD_FILENAMES"):
        named = [Path(part) for part in os.environ.get(variable, "").split(os.pathsep) if part]
        if named:
            return next((path for path in named if path.is_file()), None)
    found = (path for folder in _DRIVER_FOLDERS for path in sorted(Path(folder).glob("lvp_icd*.json")))
    return next(found, None)


def find_layers() -> Path | None:
    """The folder that the package of the emulation layers deploys, None if it is not there or not whole."""
    spec = find_spec("emulation_layer")
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        deployed = Path(folder, "deploy")
        if all((deployed / "share/vulkan/explicit_layer.d" / manifest).is_file() for manifest, _ in _LAYERS):
            return deployed
    return None


def environment(icd: Path, layers: Path | None, folder: Path) -> dict[str, str]:
    """The variables of a process that runs on the driver ``icd``, with ``layers`` if it needs them.

    ``folder`` is for what Vulkan and Mesa write; it must outlive the process.
    """
    found = {name: value for name, value in os.environ.items() if not name.startswith("VK_")}
    found |= {
        "VK_DRIVER_FILES": str(icd),
        "VK_ICD_FILENAMES": str(icd),  # the name up to loader 1.3.207
        "NODEVICE_SELECT": "1",  # Mesa's device selection layer asks a display
        "XDG_RUNTIME_DIR": str(folder),
        "MESA_SHADER_CACHE_DIR": str(folder / "shaders"),
    }
    if layers is not None:
        found["VK_LAYER_PATH"] = os.pathsep.join(str(_copied(layers, manifest, folder)) for manifest, _ in _LAYERS)
        found["VK_INSTANCE_LAYERS"] = os.pathsep.join(name for _, name in _LAYERS)
    return found


def _copied(layers: Path, manifest: str, folder: Path) -> Path:
    """A folder with one manifest alone, which names its library by an absolute path."""
    own = folder / Path(manifest).stem
    own.mkdir(exist_ok=True)
    content = json.loads((layers / "share/vulkan/explicit_layer.d" / manifest).read_text(encoding="utf-8"))
    library = layers / "lib" / Path(content["layer"]["library_path"]).name
    content["layer"]["library_path"] = str(library)
    (own / manifest).write_text(json.dumps(content), encoding="utf-8")
    return own


def libraries(layers: Path) -> list[str]:
    """The libraries of the layers."""
    return [str(layers / "lib" / f"lib{Path(manifest).stem}.so") for manifest, _ in _LAYERS]


@cache
def scratch() -> Path:
    """A folder of this process's own, which goes when the process ends."""
    folder = tempfile.mkdtemp(prefix="fuseguard-vulkan-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@cache
def probe(icd: Path, layers: Path | None) -> Device:
    """The device of a driver, seen by a process of its own: a driver may abort."""
    command = [sys.executable, str(Path(vulkan_probe.__file__)), *(libraries(layers) if layers is not None else ())]
    try:
        done = subprocess.run(
            command,
            env=environment(icd, layers, scratch()),
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Device(fault=f"the Vulkan driver does not answer within {_PROBE_SECONDS} s")
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["it prints nothing"]
        return Device(fault=f"looking for a device ends with exit code {done.returncode}: {words[-1][:_LAST_WORDS]}")
    try:
        answer: Mapping[str, object] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        return Device(fault="looking for a device yields nothing that can be read")
    extensions = answer.get("extensions")
    return Device(
        str(answer.get("device", "")),
        frozenset(map(str, extensions)) if isinstance(extensions, list) else frozenset(),
        str(answer.get("fault", "")),
    )
