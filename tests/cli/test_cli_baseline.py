"""``fuseguard baseline``, and checks against what it writes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from fuseguard_testkit.cli_fakes import FAILING_RULE, SUPPRESSION, configure, document, fake_read

Cli = Callable[..., Result]
UseRules = Callable[..., None]


def test_a_baseline_lets_known_findings_pass_and_new_ones_fail(gate: Cli) -> None:
    created = gate("baseline", "create", "wrong.pt2")
    assert (created.exit_code, "fuseguard-baseline.json: 1 finding (1 added, 0 removed)" in created.output) == (0, True)
    options = ("--baseline", "fuseguard-baseline.json")
    result = gate("check", "wrong.pt2", *options)
    assert result.exit_code == 0
    assert "1 in the baseline" in result.output
    result = gate("check", "wrong.pt2", "wrong2.pt2", *options)
    assert (result.exit_code, result.output.count("error[FU101]")) == (1, 1)
    told = document(gate("check", "wrong.pt2", *options, "--output-format", "json"))
    assert (told["summary"]["baseline"], told["summary"]["suppressed"]) == (1, 0)
    assert told["files"][0]["suppressed"][0]["suppression"]["kind"] == "baseline"


def test_a_baseline_is_not_written_over_a_program(gate: Cli) -> None:
    Path("wrong.pt2").write_bytes(b"a program")
    for command in (("create", "--force"), ("update",), ("prune",)):
        result = gate("baseline", command[0], "wrong.pt2", *command[1:], "--baseline", "wrong.pt2")
        assert (result.exit_code, "would overwrite a program that is checked" in result.output) == (2, True)
        result = gate("baseline", command[0], "clean.pt2", *command[1:], "--baseline", "wrong.pt2")
        assert (result.exit_code, "is called .pt2" in result.output) == (2, True)
    assert Path("wrong.pt2").read_bytes() == b"a program"


@pytest.mark.skipif(sys.platform != "linux", reason="stages its files by forking")
def test_any_number_of_processes_writes_the_same_baseline(gate: Cli) -> None:
    files = [f"{kind}{number}.pt2" for number in range(3) for kind in ("wrong", "clean")]
    one = gate("baseline", "create", *files)
    text = Path("fuseguard-baseline.json").read_text()
    several = gate("baseline", "create", *files, "--force", "-j", "3")
    assert (several.exit_code, several.output) == (one.exit_code, one.output) == (0, one.output)
    assert Path("fuseguard-baseline.json").read_text() == text
    before = gate("upgrade-check", *files, "--from", "1.4.1", "--to", "1.5.1")
    assert gate("upgrade-check", *files, "--from", "1.4.1", "--to", "1.5.1", "-j", "3").output == before.output


def test_the_configuration_names_the_baseline(gate: Cli) -> None:
    configure('baseline = "known.json"')
    missing = gate("check", "wrong.pt2")
    assert missing.exit_code == 2
    assert "fuseguard baseline create FILE... --baseline known.json" in missing.output
    assert "The configuration (pyproject.toml) names it; --no-baseline does without." in missing.output
    assert gate("baseline", "create", "wrong.pt2").exit_code == 0
    assert Path("known.json").is_file()
    assert gate("check", "wrong.pt2").exit_code == 0
    assert gate("check", "wrong.pt2", "--no-baseline").exit_code == 1


def test_a_stale_entry_is_a_warning_at_its_line(gate: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    gate("baseline", "create", "wrong.pt2")
    fix(monkeypatch)
    result = gate("check", "wrong.pt2", "--baseline", "fuseguard-baseline.json")
    assert result.exit_code == 0
    assert "warning[SU002] stale-baseline-entry\n  --> fuseguard-baseline.json:4\n" in result.output
    pruned = gate("baseline", "prune", "wrong.pt2")
    assert (pruned.exit_code, "0 findings (0 added, 1 removed)" in pruned.output) == (0, True)
    assert "SU002" not in gate("check", "wrong.pt2", "--baseline", "fuseguard-baseline.json").output


def fix(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on wrong.pt2 is as clean.pt2."""
    monkeypatch.setattr("fuseguard.readers.open.read", lambda path, *_: fake_read(str(path).replace("wrong", "clean")))


