"""Which engines work here, and what is missing, with the command that installs it. Imports no torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from packaging.version import InvalidVersion, Version

from fuseguard.executorch.engines import vulkan
from fuseguard.target import Target, TargetError

#: What ``prove`` can run delegates in.
ENGINES: tuple[str, ...] = ("tosa", "vgf", "vela")

#: Distribution -> the version that the VGF engine was measured with. Older emulation layers do not load, or lack ops.
VGF_PACKAGES: dict[str, str] = {
    "ai-ml-emulation-layer-for-vulkan": "0.11.0",
    "ai-ml-sdk-scenario-runner": "0.11.0",
    "ai-ml-sdk-model-converter": "0.11.0",
}
_VERSION_SECONDS = 20

#: fuseguard is not on the package index.
_PROVE = "pip install '.[prove]'  # in a checkout of fuseguard"
_APT = "apt-get install --no-install-recommends mesa-vulkan-drivers libvulkan1"


class EngineUnavailable(RuntimeError):
    """An engine cannot run here. The text says what is missing and how to install it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing that an engine needs.

    ``detail`` is its version or place if it is there, and else why it is of no use. ``install`` is the command that
    brings it, "" where it is there or where no command does.
    """

    name: str
    ok: bool
    detail: str
    install: str = ""


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """One engine with its pieces. It works if all of them are there. ``note`` says what it is for."""

    name: str
    note: str
    pieces: tuple[Piece, ...]

    @property
    def works(self) -> bool:
        return all(piece.ok for piece in self.pieces)

    @property
    def install(self) -> tuple[str, ...]:
        """The commands that bring what is missing, in order."""
        return tuple(dict.fromkeys(piece.install for piece in self.pieces if piece.install))

    def explained(self) -> str:
        """What is missing and what to do, in as many lines."""
        missing = [f"  {piece.name}: {piece.detail}" for piece in self.pieces if not piece.ok]
        commands = [f"  {command}" for command in self.install]
        told = [f"the engine {self.name} does not work here:", *missing]
        return "\n".join(told + (["Install what is missing with:", *commands] if commands else []))


def statuses(icd: Path | None = None) -> tuple[EngineStatus, ...]:
    """All engines. ``icd``: the manifest of the Vulkan driver."""
    return tosa_status(), vgf_status(icd), vela_status()


def require(name: str, icd: Path | None = None) -> None:
    """Raises EngineUnavailable unless the engine works here."""
    status = {"vgf": lambda: vgf_status(icd), "vela": vela_status}.get(name, tosa_status)()
    if not status.works:
        raise EngineUnavailable(status.explained())


def require_target(name: str, target: Target) -> None:
    """Raises TargetError if the engine is vela and the target is not an Ethos-U."""
    if name == "vela" and not target.accelerator.startswith("ethos-u"):
        raise TargetError(
            f"the engine vela compiles for Ethos-U, and not for {target.name}. Give a target such as ethos-u55-128 or "
            f"ethos-u85-256; 'fuseguard targets' lists all of them."
        )


def tosa_status() -> EngineStatus:
    """The TOSA reference model, which every target can be judged in."""
    pieces = [_installed(name, _PROVE) for name in ("torch", "executorch", "torchao", "tosa-tools")]
    return EngineStatus("tosa", "runs the TOSA of every target in the reference model", tuple(pieces))


def vela_status() -> EngineStatus:
    """Vela, Arm's compiler for Ethos-U, which runs nothing: there is no simulator to install."""
    pieces = (*tosa_status().pieces, _installed("ethos-u-vela", "pip install ethos-u-vela"))
    return EngineStatus("vela", "compiles the targets ethos-u*; what they compute is judged on their TOSA", pieces)


def vgf_status(icd: Path | None = None) -> EngineStatus:
    """A VGF on Vulkan: on a driver with Arm's extensions, or on any other one with Arm's emulation layers."""
    return EngineStatus("vgf", "runs the VGF of the target vgf on Vulkan", tuple(_vgf_pieces(icd)))


def _vgf_pieces(icd: Path | None) -> Iterator[Piece]:
    yield _installed("torch", _PROVE)
    yield _backend()
    yield _converter()
    runner = _installed("ai-ml-sdk-scenario-runner", _pip("ai-ml-sdk-scenario-runner"))
    yield runner if not runner.ok or find_spec("scenario_runner") is not None else _broken(runner)
    loader = vulkan.find_loader()
    yield Piece("Vulkan loader", loader is not None, loader or "no libvulkan.so.1", "" if loader else _APT)
    driver = _driver(icd)
    yield driver
    if loader is None or not driver.ok:
        yield _layer_package()  # nothing can be said of whether it loads
        return
    yield from _on_vulkan(Path(driver.detail))


