"""``fuseguard selftest``: what it prints and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from click.testing import Result as Outcome

import fuseguard
from fuseguard import measured
from fuseguard.engine import load_registry, run
from fuseguard.engine.example_cases import Case, Result
from fuseguard.ir.digest import digest
from fuseguard.measured import Recordings
from fuseguard.measured.recording import Recording, encode, read, write
from fuseguard.report import selftest as report
from fuseguard.report.lines import plain
from fuseguard.schemas import load_schema
from fuseguard.target import Target
from fuseguard_testkit.recordings import case as recorded
from fuseguard_testkit.recordings import recording

Cli = Callable[..., Outcome]


def result(*, fault: str = "", seen: str = "wrong") -> Result:
    case = Case("FU101", "conv2d -> relu", False, "graph", "TOSA-1.0+INT")
    return Result(case, "wrong", "measured", (("FU101", "fused"),), seen, 0, "exact", "", fault)


def test_the_report_puts_the_table_beside_what_was_seen() -> None:
    text = plain(report.render([result(), result(fault="announced wrong, seen exact", seen="exact")], "1.5.1"))
    assert "FU101  conv2d -> relu  graph" in text
    assert text.count("DISAGREES") == 1
    assert "announced wrong, seen exact" in text
    assert "2 cases on ExecuTorch 1.5.1: 1 disagree" in text


def test_the_json_form_counts_disagreements() -> None:
    data = report.to_dict([result(), result(fault="x")], "1.5.1")
    assert data["disagreements"] == 1
    assert [case["agrees"] for case in data["cases"]] == [True, False]
    assert data["cases"][0]["seen"] == "wrong"
    assert data["cases"][0]["found"] == [{"code": "FU101", "case": "fused"}]
    assert data["cases"][0]["announced"] == ["FU101"]


def test_a_recording_is_of_the_default_configuration(cli: Cli, tmp_path: Path) -> None:
    outcome = cli("selftest", "--no-check-ir-validity", "--record", str(tmp_path / "r.json"))
    assert outcome.exit_code == 2
    assert "--no-check-ir-validity" in outcome.output


def test_an_unknown_rule_is_told_before_anything_is_judged(cli: Cli) -> None:
    outcome = cli("selftest", "--select", "XX999")
    assert outcome.exit_code == 2
    assert "matches no rule" in outcome.output


def test_rules_may_be_separated_by_commas_as_for_check(cli: Cli) -> None:
    outcome = cli("selftest", "--select", "FU101,XX999")
    assert outcome.exit_code == 2
    assert "'XX999' matches no rule" in outcome.output


@pytest.mark.parametrize("missing", ["torch", "executorch", "torchao", "tosa_reference_model"])
def test_missing_extras_name_the_command_that_installs_them(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr("fuseguard.cli.selftest.find_spec", lambda name: None if name == missing else object())
    outcome = cli("selftest", "--select", "FU101")
    assert outcome.exit_code == 2
    assert f"No module named '{missing}'" in outcome.output
    assert "pip install '.[prove]'" in outcome.output


def test_an_installation_that_cannot_be_imported_is_told_as_well(judged: Judged, cli: Cli) -> None:
    def broken(chosen: Sequence[Case], jobs: int = 1, *, repairs: bool = False, **_: Any) -> Iterator[Result]:
        raise ImportError("libtorch_cpu.so is damaged")
        yield

    judged.by(broken)
    outcome = cli("selftest", "--select", "FU101")
    assert (outcome.exit_code, "libtorch_cpu.so is damaged" in outcome.output) == (2, True)


def test_a_case_whose_process_was_killed_is_no_case_that_agrees() -> None:
    from fuseguard.executorch.selftest import _lost

    lost = _lost(Case("FU101", "conv2d -> relu", False, "graph", "TOSA-1.0+INT"))
    assert not lost.agrees
    assert not lost.judged
    assert "-j" in lost.fault


# --- recordings -----------------------------------------------------------------------------------------------

VERSIONS = {"executorch": "1.5.1", "torch": "2.13.0", "torchao": "0.18.0", "tosa-tools": "2026.5.0"}


class Judged:
    """Stands in for torch and the backend: every case is ``outcome``, or what ``outcomes`` says of its title."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.outcome = "wrong"
        self.outcomes: dict[str, str] = {}
        self.asked: list[Case] = []
        self.repairs: list[bool] = []
        self.versions = dict(VERSIONS)
        self._monkeypatch = monkeypatch
        monkeypatch.setattr("fuseguard.cli.selftest.find_spec", lambda name: object())
        monkeypatch.setattr("importlib.metadata.version", lambda name: self.versions[name])
        self.by(self.run_cases)

    def by(self, run_cases: Callable[..., Iterator[Result]]) -> None:
        self._monkeypatch.setattr("fuseguard.executorch.selftest.run_cases", run_cases)

    def run_cases(
        self, chosen: Sequence[Case], jobs: int = 1, *, repairs: bool = False, **_: Any
    ) -> Iterator[Result]:
        self.repairs.append(repairs)
        for case in chosen:
            self.asked.append(case)
            outcome = self.outcomes.get(case.title, self.outcome)
            yield Result(
                case=case, expected="wrong", evidence="", found=((case.code, "fused"),), outcome=outcome, cpu=2,
                guarded="exact", detail="", fault="" if outcome == "wrong" else f"announced wrong, seen {outcome}",
                repaired="exact" if repairs else "", equal=True if repairs else None,
            )  # fmt: skip


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Judged:
    return Judged(monkeypatch)


