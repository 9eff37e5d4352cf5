"""Baselines: text that can be reviewed, entries that outlive another export, and nothing that gets worse is hidden."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fuseguard.engine import Registry, RuleFailure, Severity
from fuseguard.gate.baseline import (
    Baseline,
    BaselineError,
    Entry,
    entries_of,
    gone_entries,
    place,
    read,
    render,
)
from fuseguard.gate.config import Config
from fuseguard.gate.gate import Gate, make_gate
from fuseguard.ir.graph import SourceLine
from fuseguard_testkit.cli_fakes import conv_relu


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def gate(registry: Registry, baseline: Baseline | None = None, release: str = "1.5.1", **options: object) -> Gate:
    return make_gate(registry, Config(), targets=["TOSA-1.0+INT+FP"], releases=[release], baseline=baseline, **options)  # type: ignore[arg-type]


def entry(file: str = "m.pt2", code: str = "FU101", **fields: object) -> Entry:
    return Entry(
        **{"file": file, "code": code, "place": "p", "fingerprint": "fg1:0", "severity": Severity.ERROR, **fields}
    )


def known(registry: Registry, release: str = "1.5.1") -> Baseline:
    """The baseline of a program with one finding, FU101."""
    empty = Baseline(Path("known.json"))
    return empty.with_entries(entries_of(empty, gate(registry, release=release).check(conv_relu(-17), "m.pt2")))


# --- the file ---------------------------------------------------------------------------------------------


def test_what_is_written_is_read_back(registry: Registry) -> None:
    baseline = known(registry)
    Path("known.json").write_text(render(baseline))
    again = read(Path("known.json"))
    assert again.entries == baseline.entries
    assert [entry.code for entry in again.entries] == ["FU101"]
    assert again.lines == (4,)


def test_the_text_is_sorted_json_with_one_finding_on_each_line() -> None:
    entries = [entry("b.pt2"), entry("a.pt2", "QD201"), entry("a.pt2", fingerprint="fg1:2"), entry("a.pt2")]
    text = render(Baseline(Path("known.json")).with_entries([*entries, entries[0]]))
    assert text == render(Baseline(Path("known.json")).with_entries(reversed(entries)))
    lines = text.splitlines()
    assert [json.loads(line.rstrip(","))["file"] for line in lines[3:-2]] == ["a.pt2", "a.pt2", "a.pt2", "b.pt2"]
    assert len(json.loads(text)["findings"]) == 4
    assert text.endswith("}\n")


def test_an_empty_baseline_is_a_baseline() -> None:
    Path("known.json").write_text(render(Baseline(Path("known.json"))))
    assert read(Path("known.json")).entries == ()


def test_the_byte_order_mark_and_the_line_ends_of_windows_are_no_fault(registry: Registry) -> None:
    text = render(known(registry))
    Path("known.json").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert read(Path("known.json")).lines == (4,)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not a fuseguard baseline"),
        ("[]", "not a fuseguard baseline"),
        ("{}", "missing required field `fuseguard_baseline`"),
        ('{"fuseguard_baseline": 1, "findings": [{"file": 3}]}', "Expected `str`, got `int`"),
        ('{"fuseguard_baseline": 1, "findings": [], "more": 1}', "unknown field `more`"),
        ('{"fuseguard_baseline": 2, "findings": []}', "of version 2, but this fuseguard reads 1"),
        ('{\n<<<<<<< HEAD\n"fuseguard_baseline": 1', "known.json:2: a merge conflict"),
        ("[" * 100_000, "not a fuseguard baseline"),
        ("\xff", "not a fuseguard baseline"),
    ],
)
def test_what_is_no_baseline_is_refused_with_its_name_and_a_way_out(content: str, said: str) -> None:
    Path("known.json").write_text(content, encoding="latin-1")
    with pytest.raises(BaselineError) as caught:
        read(Path("known.json"))
    assert str(caught.value).startswith("known.json")
    assert said in str(caught.value)


def test_a_missing_one_is_told_how_it_is_made() -> None:
    with pytest.raises(BaselineError, match=r"fuseguard baseline create FILE\.\.\. --baseline none"):
        read(Path("none.json"))


# --- what it covers ---------------------------------------------------------------------------------------


def test_what_is_known_is_not_reported_and_what_is_new_is(registry: Registry) -> None:
    report = gate(registry, known(registry)).check(conv_relu(-17), "m.pt2")
    assert report.findings == ()
    (finding,) = report.suppressed
    assert finding.suppression is not None
    assert finding.suppression.kind.value == "baseline"
    other = gate(registry, known(registry)).check(conv_relu(-17), "other.pt2")
    assert [finding.code for finding in other.findings] == ["FU101"], "known in another file, new in this one"


def test_another_calibration_and_another_line_are_no_new_finding(registry: Registry) -> None:
    report = gate(registry, known(registry)).check(conv_relu(-18, "/elsewhere/model.py"), "m.pt2")
    assert (report.findings, len(report.suppressed)) == ((), 1)


def test_what_got_worse_is_reported_and_says_so(registry: Registry) -> None:
    """A finding that a release tolerates must not stay hidden when the next one computes it wrong."""
    baseline = known(registry, release="1.4.1")
    assert [entry.severity for entry in baseline.entries] == [Severity.NOTE]
    made = gate(registry, baseline, release="1.5.1")
    report = made.check(conv_relu(-17), "m.pt2")
    (finding,) = report.findings
    assert (finding.severity, report.suppressed) == (Severity.ERROR, ())
    assert dict(finding.details)["baseline"] == "knows this as note; now it is worse"
    assert made.upkeep({"m.pt2": report}) == (), "it is still there"


def test_what_got_less_severe_stays_known(registry: Registry) -> None:
    report = gate(registry, known(registry), release="1.4.1").check(conv_relu(-17), "m.pt2")
    assert (report.findings, len(report.suppressed)) == ((), 1)


def test_a_file_is_known_from_wherever_the_command_runs(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("out").mkdir()
    baseline = Baseline(Path("known.json").absolute())
    assert baseline.name_of("out/m.pt2") == baseline.name_of(str(Path("out/m.pt2").absolute())) == "out/m.pt2"
    monkeypatch.chdir("out")
    assert baseline.name_of("m.pt2") == "out/m.pt2"
    assert baseline.name_of("../m.pt2") == "m.pt2"


# --- stale entries ----------------------------------------------------------------------------------------


def test_what_is_gone_is_told_at_its_line(registry: Registry) -> None:
    Path("known.json").write_text(render(known(registry)))
    made = gate(registry, read(Path("known.json")))
    (finding,) = made.upkeep({"m.pt2": made.check(conv_relu(-128), "m.pt2")})
    assert (finding.code, finding.severity) == ("SU002", Severity.WARNING)
    assert str(finding.source) == "known.json:4"
    assert finding.message.startswith("m.pt2 no longer has the finding FU101 at features.conv1")


def test_what_was_not_looked_for_is_not_told_as_gone(registry: Registry) -> None:
    baseline = known(registry)
    clean = gate(registry).check(conv_relu(-128), "m.pt2")
    assert gone_entries(baseline, {"m.pt2": clean}) == set(baseline.entries)
    assert gone_entries(baseline, {"other.pt2": clean}) == set()
    assert gone_entries(baseline, {"m.pt2": None}) == set()
    failed = replace(clean, failures=(RuleFailure("FU101", "", "KeyError"),))
    assert gone_entries(baseline, {"m.pt2": failed}) == set()
    assert gone_entries(baseline, {"m.pt2": gate(registry, select=["QD"]).check(conv_relu(-128), "m.pt2")}) == set()


# --- the place --------------------------------------------------------------------------------------------


def test_a_place_holds_nothing_that_the_next_export_changes(registry: Registry) -> None:
    (finding,) = gate(registry).check(conv_relu(-17), "m.pt2").findings
    assert place(finding) == "features.conv1 at model.py: h = torch.relu(self.conv(x))"
    moved = replace(finding, nodes=("other",), source=replace(finding.source, line=3, file="/x/model.py"))  # type: ignore[type-var]
    assert place(moved) == place(finding)
    bare = replace(finding, module="", source=SourceLine("<eval_with_key>.1", 3, "forward", "relu_1 = relu(conv_2)"))
    assert place(bare) == ", ".join(finding.nodes), "where there is nothing else"