def _on_vulkan(icd: Path) -> Iterator[Piece]:
    """The layers, where the driver needs them, and the device that they make."""
    bare = vulkan.probe(icd, None)
    if bare.fault:
        yield Piece("Vulkan device", False, bare.fault)
        return
    if bare.has_extensions:
        yield Piece("Vulkan device", True, f"{bare.device}, with Arm's extensions of its own")
        return
    layer = _layer_package()
    if not layer.ok:
        yield layer
        return
    emulated = vulkan.probe(icd, vulkan.find_layers())
    if emulated.fault:
        again = _pip("ai-ml-emulation-layer-for-vulkan")
        yield Piece(layer.name, False, f"version {layer.detail} does not load: {emulated.fault}", again)
        return
    yield layer
    if emulated.has_extensions:
        yield Piece("Vulkan device", True, f"{emulated.device}, with Arm's emulation layers")
    else:
        yield Piece(
            "Vulkan device",
            False,
            f"{emulated.device} lacks {', '.join(emulated.missing)}, although the emulation layers load",
        )


def _installed(distribution: str, install: str) -> Piece:
    version = _version(distribution)
    return Piece(distribution, version is not None, version or "is not installed", "" if version else install)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _broken(piece: Piece) -> Piece:
    return Piece(piece.name, False, f"version {piece.detail} has no module scenario_runner", _pip(piece.name))


def _backend() -> Piece:
    """ExecuTorch with the VGF backend. Looked for as a file: its packages import torch."""
    version = _version("executorch")
    if version is None:
        return Piece("executorch", False, "is not installed", _PROVE)
    spec = find_spec("executorch")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    has_backend = any(Path(folder, "backends", "arm", "vgf").is_dir() for folder in folders)
    return Piece("executorch", has_backend, version if has_backend else f"{version} has no VGF backend")


def converter_beside_python() -> str | None:
    """The converter in the folder of this Python, where its environment is used without being activated."""
    return shutil.which("model-converter", path=str(Path(sys.executable).parent))


def _converter() -> Piece:
    """The converter that VgfPartitioner calls: $MODEL_CONVERTER_PATH, or model-converter on PATH."""
    name, package = "model-converter", "ai-ml-sdk-model-converter"
    configured = os.environ.get("MODEL_CONVERTER_PATH")
    if configured and not os.access(configured, os.X_OK):
        return Piece(name, False, f"MODEL_CONVERTER_PATH is {configured}, which cannot be run")
    path = configured or shutil.which("model-converter") or shutil.which("model_converter")
    beside = "" if path else "; not on PATH, where VgfPartitioner looks for it, so activate this environment to lower"
    path = path or converter_beside_python()
    if path is None:
        return Piece(name, False, "is not on PATH", _pip(package))
    try:
        command = [path, "--version"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=_VERSION_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return Piece(name, False, f"{path} does not run: {error}", _pip(package))
    if told.returncode:
        last = (told.stderr or told.stdout).strip().splitlines() or ["it prints nothing"]
        return Piece(name, False, f"{path} exits with {told.returncode}: {last[-1]}", _pip(package))
    return Piece(name, True, f"{_version(package) or 'unknown version'} ({path}{beside})")


def _driver(icd: Path | None) -> Piece:
    if icd is not None and not icd.is_file():
        return Piece("Vulkan driver", False, f"{icd} is not a file; give the JSON manifest of a driver")
    found = icd or vulkan.find_driver()
    if found is None:
        return Piece("Vulkan driver", False, "no manifest of lavapipe, Mesa's software driver", _APT)
    return Piece("Vulkan driver", True, str(found))


def _layer_package() -> Piece:
    """The package of the emulation layers, whether or not they load."""
    name = "ai-ml-emulation-layer-for-vulkan"
    piece = _installed(name, _pip(name))
    if piece.ok and vulkan.find_layers() is None:
        return Piece(name, False, f"version {piece.detail} has no layers", _pip(name))
    if piece.ok and _older(piece.detail, VGF_PACKAGES[name]):
        return Piece(name, False, f"version {piece.detail} is older than {VGF_PACKAGES[name]}", _pip(name))
    return piece


def _older(version: str, than: str) -> bool:
    try:
        return Version(version) < Version(than)
    except InvalidVersion:
        return False


def _pip(distribution: str) -> str:
    # Without its dependencies: executorch[vgf] pins an older one, and there is nothing that it needs.
    return f"pip install --no-deps {distribution}=={VGF_PACKAGES[distribution]}"


__all__ = ["ENGINES", "EngineStatus", "EngineUnavailable", "Piece", "require", "statuses", "vgf_status"]
