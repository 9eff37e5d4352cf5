"""Recordings as files: what they hold, how they are found, read and written.

Protects: a release that counts as measured without a recording, a file that cannot be read again or that changes
without a reason, and an import of fuseguard that decodes megabytes.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema
import pytest
from packaging.version import Version

from fuseguard import measured
from fuseguard.backend import releases
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.digest import digest
from fuseguard.ir.graph import Graph, SourceLine
from fuseguard.measured import Recordings, nearest_first
from fuseguard.measured.recording import RecordedCase, RecordingError, decode, encode, read, write
from fuseguard.schemas import load_schema
from fuseguard.target import MEASURED_RELEASES
from fuseguard_testkit.recordings import RECORDINGS, STAND_INS, case, recording, recordings

FILES = [path.stem for path in Path(measured.__file__).parent.glob("*.json")]


@pytest.mark.xfail(not FILES, reason="no recording ships yet", strict=True)
def test_every_measured_release_has_a_recording() -> None:
    """And nothing else makes a release count as measured. The stand-ins for tests go with the first recording."""
    assert set(measured.RELEASES) == set(FILES)
    assert measured.SHIPPED.releases == measured.RELEASES
    assert not hasattr(measured, "_BEFORE_RECORDINGS"), "delete it: there are recordings"
    assert not list(STAND_INS.glob("*.json")), "delete them: there are recordings"


def test_the_measured_releases_are_the_same_everywhere() -> None:
    assert measured.RELEASES == MEASURED_RELEASES == releases.MEASURED_RELEASES
    assert list(measured.RELEASES) == sorted(measured.RELEASES, key=Version)


def test_importing_the_recordings_decodes_none() -> None:
    code = (
        "import sys, fuseguard.measured as m, fuseguard.target; "
        "print('fuseguard.measured.recording' in sys.modules, 'torch' in sys.modules, m.SHIPPED._decoded)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "{}"]


def test_releases_are_the_files_of_the_folder_oldest_first(tmp_path: Path) -> None:
    made = recordings(tmp_path, *(recording(name) for name in ("1.10.0", "1.2.0", "1.9.1")))
    for name in ("notes.json", "1.3.0.json.tmp", "1.4.0.txt", ".1.5.0.json.7.tmp"):
        (tmp_path / name).write_text("{}")
    assert Recordings(tmp_path).releases == made.releases == ("1.2.0", "1.9.1", "1.10.0")
    assert made.recording("1.9.1").executorch == "1.9.1"
    with pytest.raises(KeyError):
        made.recording("1.9.0")


def test_recordings_may_lie_in_an_archive(tmp_path: Path) -> None:
    """Some tools run packages without unpacking them."""
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        archive.writestr("fuseguard/measured/1.5.1.json", encode(recording("1.5.1", [case()])))
        archive.writestr("fuseguard/measured/__init__.py", "")
    made = Recordings(zipfile.Path(tmp_path / "a.whl", "fuseguard/measured/"))
    assert made.releases == ("1.5.1",)
    assert len(made.recording("1.5.1").cases) == 1


def test_a_recording_is_decoded_once_and_only_when_asked_for(tmp_path: Path) -> None:
    made = recordings(tmp_path, recording("1.2.0", [case()]))
    (tmp_path / "1.5.1.json").write_text("not json")
    made = Recordings(tmp_path)
    assert made.recording("1.2.0") is made.recording("1.2.0")
    with pytest.raises(RecordingError, match=r"1\.5\.1\.json: not a fuseguard recording"):
        made.recording("1.5.1")


def test_what_was_seen_is_looked_up_by_rule_case_and_profile(tmp_path: Path) -> None:
    first = case(example="a", spec="TOSA-1.0+INT+int16")
    second = case(example="b", found=(("QD203", "list"), ("FU101", "kept"), ("FU101", "fused")))
    other = case(example="c", profile="INT+FP")
    foreign = case("FU102", example="d", found=(("FU101", "kept"),))
    made = recordings(tmp_path, recording("1.5.1", [first, second, other, foreign]))
    assert [item.example for item in made.seen("1.5.1", "FU101", "kept", "INT")] == ["a", "b"]
    assert [item.example for item in made.seen("1.5.1", "FU101", "fused", "INT")] == ["b"]
    assert [item.example for item in made.seen("1.5.1", "FU101", "kept", "INT+FP")] == ["c"]
    assert made.seen("1.5.1", "QD203", "list", "INT") == (), "companions are not the example's own"
    assert second.own == ("kept", "fused")
    assert first.profile == "INT"


def test_the_file_has_a_line_for_each_case_and_reads_back(tmp_path: Path) -> None:
    made = recording("1.5.1", [case(), case(profile="INT+FP", equal=True, repaired="exact")])
    text = encode(made)
    assert decode(text.encode(), "x") == made
    assert [json.loads(line.rstrip(","))["spec"] for line in text.splitlines() if line.startswith("    {")] == [
        "TOSA-1.0+INT", "TOSA-1.0+INT+FP",
    ]  # fmt: skip
    assert encode(recording("1.5.1")).count("\n") > 5, "no cases are a recording too"
    assert decode(encode(recording("1.5.1")).encode(), "x").cases == ()
    write(made, tmp_path / "1.5.1.json")
    assert read(tmp_path / "1.5.1.json") == made
    assert [path.name for path in tmp_path.iterdir()] == ["1.5.1.json"], "nothing temporary is left"


def test_a_file_that_cannot_be_written_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "1.5.1.json"
    write(recording("1.5.1", [case()]), path)

    def fails(source: object, destination: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("fuseguard.measured.recording.os.replace", fails)
    with pytest.raises(OSError, match="no space"):
        write(recording("1.5.1"), path)
    assert len(decode(path.read_bytes(), "x").cases) == 1
    assert [item.name for item in tmp_path.iterdir()] == ["1.5.1.json"]


def test_a_missing_file_is_none_and_a_folder_an_error(tmp_path: Path) -> None:
    assert read(tmp_path / "none.json") is None
    with pytest.raises(RecordingError, match="cannot read"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("{", "{{"), "not a fuseguard recording"),
        (('"seen"', '"saw"'), "unknown field"),
        (('"schema": 1', '"schema": 2'), "in format 2, and this fuseguard reads 1"),
        (('"cpu": 0', '"cpu": "0"'), "Expected `int`"),
    ],
)
def test_what_is_no_recording_is_refused(change: tuple[str, str], complaint: str) -> None:
    text = encode(recording("1.5.1", [case()])).replace(*change, 1)
    with pytest.raises(RecordingError, match=re.escape(complaint)):
        decode(text.encode(), "r.json")


def test_recordings_are_valid_by_the_schema_and_wrong_ones_are_not() -> None:
    schema = load_schema("recording")
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    for release in RECORDINGS.releases:
        check.validate(json.loads(encode(RECORDINGS.recording(release))))
    for change in (("exact", "fine"), ("2026-11-28", "today"), ("0000", "00gg")):
        text = encode(recording("1.5.1", [case()])).replace(*change)
        assert not check.is_valid(json.loads(text)), change
    keys = set(schema["$defs"]["recorded_case"]["properties"])
    assert keys == set(RecordedCase.__struct_fields__), "the schema names every key"


@pytest.mark.parametrize(
    ("release", "order"),
    [
        ("1.5.0", ["1.5.1", "1.4.1", "1.3.1", "1.2.0"]),
        ("1.6.0", ["1.5.1", "1.4.1", "1.3.1", "1.2.0"]),
        ("1.4.0", ["1.4.1", "1.3.1", "1.2.0", "1.5.1"]),
        ("1.4.2", ["1.4.1", "1.3.1", "1.2.0", "1.5.1"]),
        ("1.2.5", ["1.2.0", "1.3.1", "1.4.1", "1.5.1"]),
        ("1.5.1rc1", ["1.5.1", "1.4.1", "1.3.1", "1.2.0"]),
    ],
)
def test_the_same_minor_is_nearest_then_older_releases_then_newer_ones(release: str, order: list[str]) -> None:
    assert nearest_first(Version(release), ("1.2.0", "1.3.1", "1.4.1", "1.5.1")) == order


def test_of_several_of_one_minor_the_older_one_is_nearer() -> None:
    assert nearest_first(Version("1.5.2"), ("1.5.0", "1.5.1", "1.5.3", "1.4.1")) == ["1.5.1", "1.5.0", "1.5.3", "1.4.1"]


def test_only_the_release_itself_is_measured(tmp_path: Path) -> None:
    made = recordings(tmp_path, recording("1.5.1"))
    assert made.of(Version("1.5.1")) == made.of(Version("1.5.1+cpu")) == "1.5.1"
    assert made.of(Version("1.5.1rc1")) == made.of(Version("1.5.1.post1")) == made.of(Version("1.5")) == ""


def graph(scale: float = 0.05, line: int = 1, annotated: bool = True, bounds: tuple[float, ...] = ()) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 8, 8), int8(scale))
    source = SourceLine("model.py", line)
    relu = b.call("aten.relu.default", x, *bounds, annotated=annotated, source=source)
    return b.output(b.requantize(relu, int8(scale)))


def test_a_digest_changes_with_what_a_graph_computes_and_with_nothing_else() -> None:
    assert digest(graph()) == digest(graph(line=99))
    others = [digest(made) for made in (graph(), graph(scale=0.06), graph(annotated=False), graph(bounds=(1.0,)))]
    assert len(set(others)) == len(others)
    assert re.fullmatch(r"[0-9a-f]{16}", others[0])


def test_a_digest_is_the_same_on_every_python() -> None:
    """A recording is made on one version and held against the examples on another."""
    assert digest(graph()) == "a35fef4141e29e35"