def test_update_shrinks_and_grows_only_when_told_to(gate: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    gate("baseline", "create", "wrong.pt2")
    before = Path("fuseguard-baseline.json").read_text()
    refused = gate("baseline", "update", "wrong.pt2", "wrong2.pt2")
    assert refused.exit_code == 1
    assert "new wrong2.pt2: error[FU101]" in refused.output
    assert "--allow-growth" in refused.output
    assert Path("fuseguard-baseline.json").read_text() == before
    assert gate("baseline", "update", "wrong.pt2", "wrong2.pt2", "--allow-growth").exit_code == 0
    assert gate("check", "wrong.pt2", "wrong2.pt2", "--baseline", "fuseguard-baseline.json").exit_code == 0
    fix(monkeypatch)
    assert gate("baseline", "update", "wrong2.pt2").exit_code == 0
    assert Path("fuseguard-baseline.json").read_text() == before, "entries of other files stay"


def test_update_takes_what_got_worse_for_growth(gate: Cli) -> None:
    old, new = ("--executorch", "1.4.1"), ("--executorch", "1.5.1")
    gate("baseline", "create", "wrong.pt2", *old)
    assert '"severity": "note"' in Path("fuseguard-baseline.json").read_text()
    assert gate("check", "wrong.pt2", "--baseline", "fuseguard-baseline.json", *new).exit_code == 1
    assert gate("baseline", "update", "wrong.pt2", *new).exit_code == 1
    grown = gate("baseline", "update", "wrong.pt2", *new, "--allow-growth")
    assert grown.exit_code == 0
    assert grown.output.startswith("~ wrong.pt2: error[FU101]"), "the same entry, and not one more and one less"
    assert "1 finding (0 added, 0 removed, 1 changed)" in grown.output
    assert '"severity": "error"' in Path("fuseguard-baseline.json").read_text()
    assert gate("baseline", "update", "wrong.pt2", *old).exit_code == 0
    assert '"severity": "note"' in Path("fuseguard-baseline.json").read_text(), "a gain is kept"


def test_update_keeps_what_was_not_looked_for(gate: Cli) -> None:
    gate("baseline", "create", "wrong.pt2")
    before = Path("fuseguard-baseline.json").read_text()
    for command in ("update", "prune"):
        assert gate("baseline", command, "wrong.pt2", "--select", "QD").exit_code == 0
    assert Path("fuseguard-baseline.json").read_text() == before


def test_create_replaces_nothing_unless_told_to(gate: Cli) -> None:
    gate("baseline", "create", "wrong.pt2")
    before = Path("fuseguard-baseline.json").read_text()
    again = gate("baseline", "create", "clean.pt2")
    assert (again.exit_code, "baseline update" in again.output) == (2, True)
    assert Path("fuseguard-baseline.json").read_text() == before
    assert gate("baseline", "create", "clean.pt2", "--force").exit_code == 0
    assert Path("fuseguard-baseline.json").read_text() != before


@pytest.mark.parametrize("command", ["update", "prune"])
def test_what_is_not_there_cannot_be_changed(gate: Cli, command: str) -> None:
    result = gate("baseline", command, "wrong.pt2")
    assert (result.exit_code, "baseline create" in result.output) == (2, True)


@pytest.mark.parametrize("command", ["create", "update", "prune"])
def test_half_a_baseline_is_never_written(gate: Cli, use_rules: UseRules, command: str) -> None:
    if command != "create":
        gate("baseline", "create", "wrong.pt2")
    before = sorted((path.name, path.read_text()) for path in Path().iterdir())
    assert gate("baseline", command, "clean.pt2", "damaged.pt2").exit_code == 3
    assert gate("baseline", command, "clean.pt2", "bug.pt2").exit_code == 2
    use_rules(FAILING_RULE)
    assert gate("baseline", command, "clean.pt2").exit_code == 2
    assert sorted((path.name, path.read_text()) for path in Path().iterdir()) == before


def test_suppressed_findings_do_not_enter_a_baseline(gate: Cli) -> None:
    gate("baseline", "create", "wrong.pt2")
    configure(SUPPRESSION)
    assert "0 findings (0 added, 1 removed)" in gate("baseline", "update", "wrong.pt2").output
    assert "0 findings" in gate("baseline", "create", "wrong.pt2", "--force").output


def test_prune_drops_files_that_are_gone_only_when_told_to(gate: Cli) -> None:
    gate("baseline", "create", "wrong.pt2")
    assert "1 finding (0 added, 0 removed)" in gate("baseline", "prune", "clean.pt2").output
    assert "0 findings (0 added, 1 removed)" in gate("baseline", "prune", "clean.pt2", "--missing").output


def test_a_baseline_command_as_json(gate: Cli) -> None:
    told = document(gate("baseline", "create", "wrong.pt2", "--output-format", "json"))
    (entry,) = told["added"]
    assert (entry["file"], entry["code"], entry["severity"]) == ("wrong.pt2", "FU101", "error")
    assert (told["findings"], told["removed"], told["changed"], told["missing"]) == (1, [], [], [])


@pytest.mark.parametrize("content", ["", "{", "<<<<<<< HEAD\n"])
def test_a_broken_baseline_exits_with_2_and_is_named(gate: Cli, content: str) -> None:
    Path("known.json").write_text(content)
    for command in (("check",), ("baseline", "update"), ("baseline", "prune")):
        result = gate(*command, "wrong.pt2", "--baseline", "known.json")
        assert (result.exit_code, "known.json" in result.output) == (2, True)
