"""Which engines work: every piece that may be missing is named, with the command that installs it. Torch-free."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from fuseguard.cli.main import cli
from fuseguard.executorch.engines import status, vulkan
from fuseguard.executorch.engines.status import EngineUnavailable, require, vgf_status
from fuseguard.executorch.engines.vulkan import EXTENSIONS, Device
from fuseguard.schemas import load_schema
from fuseguard_testkit.paths import DATA

_LAYER = "ai-ml-emulation-layer-for-vulkan"
_PLAIN = Device("a device", frozenset(("VK_KHR_swapchain",)))
_WHOLE = Device("a device", frozenset(EXTENSIONS))


@dataclass
class Machine:
    """What the fakes say that there is."""

    versions: dict[str, str | None]
    loader: str | None = "libvulkan.so.1"
    layers: Path | None = Path("deploy")
    bare: Device = _PLAIN
    emulated: Device = _WHOLE
    converter: str | None = sys.executable  # it has --version, too


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine on which the engine vgf works; tests take things away."""
    names = ("torch", "executorch", "torchao", "tosa-tools", "ethos-u-vela")
    versions: dict[str, str | None] = dict.fromkeys(names, "1.0")
    versions |= status.VGF_PACKAGES
    found = Machine(versions)
    (tmp_path / "executorch/backends/arm/vgf").mkdir(parents=True)
    icd = tmp_path / "lvp_icd.json"
    icd.write_text("{}")
    monkeypatch.setenv("VK_DRIVER_FILES", str(icd))
    monkeypatch.delenv("MODEL_CONVERTER_PATH", raising=False)
    monkeypatch.setattr(status, "_version", lambda name: found.versions[name])
    monkeypatch.setattr(status, "find_spec", lambda name: _Spec([str(tmp_path / name)]))
    monkeypatch.setattr(status, "converter_beside_python", lambda: None)
    monkeypatch.setattr(status.shutil, "which", lambda name, path=None: found.converter)
    monkeypatch.setattr(vulkan, "find_loader", lambda: found.loader)
    monkeypatch.setattr(vulkan, "find_layers", lambda: found.layers)
    monkeypatch.setattr(vulkan, "probe", lambda icd, layers: found.bare if layers is None else found.emulated)
    return found


@dataclass
class _Spec:
    submodule_search_locations: list[str]


def test_with_all_pieces_it_works(machine: Machine) -> None:
    found = vgf_status()
    assert found.works, found.explained()
    assert found.install == ()
    require("vgf")
    assert "a device, with Arm's emulation layers" in [piece.detail for piece in found.pieces]


def test_a_driver_with_arm_s_extensions_needs_no_layers(machine: Machine) -> None:
    machine.bare = _WHOLE
    machine.versions[_LAYER] = None
    machine.layers = None
    found = vgf_status()
    assert found.works, found.explained()
    assert "a device, with Arm's extensions of its own" in [piece.detail for piece in found.pieces]


def _without_driver(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vulkan, "find_driver", lambda: None)


#: What is taken away -> how, what is said, and what installs it.
MISSING: dict[str, tuple[Callable[[Machine, pytest.MonkeyPatch], object], str, str]] = {
    "driver": (_without_driver, "no manifest of lavapipe", "apt-get install"),
    "loader": (lambda m, _: setattr(m, "loader", None), "no libvulkan.so.1", "apt-get install"),
    "layer package": (lambda m, _: m.versions.update({_LAYER: None}), "is not installed", f"{_LAYER}==0.11.0"),
    "layers": (lambda m, _: setattr(m, "layers", None), "has no layers", f"{_LAYER}==0.11.0"),
    "layer version": (
        lambda m, _: m.versions.update({_LAYER: "0.10.0"}), "0.10.0 is older than 0.11.0", f"{_LAYER}==0.11.0"
    ),
    "layer that does not load": (
        lambda m, _: setattr(m, "emulated", Device(fault="version `GLIBC_2.38' not found")),
        "0.11.0 does not load: version `GLIBC_2.38' not found",
        f"{_LAYER}==0.11.0",
    ),
    "layer that is left out": (
        lambda m, _: setattr(m, "emulated", _PLAIN), "lacks VK_ARM_tensors, VK_ARM_data_graph", ""
    ),
    "driver that does not answer": (
        lambda m, _: setattr(m, "bare", Device(fault="the Vulkan driver does not answer within 60 s")),
        "does not answer within 60 s", "",
    ),
    "runner": (
        lambda m, _: m.versions.update({"ai-ml-sdk-scenario-runner": None}), "ai-ml-sdk-scenario-runner: is not",
        "ai-ml-sdk-scenario-runner==0.11.0",
    ),
    "converter": (lambda m, _: setattr(m, "converter", None), "model-converter: is not on PATH", "model-converter"),
    "executorch": (lambda m, _: m.versions.update({"executorch": None}), "executorch: is not installed", "'.[prove]'"),
}  # fmt: skip


