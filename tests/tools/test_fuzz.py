"""tools/fuzz.py: inputs depend on seed and number alone, and what fails, hangs, dies or takes memory is found."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

import fuzz
from fuseguard.readers.lowered import read_lowered
from fuseguard.readers.open import read_file
from fuseguard_testkit.fuzz_subjects import NUMBERS
from fuzzing import corpus, flatbuffers, json_text, raw, zips
from fuzzing.campaign import Campaign
from fuzzing.inputs import WEIGHTS, Maker
from fuzzing.judge import faults_of
from fuzzing.worker import Settings, Tally

pytestmark = pytest.mark.slow

SUBJECTS = "fuseguard_testkit.fuzz_subjects"


@pytest.fixture(scope="module")
def bases() -> dict[str, tuple[corpus.Base, ...]]:
    return corpus.load()


def judged(subject: str, inputs: int = 600, jobs: int = 1, limit: float = 5.0) -> tuple[Tally, Campaign]:
    campaign = Campaign(Settings(3, f"{SUBJECTS}:{subject}"), jobs, limit)
    return campaign.run(inputs), campaign


def test_a_part_that_is_not_changed_gives_the_program_that_there_was(
    bases: dict[str, tuple[corpus.Base, ...]], tmp_path: Path
) -> None:
    """Else changes would be refused for sizes and checksums that have nothing to do with them."""
    path = tmp_path / "m.pt2"
    kinds = set()
    for base in (found[-1] for found in bases.values()):
        before = program_of(corpus.FIXTURES / base.name)
        path = path.with_suffix(base.suffix)
        for kind, parts in base.parts.items():
            for part in parts:
                kinds.add(kind)
                path.write_bytes(part.build(part.data))
                assert program_of(path) == before, (base.name, part.place)
    assert kinds == set(WEIGHTS)


def program_of(path: Path) -> object:
    if path.suffix in corpus.LOWERED:
        return read_lowered(path).program
    return [list(graph) for graph in read_file(path).walk()]


def test_every_value_of_json_is_found_where_it_is(bases: dict[str, tuple[corpus.Base, ...]]) -> None:
    for part in bases["ETRecord"][0].parts["json"]:
        index = part.index
        for value in index.values[:: 1 + len(index.values) // 200]:
            text = index.of(value)
            json.loads(text)
            assert {"text": b'"', "object": b"{", "list": b"["}.get(value.kind, text[:1]) == text[:1]
            if value.key[1]:
                assert part.data[value.key[1] : value.start].strip() == b":"


@pytest.mark.parametrize("kind", WEIGHTS)
def test_all_changes_happen_and_change_something(kind: str, bases: dict[str, tuple[corpus.Base, ...]]) -> None:
    rng = Random(kind)
    base, other = bases["ETRecord"][1], bases["exir, lowered"][0]
    part, spliced = base.parts[kind][0], other.parts[kind][0]
    found: dict[str, int] = {}
    for _ in range(600):
        if kind == "json":
            name, data = json_text.change(rng, part.index, spliced.index)
        elif kind == "zip":
            name, data = zips.change(rng, part.entries, spliced.entries)
        else:
            name, data = (flatbuffers if kind == "flatbuffer" else raw).change(rng, part.data, spliced.data)
        found[name] = found.get(name, 0) + (data != part.data)
    expected = {"json": set(json_text.CHANGES), "zip": {*zips.CHANGES, "ends"}}.get(kind, set())
    assert expected <= set(found)
    assert all(found.values())


def test_an_input_is_a_function_of_seed_and_number() -> None:
    first, second = (Maker(corpus.load(), 3) for _ in range(2))
    backwards = {number: second.make(number) for number in reversed(range(100))}
    assert [first.make(number) for number in range(100)] == [backwards[number] for number in range(100)]
    other = Maker(corpus.load(), 4)
    assert sum(other.make(number).data == backwards[number].data for number in range(100)) < 5


def test_a_planted_fault_is_found_whatever_the_number_of_workers_and_reproduced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tallies = [judged("planted", jobs=jobs)[0] for jobs in (1, 2)]
    assert tallies[0].counts == tallies[1].counts
    assert tallies[0].inputs == 600
    assert tallies[0].signatures == tallies[1].signatures
    assert tallies[0].signatures["planted"] > 1
    subject = ("--subject", f"{SUBJECTS}:planted")
    out = tmp_path / "out"
    assert fuzz.main(["--seed", "3", "--inputs", "600", "-j1", "--quiet", "--output", str(out), *subject]) == 1
    summary = json.loads((out / "summary.json").read_text())
    failure = summary["failures"][0]
    assert failure["signature"] == "planted"
    assert summary["inputs"] == 600
    written = out / f"3-{failure['number']}.pt2"
    assert fuzz.main(["--replay", str(written), *subject]) == 1
    again = tmp_path / "again"
    assert fuzz.main(["--reproduce", f"3:{failure['number']}", "--output", str(again), *subject]) == 1
    assert (again / written.name).read_bytes() == written.read_bytes()
    assert "planted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("subject", "signature"),
    [("hanging", "hang"), ("dying", "died"), ("hogging", "memory"), ("importing", "torch imported")],
)
def test_what_ends_or_stops_a_worker_is_a_failure_and_the_others_are_judged(subject: str, signature: str) -> None:
    tally, campaign = judged(subject, inputs=120, limit=1.0)
    expected = NUMBERS[:1] if subject == "importing" else NUMBERS  # it stays imported
    assert sorted(failure.number for failure in tally.failures) == list(expected)
    assert {failure.signature for failure in tally.failures} == {signature}
    assert sum(tally.counts.values()) == tally.inputs == 120
    outcomes: dict[str, Any] = campaign.summary()["outcomes"]
    assert sum(sum(counts.values()) for counts in outcomes.values()) == 120


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("text", "a \x1b[2J"), ("text", "a \u202e"), ("concise", "x\n  ::error::y"), ("text", "##vso[x]"),
        ("json", '{"a": ["\\u001b"]}'), ("json-lines", '{"\\u202e": 1}'), ("sarif", '"\\ud800"'),
        ("github", "::error file=x::y\n::set-output name=x::y"), ("junit", "<a>\x85</a>"),
    ],
)  # fmt: skip
def test_a_report_that_hands_on_what_it_must_not_is_a_fault(form: str, text: str) -> None:
    assert list(faults_of(form, text))


@pytest.mark.parametrize(
    ("form", "text"),
    [("text", "aten::relu\n\\x3a:error"), ("json", '{"a": "\\\\x1b"}'), ("github", "::error file=x::y")],
)
def test_a_good_report_is_none(form: str, text: str) -> None:
    assert not list(faults_of(form, text))