def in_file(path: Path) -> Recording:
    made = read(path)
    assert made is not None
    return made


def test_what_was_seen_is_recorded(judged: Judged, cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "1.5.1.json"
    outcome = cli("selftest", "--select", "FU103", "--record", str(path), "-j", "2")
    assert outcome.exit_code == 0, outcome.output
    assert judged.repairs == [True]
    assert "repaired" in outcome.stdout
    made = in_file(path)
    assert (made.schema, made.executorch, made.fuseguard) == (1, "1.5.1", fuseguard.__version__)
    assert made.packages == {name: VERSIONS[name] for name in ("torch", "torchao", "tosa-tools")}
    assert made.date == datetime.now(timezone.utc).date().isoformat()
    rule = load_registry().get("FU103")
    assert rule is not None
    assert {item.example for item in made.cases} == {example.title for example in (*rule.bad, *rule.good)}
    assert {item.profile for item in made.cases} == {"INT", "INT+FP"}
    first = made.cases[0]
    assert (first.found, first.seen, first.cpu, first.guarded, first.repaired, first.equal) == (
        (("FU103", "fused"),), "wrong", 2, "exact", "exact", True,
    )  # fmt: skip
    example = next(example for example in (*rule.bad, *rule.good) if example.title == first.example)
    assert first.digest == digest(example.graph())
    assert [item.key for item in made.cases] == sorted(item.key for item in made.cases)
    jsonschema.validate(json.loads(path.read_text()), load_schema("recording"))
    again = path.read_bytes()
    assert cli("selftest", "--select", "FU103", "--record", str(path)).exit_code == 0
    assert path.read_bytes() == again, "the same is written for the same"


def test_the_schema_of_recordings_is_printed(cli: Cli) -> None:
    assert json.loads(cli("schema", "recording").output) == load_schema("recording")


def test_nothing_is_repaired_unless_it_is_recorded(judged: Judged, cli: Cli) -> None:
    assert cli("selftest", "--select", "FU103").exit_code == 0
    assert judged.repairs == [False]


def test_a_disagreement_is_recorded_too_and_ends_with_1(judged: Judged, cli: Cli, tmp_path: Path) -> None:
    judged.outcome = "exact"
    path = tmp_path / "1.5.1.json"
    assert cli("selftest", "--select", "FU103", "--record", str(path)).exit_code == 1
    assert {item.seen for item in in_file(path).cases} == {"exact"}


def test_a_part_of_the_rules_replaces_only_their_cases(judged: Judged, cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "1.5.1.json"
    cli("selftest", "--select", "FU103,OP707", "--record", str(path))
    gone = recorded("FU103", "narrow", example="an example that there is no more")
    other = recorded("QD204", "mac", example="an example that there is no more")
    before = in_file(path)
    write(msgspec.structs.replace(before, cases=(*before.cases, gone, other), date="2026-01-01"), path)
    judged.asked.clear()
    judged.outcome = "exact"
    cli("selftest", "--select", "OP707", "--record", str(path))
    assert {case.code for case in judged.asked} == {"OP707"}
    after = in_file(path)
    assert {(item.rule, item.seen) for item in after.cases} == {("FU103", "wrong"), ("OP707", "exact")}
    assert len(after.cases) == len(before.cases), "what is not an example any more is dropped"
    assert after.date > "2026-01-01"


def test_an_example_that_rules_share_is_recorded_with_the_first_of_them(
    judged: Judged, cli: Cli, tmp_path: Path
) -> None:
    """Or a recording would have it twice, and which one counts would depend on what was recorded last."""
    path = tmp_path / "1.5.1.json"
    cli("selftest", "--select", "FU102", "--record", str(path))
    titles = {item.example for item in in_file(path).cases}
    assert "conv2d -> relu alone" not in titles
    cli("selftest", "--select", "FU101,FU102", "--record", str(path))
    assert {item.rule for item in in_file(path).cases if item.example == "conv2d -> relu alone"} == {"FU101"}


def test_a_rule_is_written_as_soon_as_it_is_complete(judged: Judged, cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "1.5.1.json"

    def interrupted(chosen: Sequence[Case], jobs: int = 1, *, repairs: bool = False, **_: Any) -> Iterator[Result]:
        for result in judged.run_cases(chosen, jobs, repairs=repairs):
            if result.case.code == "OP707":
                raise KeyboardInterrupt
            yield result

    def asks_for_the_next(
        chosen: Sequence[Case], jobs: int = 1, *, repairs: bool = False, **_: Any
    ) -> Iterator[Result]:
        seen = 0
        for result in judged.run_cases(chosen, jobs, repairs=repairs):
            yield result
            seen += result.case.code == "OP707"
            if seen == 1:
                raise KeyboardInterrupt

    judged.by(interrupted)
    cli("selftest", "--select", "FU103,OP707", "--record", str(path))
    assert not path.exists(), "nobody can tell whether that was the last case of FU103"
    judged.by(asks_for_the_next)
    outcome = cli("selftest", "--select", "FU103,OP707", "--record", str(path))
    assert "Interrupted" in outcome.output
    assert {item.rule for item in in_file(path).cases} == {"FU103"}


def test_a_case_whose_process_was_killed_is_not_recorded(judged: Judged, cli: Cli, tmp_path: Path) -> None:
    from fuseguard.executorch.selftest import _lost

    def one_lost(chosen: Sequence[Case], jobs: int = 1, *, repairs: bool = False, **_: Any) -> Iterator[Result]:
        results = list(judged.run_cases(chosen, jobs, repairs=repairs))
        yield from (_lost(results[0].case), *results[1:])

    judged.by(one_lost)
    path = tmp_path / "1.5.1.json"
    outcome = cli("selftest", "--select", "FU103", "--record", str(path))
    assert outcome.exit_code == 1
    assert len(in_file(path).cases) == len(judged.asked) - 1


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("not json", "not a fuseguard recording"),
        (encode(recording("1.4.1")), "a recording of ExecuTorch 1.4.1, and 1.5.1 is installed"),
        (encode(recording("1.5.1", packages={**VERSIONS, "torch": "2.12.0"})), "record all rules, without --select"),
    ],
    ids=["no recording", "another release", "other packages"],
)
def test_a_file_that_cannot_be_added_to_is_told_before_an_hour_of_lowering(
    judged: Judged, cli: Cli, tmp_path: Path, content: str, complaint: str
) -> None:
    path = tmp_path / "1.5.1.json"
    path.write_text(content)
    outcome = cli("selftest", "--select", "FU103", "--record", str(path))
    assert outcome.exit_code == 2
    assert complaint in outcome.output
    assert (judged.asked, path.read_text()) == ([], content)


def test_all_rules_replace_a_recording_that_was_made_with_other_packages(
    judged: Judged, cli: Cli, tmp_path: Path
) -> None:
    path = tmp_path / "1.5.1.json"
    old = recorded("FU103", "narrow", "bounded", date="2026-01-01")
    write(recording("1.5.1", [old], packages={"torch": "2.12.0", "torchao": "0.18.0", "tosa-tools": "2026.5.0"}), path)
    assert cli("selftest", "--record", str(path)).exit_code == 0
    made = in_file(path)
    assert made.packages["torch"] == "2.13.0"
    assert "2026-01-01" not in {item.date for item in made.cases}
    recorded_rules = {rule.code for rule in load_registry().select() if not rule.accelerator}
    assert {item.rule for item in made.cases} == recorded_rules


def test_a_place_that_cannot_be_written_is_told_first(judged: Judged, cli: Cli, tmp_path: Path) -> None:
    outcome = cli("selftest", "--select", "FU103", "--record", str(tmp_path / "none" / "1.5.1.json"))
    assert (outcome.exit_code, judged.asked) == (2, [])
    assert "cannot be written" in outcome.output


def test_a_recording_holds_both_profiles(judged: Judged, cli: Cli, tmp_path: Path) -> None:
    path = str(tmp_path / "1.5.1.json")
    outcome = cli("selftest", "--target", "TOSA-1.0+INT", "--record", path)
    assert (outcome.exit_code, judged.asked) == (2, [])
    assert "both integer profiles" in outcome.output


def test_without_a_file_the_recording_that_ships_is_meant(
    judged: Judged, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / "verifier" / "fuseguard" / "measured"
    checkout.mkdir(parents=True)
    monkeypatch.setattr(measured, "__file__", str(checkout / "__init__.py"))
    outcome = cli("selftest", "--select", "FU103", "--record")
    assert (outcome.exit_code, judged.asked) == (2, [])
    assert "this fuseguard is not a checkout" in outcome.output
    (tmp_path / "pyproject.toml").touch()
    assert cli("selftest", "--record", "--select", "FU103").exit_code == 0
    assert [path.name for path in checkout.iterdir()] == ["1.5.1.json"]


# --- on the installed release ---------------------------------------------------------------------------------


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_rule_is_judged_on_the_installed_release(cli: Cli, jobs: str) -> None:
    pytest.importorskip("tosa_reference_model")
    options = ("--target", "TOSA-1.0+INT", "--jobs", jobs, "--output-format", "json")
    outcome = cli("selftest", "--select", "OP702", *options)
    assert outcome.exit_code == 0, outcome.output
    data = json.loads(outcome.stdout)
    assert data["disagreements"] == 0
    assert {case["target"] for case in data["cases"]} == {"TOSA-1.0+INT"}
    assert "wrong" in {case["seen"] for case in data["cases"]}


@pytest.mark.torch
@pytest.mark.slow
def test_a_rule_is_recorded_on_the_installed_release_and_counts_as_measured(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tosa_reference_model")
    release = metadata.version("executorch")
    path = tmp_path / f"{release}.json"
    outcome = cli("selftest", "--select", "OP707", "--record", str(path))
    assert outcome.exit_code == 0, outcome.output
    made = in_file(path)
    assert (made.executorch, made.packages["torch"]) == (release, metadata.version("torch"))
    assert {item.seen for item in made.cases if item.own} == {"bounded"}
    assert all(item.equal for item in made.cases if item.repaired)
    jsonschema.validate(json.loads(path.read_text()), load_schema("recording"))
    rule = load_registry().get("OP707")
    assert rule is not None
    graph = rule.bad[0].graph()
    (tmp_path / "none").mkdir()
    for recordings, evidence in ((Recordings(tmp_path), "measured"), (Recordings(tmp_path / "none"), "inferred")):
        monkeypatch.setattr(measured, "SHIPPED", recordings)
        (finding,) = run(graph, Target.parse(rule.bad[0].spec("TOSA-1.0+INT"), release), (rule,)).findings
        assert finding.evidence is not None
        assert finding.evidence.value == evidence
