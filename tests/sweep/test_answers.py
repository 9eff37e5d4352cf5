"""The cache of proofs: bounded, shared by processes, and never an answer to another question.

Protects: a verdict about an older file, option or package that is taken for today's.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fuseguard.cache import identity
from fuseguard.cache.answers import Answer, Answers, CacheTrouble
from fuseguard.cli import cached_proof, exits
from fuseguard.cli.main import cli
from fuseguard.target import Target
from fuseguard_testkit.cli_process import environment
from fuseguard_testkit.paths import DATA

KEPT = Answer(
    1, json.dumps({"outcome": "wrong", "cached": None}), [([("wrong", "error"), (": m.pt2", "")], 2)], "<html>"
)


def _big(size: int) -> Answer:
    """An answer that no compression makes smaller than about half of ``size`` bytes."""
    import random

    return Answer(0, random.Random(size).randbytes(size // 2).hex(), [], "")


def test_what_is_kept_comes_back_with_its_time(tmp_path: Path) -> None:
    with Answers(tmp_path / "new" / "folder") as cache:
        assert cache.get("a") is None
        cache.put("a", KEPT)
        found = cache.get("a")
    assert found is not None
    assert found.made > 1e9
    assert (found.exit_code, found.document, found.lines, found.page) == (1, KEPT.document, KEPT.lines, "<html>")
    assert (tmp_path / "new" / "folder").stat().st_mode & 0o777 == 0o700


def test_it_stays_within_its_size_and_drops_what_was_not_used_for_longest(tmp_path: Path) -> None:
    limit = 400_000
    with Answers(tmp_path, limit) as cache:
        for number in range(40):
            cache.put(f"k{number}", _big(40_000 + number))
            assert cache.get("k0") is not None, "it is used all the time"
            assert cache.info().size <= limit
        assert cache.get("k1") is None
        assert cache.get("k39") is not None
        cache.put("whole", _big(600_000))
        assert cache.get("whole") is None, "one answer may not drive out all others"
    assert (tmp_path / "answers.sqlite").stat().st_size < 2 * limit


WRITER = """
import sys
from pathlib import Path
from fuseguard.cache.answers import Answer, Answers
folder, name = sys.argv[1:]
for number in range(60):
    with Answers(Path(folder), 60_000) as cache:
        cache.put(f"{number % 7}", Answer(number, "x" * 500, [], name))
        found = cache.get(f"{(number + 3) % 7}")
        assert found is None or found.document == "x" * 500
"""


def test_processes_share_it(tmp_path: Path) -> None:
    both = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name], stderr=subprocess.PIPE, text=True)
        for name in "ab"
    ]
    for process in both:
        _, told = process.communicate(timeout=60)
        assert process.returncode == 0, told
    with Answers(tmp_path, 60_000) as cache:
        assert cache.info().entries == 7


def test_a_file_that_is_no_cache_is_trouble_and_not_an_answer(tmp_path: Path) -> None:
    (tmp_path / "answers.sqlite").write_text("no database" * 1000)
    with pytest.raises(CacheTrouble, match="not a database"):
        Answers(tmp_path)
    (tmp_path / "answers.sqlite").unlink()
    with Answers(tmp_path) as cache:
        cache.put("a", KEPT)
    with sqlite3.connect(tmp_path / "answers.sqlite") as connection:
        connection.execute("UPDATE answers SET payload = x'00'")
    with Answers(tmp_path) as cache, pytest.raises(CacheTrouble):
        cache.get("a")


Prove = Callable[..., Result]


@pytest.fixture
def prove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prove:
    """Runs ``fuseguard prove`` on a program for which there is an answer. Proving itself says "BEING PROVED"."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FUSEGUARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("fuseguard.target.version_of", lambda name: "1.5.1")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1.5.1")
    monkeypatch.setattr(cached_proof, "unidentified", lambda: "")
    shutil.copy(DATA / "conv_cat.pt2", "m.pt2")
    shutil.copy(DATA / "linear.pt2", "x.pt")
    keys: list[str] = []
    key_for = cached_proof.key_for

    def seen(*args: Any) -> str | None:
        key = key_for(*args)
        keys.append(key or "")
        return key

    monkeypatch.setattr(cached_proof, "key_for", seen)

    def proved(*args: object) -> None:
        raise exits.Failure("BEING PROVED")

    monkeypatch.setattr("fuseguard.cli.prove._prove", proved)

    def run(*args: str) -> Result:
        arguments = ["prove", "m.pt2", "--trust", "--inputs", "x.pt", *args]
        return CliRunner().invoke(cli, arguments, prog_name="fuseguard")

    assert "BEING PROVED" in run().output
    with Answers(tmp_path / "cache") as cache:
        cache.put(keys[0], KEPT)
    return run


def test_an_unchanged_program_is_answered_from_the_cache(prove: Prove, tmp_path: Path) -> None:
    found = prove()
    assert found.exit_code == 1
    assert found.stdout == "wrong: m.pt2\n"
    assert "note: from the cache: the same program was proved on 2" in found.stderr
    document = json.loads(prove("--output-format", "json").stdout)
    assert document["outcome"] == "wrong"
    assert document["cached"].startswith("2")


