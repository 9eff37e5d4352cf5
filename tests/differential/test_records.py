"""The committed form of a campaign: small, enough for a resume and for the summary, and whole after an interruption.

Protects: records that are lost with a machine, and a committed form that says something else than the campaign did.
"""

from __future__ import annotations

import gzip
import json
import random
import threading
from pathlib import Path
from typing import Any

import pytest

from . import campaign
from .records import read_records, resumed, small, write_records, write_small
from .summaries import summary
from .whole_grammar import program_of

RECORDED = Path(__file__).parent / "recorded"
MOST_BYTES = 1_000_000


def _record(index: int, verdict: str = "agree-broken", **fields: Any) -> dict[str, Any]:
    program = program_of(1, index)
    chosen = random.Random(index)
    findings = [
        {"code": f"FU10{chosen.randrange(3)}", "effect": "wrong", "nodes": [f"conv2d_{n}", f"relu_{n}"], "refuse": True}
        for n in range(chosen.randrange(4))
    ]
    return {
        "seed": 1, "grammar": "whole", "release": "1.5.1", "index": index, "verdict": verdict, "outcome": "wrong",
        "guard": "ok", "kinds": list(program.kinds), "config": program.config, "profile": program.profile, "edit": "",
        "edited": "", "features": list(program.features), "ir_validity": program.ir_validity, "findings": findings,
        "exception": f"RuntimeError: {chosen.random()} " * 9, "notes": ["FU101 at conv2d_1 alone: wrong"],
        "steps": chosen.random() * 99, "seconds": round(chosen.random() * 9, 2), **fields,
    }  # fmt: skip


def test_two_thousand_records_are_far_below_a_megabyte(tmp_path: Path) -> None:
    path = tmp_path / "small.jsonl.gz"
    write_small(path, [_record(index) for index in range(2000)])
    assert path.stat().st_size < MOST_BYTES / 4
    assert len(read_records(path)) == 2000
    assert sorted(item.name for item in tmp_path.iterdir()) == ["small.jsonl.gz"]


def test_the_small_form_says_what_the_records_say() -> None:
    records = [_record(index) for index in range(30)]
    records += [_record(30, "miss"), _record(31, guard="broken"), _record(32, "eager-fault", outcome="", guard="")]
    assert summary([small(record) for record in records]) == summary(records)
    assert [small(record) for record in records[30:32]] == records[30:32], "of a disagreement, nothing is left out"
    faulty = _record(33, notes=["lint and plug-in differ: only lint []"])
    assert small(faulty) == faulty


def test_the_summary_counts_on_what_the_two_judges_differ() -> None:
    same, other = {"end_to_end": "wrong", "doubtful": []}, {"end_to_end": "exact", "doubtful": ["add"]}
    not_run = _record(3, "not-judged", outcome="not_judged")
    text = summary([_record(0, **same), _record(1, **other), _record(2), not_run])
    counts = dict(line.rsplit(maxsplit=1) for line in text.splitlines() if len(line.rsplit(maxsplit=1)) == 2)
    assert counts["judged cell by cell and end to end"] == "2"
    assert counts["the two judges differ"] == counts["a cell in doubt"] == "1"


def test_what_out_lacks_comes_from_the_store(tmp_path: Path) -> None:
    out, store = tmp_path / "out.jsonl", tmp_path / "store.jsonl.gz"
    assert resumed(out, store) == []
    write_records(out, [_record(1, "miss"), _record(3)])
    write_small(store, [_record(1), _record(2), _record(0)])
    assert [(record["index"], record["verdict"]) for record in resumed(out, store)] == [
        (1, "miss"), (3, "agree-broken"), (0, "agree-broken"), (2, "agree-broken"),
    ]  # fmt: skip


def _instant(last: int) -> type:
    """A worker that judges at once. After ``last``, it is as if the machine was gone."""

    class Instant:
        alive = True

        def __init__(self, grammar: str, seed: int, repairs: bool = False) -> None:
            self.done = 0

        def judge(self, index: int, timeout: float) -> dict[str, Any]:
            if index > last:
                raise MachineGone
            self.done += 1
            record = _record(index)
            return {key: value for key, value in record.items() if key not in ("seed", "grammar", "release", "index")}

        def stop(self) -> None: ...

    return Instant


class MachineGone(BaseException):
    pass


def test_an_interrupted_campaign_is_continued_from_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(campaign, "release", lambda: "1.5.1")
    store = tmp_path / "recorded" / "1.5.1-whole-1.jsonl.gz"
    lost, out = tmp_path / "lost.jsonl", tmp_path / "found.jsonl"
    options = ["--grammar", "whole", "--seed", "1", "--programs", "30", "--store", str(store)]

    monkeypatch.setattr(campaign, "Worker", _instant(last=24))
    parsed = campaign._parser().parse_args([*options, "--out", str(lost)])
    with lost.open("w") as stream, (tmp_path / "graphs").open("w") as graphs, pytest.raises(MachineGone):
        campaign._serve(parsed, iter(range(30)), threading.Lock(), stream, graphs)
    assert [record["index"] for record in read_records(lost)] == list(range(25))
    assert [record["index"] for record in read_records(store)] == list(range(20)), "it is written every 20 programs"

    monkeypatch.setattr(campaign, "Worker", _instant(last=30))
    assert campaign.main([*options, "--out", str(out)]) == 0
    assert [record["index"] for record in read_records(out)] == list(range(30))
    assert [record["index"] for record in read_records(store)] == list(range(30))
    out.unlink()
    capsys.readouterr()
    assert campaign.main([*options, "--out", str(out), "--summary"]) == 0
    assert "programs judged                       30" in capsys.readouterr().out
    assert campaign.main(["--grammar", "shapes", "--seed", "1", "--store", str(store), "--out", str(out)]) == 2
    assert "another grammar" in capsys.readouterr().err


def test_no_records_are_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert campaign.main(["--out", str(tmp_path / "none.jsonl"), "--summary"]) == 2
    assert "there is no" in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted(RECORDED.glob("*.jsonl.gz")), ids=lambda path: path.name)
def test_what_is_committed_can_be_continued(path: Path) -> None:
    assert path.stat().st_size < MOST_BYTES
    release, grammar, seed = path.name.removesuffix(".jsonl.gz").split("-")
    records = read_records(path)
    named = {(record["release"], record["grammar"], str(record["seed"])) for record in records}
    assert named == {(release, grammar, seed)}
    for record in records[:20]:
        assert record["kinds"] == list(campaign.GRAMMARS[grammar](int(seed), record["index"]).kinds)
    text = gzip.decompress(path.read_bytes()).decode()
    assert [json.loads(line)["index"] for line in text.splitlines()] == sorted({r["index"] for r in records})
