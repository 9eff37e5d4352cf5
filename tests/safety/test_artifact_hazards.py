"""What loading a file of exir.serde, of torch 2.6 or an ETRecord would run is found, and run by nobody."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import fuseguard
from fuseguard.engine.finding import Effect
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.open import read_file
from fuseguard_testkit.artifact_routes import (
    ARTIFACTS,
    DELEGATE_WAYS,
    LOWERED,
    WAYS,
    Artifact,
    Way,
    contents,
    forge_artifact,
)
from fuseguard_testkit.code_routes import pickled
from fuseguard_testkit.forging import graph_of, pack

ALL = [
    *((artifact, way) for artifact in ARTIFACTS for way in WAYS),
    *((artifact, way) for artifact in LOWERED for way in DELEGATE_WAYS),
]
NAMES = [f"{artifact.fixture}-{artifact.program.rpartition('/')[2]}-{way.name}" for artifact, way in ALL]
LOADERS = """
import logging, sys, warnings
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
import torch, torch.ao.quantization.fx._decomposed
import executorch.exir
from executorch.devtools.etrecord import parse_etrecord
from executorch.exir.serde.serialize import load
from pathlib import Path
LOADER = {".exir": load, ".etrecord": parse_etrecord, ".pt2": torch.export.load}
for path in sorted(path for path in Path(sys.argv[1]).glob("*/*") if path.suffix in LOADER):
    sys.path.insert(0, str(path.parent))
    try:
        loaded = LOADER[path.suffix](str(path))
        programs = [loaded]
        if path.suffix == ".etrecord":
            edge = loaded.edge_dialect_program
            programs = [loaded.exported_program, *(edge.values() if isinstance(edge, dict) else [edge])]
        for program in programs:
            if program is not None:
                program.graph_module.recompile()
    except Exception as error:
        print(path.parent.name, path.name, type(error).__name__, str(error)[:200], file=sys.stderr)
    sys.path.pop(0)
"""


@pytest.mark.parametrize(("artifact", "way"), ALL, ids=NAMES)
def test_a_route_is_found_and_not_taken(
    artifact: Artifact, way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "marker"
    path = forge_artifact(tmp_path / artifact.fixture, artifact, way, marker)
    monkeypatch.syspath_prepend(tmp_path)
    report = fuseguard.check(path)
    found = [finding for finding in report.findings if finding.effect is Effect.RUNS_CODE]
    assert {finding.code for finding in found} == {way.code}
    assert not report.ok
    assert not marker.exists()
    assert not [name for name in sys.modules if name.startswith("evil_")]


@pytest.mark.torch
@pytest.mark.slow
def test_torch_and_executorch_take_the_routes_that_are_live(tmp_path: Path) -> None:
    """The payloads work; otherwise, that fuseguard does not run them shows nothing."""
    pytest.importorskip("executorch")
    expected = set()
    for number, (artifact, way) in enumerate(ALL):
        # torch 2.6 has the other unpickler to fall back to. A schema of another release may be refused.
        if (way.live or "torch26" in artifact.fixture) and "1.2.0" not in artifact.fixture:
            folder = tmp_path / str(number)
            folder.mkdir()
            forge_artifact(folder / artifact.fixture, artifact, way, folder / "marker")
            expected.add(folder)
    errors = subprocess.run([sys.executable, "-c", LOADERS, str(tmp_path)], capture_output=True, text=True).stderr
    missing = [NAMES[int(folder.name)] for folder in expected if not (folder / "marker").exists()]
    assert not missing, errors


def test_all_programs_of_a_record_are_looked_at_whichever_is_chosen(tmp_path: Path) -> None:
    artifact, way = next((artifact, way) for artifact, way in ALL if artifact.program.endswith("/second"))
    path = forge_artifact(tmp_path / "m.etrecord", artifact, way, tmp_path / "marker")
    graph = read_file(path, ("exported_program/forward",))
    assert list(graph.subgraphs) == ["exported_program/forward"]
    assert [hazard.code for hazard in graph.hazards] == [way.code]


@pytest.mark.parametrize("artifact", ARTIFACTS, ids=lambda artifact: f"{artifact.fixture}-{artifact.program}")
def test_a_bare_pickle_in_the_place_of_tensors_is_refused(artifact: Artifact, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = pack(tmp_path / artifact.fixture, contents(artifact.fixture) | {artifact.state: pickled(marker)})
    with pytest.raises(UnreadableInput, match="pickle"):
        read_file(path)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["reference_outputs", "representative_inputs"])
def test_what_an_etrecord_holds_besides_programs(name: str, tmp_path: Path) -> None:
    """ExecuTorch 1.2 takes these with pickle.loads."""
    marker = tmp_path / "marker"
    path = pack(tmp_path / "m.etrecord", contents("several.etrecord") | {name: pickled(marker)})
    [hazard] = read_file(path).hazards
    assert (hazard.code, hazard.place) == ("AR909", name)
    assert not marker.exists()


def test_a_hidden_program_of_an_etrecord_is_read(tmp_path: Path) -> None:
    """parse_etrecord takes every record for a program whose name it does not know."""
    path = pack(tmp_path / "m.etrecord", contents("several.etrecord") | {"et_dialect_graph_module": b"{}"})
    with pytest.raises(UnreadableInput):
        read_file(path)


def test_a_delegate_under_another_name_is_looked_at(tmp_path: Path) -> None:
    """Any op may be called with text; what is a delegate's is not passed for its op's name."""
    records = contents("conv_cat_edge.exir")
    name = "serialized_exported_program.json"
    inner, outer = json.loads(records[name]), json.loads(records[name])
    graph_of(inner)["tensor_values"]["x"]["sizes"][0] = {"as_expr": {"expr_str": "open('x')", "hint": None}}
    text = json.dumps({"original_module": inner})
    graph_of(outer)["nodes"].append(
        {"target": "alias", "inputs": [{"name": "m", "arg": {"as_string": text}}], "outputs": [], "metadata": {}}
    )
    path = pack(tmp_path / "m.exir", records | {name: json.dumps(outer).encode()})
    assert [hazard.code for hazard in read_file(path).hazards] == ["AR907"]


@pytest.mark.parametrize("name", ["serialized_state_dict.json", "serialized_constants.json"])
def test_a_second_record_of_tensors_is_refused(name: str, tmp_path: Path) -> None:
    """torch takes whichever comes last, so that what is checked need not be what is loaded."""
    path = pack(tmp_path / "m.pt2", contents("conv_cat_torch26.pt2") | {name: b""})
    with pytest.raises(UnreadableInput, match="instead of the tensors"):
        read_file(path)


def test_pickles_too_long_to_look_through_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuseguard.readers.budget.MAX_ALL_PICKLE_BYTES", 100)
    path = pack(tmp_path / "m.exir", contents("conv_cat_edge.exir"))
    with pytest.raises(UnreadableInput, match="bytes of pickles"):
        read_file(path)