@pytest.mark.parametrize(
    "options",
    [
        ("--no-cache",), ("--guard",), ("--policy", "measured"), ("--target", "TOSA-1.0+INT"), ("--target", "vgf"),
        ("--calls", "2"), ("--no-locate",), ("--all-inputs",), ("--layers",), ("--min-sqnr", "3"), ("--max-steps", "3"),
        ("--dim", "s0=4"), ("--no-check-ir-validity",), ("--inputs", "random:3"), ("--float", "x.pt"),
        ("--report", "html=r.html"),
    ],
)  # fmt: skip
def test_another_option_is_another_question(prove: Prove, options: tuple[str, ...]) -> None:
    assert "BEING PROVED" in prove(*options).output
    assert "BEING PROVED" not in prove().output


@pytest.mark.parametrize("name", ["m.pt2", "x.pt"])
def test_a_changed_file_is_another_question(prove: Prove, name: str) -> None:
    content = Path(name).read_bytes()
    Path(name).write_bytes(content + b"\0")
    assert "BEING PROVED" in prove().output
    Path(name).write_bytes(content)
    assert "BEING PROVED" not in prove().output


def test_another_version_of_anything_is_another_question(prove: Prove, monkeypatch: pytest.MonkeyPatch) -> None:
    before = identity.installed()
    name = next(name for name in before if name == "msgspec")
    monkeypatch.setattr(identity, "installed", lambda: {**before, name: "0.0"})
    assert "BEING PROVED" in prove().output
    monkeypatch.setattr(identity, "installed", lambda: {**before, "one-more": "1.0"})
    assert "BEING PROVED" in prove().output
    monkeypatch.setattr(identity, "installed", lambda: before)
    assert "BEING PROVED" not in prove().output


def test_another_release_is_another_question(prove: Prove, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuseguard.target.version_of", lambda name: "1.4.1")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1.4.1")
    assert "BEING PROVED" in prove().output


def test_changed_code_of_fuseguard_is_another_question(prove: Prove, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "code_digest", lambda: "changed")
    assert "BEING PROVED" in prove().output


def test_an_editable_package_has_no_version_to_go_by(prove: Prove, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached_proof, "unidentified", lambda: "executorch")
    assert "BEING PROVED" in prove().output


def test_the_cache_can_be_off_or_broken(prove: Prove, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FUSEGUARD_CACHE", "off")
    assert "BEING PROVED" in prove().output
    monkeypatch.setenv("FUSEGUARD_CACHE", str(tmp_path / "m.pt2"))
    found = prove()
    assert "BEING PROVED" in found.output
    assert "warning: the cache cannot be used" in found.output


def test_info_and_clear(prove: Prove) -> None:
    runner = CliRunner()
    assert "1 proofs, the oldest of 2" in runner.invoke(cli, ["cache", "info"]).output
    assert runner.invoke(cli, ["cache", "clear"]).output == "The cache is empty now.\n"
    assert runner.invoke(cli, ["cache", "clear"]).output == "The cache was empty.\n"
    assert "empty" in runner.invoke(cli, ["cache", "info"]).output
    assert "BEING PROVED" in prove().output


def test_the_code_is_identified_by_its_content(tmp_path: Path) -> None:
    """A changed file of a rule pack changes the digest, and where the pack is installed does not."""
    code = "from fuseguard.cache.identity import code_digest; print(code_digest())"
    found = []
    for place, text in (("one", "A = 1"), ("two", "A = 1"), ("three", "A = 2")):
        folder = tmp_path / place
        info = folder / "some_pack-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / "some_pack.py").write_text(text)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-pack\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[fuseguard.rules]\nsome = some_pack\n")
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment(PYTHONPATH=str(folder))
        )
        found.append(done.stdout)
    assert found[0] == found[1] != found[2]
    assert found[0].strip() != identity.code_digest()


def test_the_release_of_a_target_is_part_of_the_question() -> None:
    assert Target.parse("vgf", "1.5.1").release != Target.parse("vgf", "1.4.1").release


@pytest.mark.torch
@pytest.mark.slow
def test_a_real_proof_is_kept_and_answered_without_torch(tmp_path: Path) -> None:
    pytest.importorskip("executorch")
    shutil.copy(DATA / "conv_cat.pt2", tmp_path / "m.pt2")
    variables = environment(FUSEGUARD_CACHE=str(tmp_path / "cache"))

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-X", "importtime", "-m", "fuseguard.cli.main", "prove", "m.pt2", "--trust", *args]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=variables)

    first, second, third = run(), run(), run("--output-format", "json")
    assert first.stdout == second.stdout != ""
    assert first.returncode == second.returncode == third.returncode
    assert "from the cache" not in first.stderr
    assert "from the cache" in second.stderr
    assert "| torch" not in second.stderr
    assert json.loads(third.stdout)["cached"]
    fresh = json.loads(run("--output-format", "json", "--no-cache").stdout)
    assert {**json.loads(third.stdout), "cached": None} == fresh