@pytest.mark.parametrize("what", MISSING)
def test_what_is_missing_is_named_with_the_command_that_installs_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    take, said, command = MISSING[what]
    take(machine, monkeypatch)
    with pytest.raises(EngineUnavailable) as told:
        require("vgf")
    text = str(told.value)
    assert said in text, text
    assert command in text
    assert ("Install what is missing" in text) == bool(command)


@pytest.mark.parametrize("name", ["ethos-u-vela", "tosa-tools"])
def test_without_vela_or_the_reference_model_the_engine_vela_says_what_to_install(machine: Machine, name: str) -> None:
    require("vela")
    machine.versions[name] = None
    with pytest.raises(EngineUnavailable, match=rf"{name}: is not installed") as told:
        require("vela")
    assert ("pip install ethos-u-vela" in str(told.value)) == (name == "ethos-u-vela")
    document = json.loads(_run("doctor", "--output-format", "json").output)
    assert {engine["name"]: engine["works"] for engine in document["engines"]}["vela"] is False


@pytest.mark.parametrize("what", ["driver", "layer version"])
def test_prove_says_the_same_and_exits_with_2(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str
) -> None:
    take, said, _ = MISSING[what]
    take(machine, monkeypatch)
    monkeypatch.setattr("fuseguard.cli.prove._prove", lambda *_: pytest.fail("it went on without the engine"))
    result = _run("prove", str(DATA / "conv_cat.pt2"), "--trust", "--target", "vgf", "--engine", "vgf")
    assert result.exit_code == 2
    assert said in result.output
    assert "'fuseguard doctor' says what works here." in result.output


def test_a_driver_that_is_not_there_is_named(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"none\.json is not a file"):
        require("vgf", tmp_path / "none.json")


def test_a_converter_that_does_not_run_is_named(machine: Machine, tmp_path: Path) -> None:
    broken = tmp_path / "model-converter"
    broken.write_text("#!/bin/sh\necho 'GLIBC_2.38 not found' >&2\nexit 1\n")
    broken.chmod(0o755)
    machine.converter = str(broken)
    with pytest.raises(EngineUnavailable, match=r"exits with 1: GLIBC_2\.38 not found"):
        require("vgf")


def test_doctor_exits_with_0_whatever_is_missing(machine: Machine) -> None:
    works = _run("doctor")
    assert works.exit_code == 0
    assert "vgf: works; runs the VGF" in works.output
    machine.loader = None
    result = _run("doctor")
    assert result.exit_code == 0
    assert "vgf: does not work here" in result.output
    assert "MISSING: no libvulkan.so.1" in result.output
    assert "install  apt-get install --no-install-recommends mesa-vulkan-drivers libvulkan1" in result.output
    document = json.loads(_run("doctor", "--output-format", "json").output)
    jsonschema.Draft202012Validator(load_schema("doctor")).validate(document)
    assert [(engine["name"], engine["works"]) for engine in document["engines"]] == [
        ("tosa", True), ("vgf", False), ("vela", True),
    ]  # fmt: skip


def test_doctor_imports_no_torch() -> None:
    script = (
        "import sys\nfrom fuseguard.cli.main import cli\n"
        "try:\n    cli(['doctor'])\nexcept SystemExit as end:\n    print(end.code, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False", done.stdout


def test_the_layers_are_stacked_by_folder_and_name_their_libraries(tmp_path: Path) -> None:
    layers = tmp_path / "deploy"
    manifests = layers / "share/vulkan/explicit_layer.d"
    manifests.mkdir(parents=True)
    for name in ("Graph", "Tensor"):
        content = {"layer": {"name": name, "library_path": f"libVkLayer_{name}.so"}}
        (manifests / f"VkLayer_{name}.json").write_text(json.dumps(content))
    folder = tmp_path / "scratch"
    folder.mkdir()
    found = vulkan.environment(Path("/icd.json"), layers, folder)
    graph, tensor = (Path(part) for part in found["VK_LAYER_PATH"].split(":"))
    names = [path.name for path in (*graph.iterdir(), *tensor.iterdir())]
    assert names == ["VkLayer_Graph.json", "VkLayer_Tensor.json"]
    library = json.loads((graph / "VkLayer_Graph.json").read_text())["layer"]["library_path"]
    assert library == str(layers / "lib" / "libVkLayer_Graph.so")
    assert found["VK_DRIVER_FILES"] == found["VK_ICD_FILENAMES"] == "/icd.json"
    assert "VK_LAYER_PATH" not in vulkan.environment(Path("/icd.json"), None, folder)


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("import os; os.abort()", "exit code -6"),
        ("print('no JSON')", "nothing that can be read"),
        ("import time; time.sleep(60)", "does not answer within 1 s"),
    ],
)
def test_a_driver_that_aborts_or_hangs_is_a_fault_of_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, fault: str
) -> None:
    path = tmp_path / "probe.py"
    path.write_text(script)
    monkeypatch.setattr(vulkan.vulkan_probe, "__file__", str(path))
    monkeypatch.setattr(vulkan, "_PROBE_SECONDS", 1)
    assert fault in vulkan.probe(tmp_path / script[:20], None).fault


def _run(*args: str) -> Result:
    return CliRunner().invoke(cli, args, prog_name="fuseguard")
