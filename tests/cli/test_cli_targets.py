"""Checks for several targets, and ``fuseguard upgrade-check``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from fuseguard.target import ACCELERATORS, ALL_TARGETS, EXTENSIONS, FAMILIES, MEASURED_RELEASES
from fuseguard_testkit.cli_fakes import FAILING_RULE, SUPPRESSION, configure, document

Cli = Callable[..., Result]
UseRules = Callable[..., None]


def test_the_targets_are_listed(gate: Cli) -> None:
    text = gate("targets")
    assert text.exit_code == 0
    assert all(name in text.output for name in (*ACCELERATORS, *FAMILIES, *ALL_TARGETS, *EXTENSIONS))
    listed = json.loads(gate("targets", "--output-format", "json").output)
    assert listed["accelerators"] == ACCELERATORS
    assert listed["families"] == FAMILIES


def test_a_report_says_what_the_name_of_a_family_stands_for(gate: Cli) -> None:
    result = gate("check", "wrong.pt2", "--target", "ethos-u85", "--executorch", "1.5.1")
    assert "notice: ethos-u85 stands for ethos-u85-256.\n" in result.output
    assert "target ethos-u85-256 (TOSA-1.0+INT+int16+int4+cf)" in result.output


def test_several_targets_are_one_report_with_a_line_for_each(gate: Cli) -> None:
    result = gate("check", "wrong.pt2", "--executorch", "1.4.1,1.5.1", "--executorch", "1.2.0")
    assert result.exit_code == 1
    assert result.output.count("error[FU101]") == 1
    lines = [line.split() for line in result.output.splitlines()]
    for target, effect in (
        (["on", "TOSA-1.0+INT+FP,", "ExecuTorch", "1.4.1"], "exact"),
        (["TOSA-1.0+INT+FP,", "ExecuTorch", "1.5.1"], "wrong"),
        (["TOSA-1.0+INT+FP,", "ExecuTorch", "1.2.0"], "crash"),
    ):
        assert lines[lines.index(target) + 1][:2] == [effect, "measured"]
    assert ["(1)", "0", "0", "1", "TOSA-1.0+INT+FP,", "ExecuTorch", "1.4.1"] in lines, "the counts by target"
    assert ["(3)", "1", "0", "0", "TOSA-1.0+INT+FP,", "ExecuTorch", "1.2.0"] in lines
    assert ["code", "place", "(1)", "(2)", "(3)"] in lines, "a column for each target"
    assert ["FU101", "/home/me/model.py:42", "(features.conv1)", "exact", "wrong", "crash"] in lines
    assert "; 3 targets; policy consistent" in result.output


def test_the_columns_of_several_programs_and_of_many_targets(gate: Cli, use_rules: UseRules) -> None:
    options = ("--executorch", "1.4.1,1.5.1", "--target", "TOSA-1.0+INT")
    output = gate("check", "wrong.pt2", "wrong2.pt2", "clean.pt2", *options).output
    rows = [line.split() for line in output.splitlines()]
    for name in ("wrong.pt2:", "wrong2.pt2:"):
        assert ["FU101", name, "/home/me/model.py:42", "(features.conv1)", "cpu_fallback", "wrong"] in rows
    output = gate("check", "wrong.pt2", "wrong2.pt2", *options, "--statistics").output
    assert ["FU101", "fused-activation-out-of-range", "2", "2"] in [line.split() for line in output.splitlines()]
    output = gate("check", "wrong.pt2", "--target", "all", "--executorch", "all").output
    head = next(line for line in output.splitlines() if line.split() == ["errors", "warnings", "notes", "target"])
    assert head.index("target") < 40, "what may be wider than a terminal comes last, and wraps under itself"
    heads = [line.split()[2:] for line in output.splitlines() if line.startswith("code ")]
    columns = range(1, 5 * len(MEASURED_RELEASES) + 1)
    assert [head for part in heads for head in part] == [f"({number})" for number in columns]
    wide = [line for line in output.splitlines() if line.startswith(("code ", "FU101 "))]
    assert max(map(len, wide)) <= 80, "a row that wraps has its columns below other heads"
    assert "place" not in gate("check", "clean.pt2", "--target", "all").output, "no columns of nothing"
    assert "(1)" not in gate("check", "wrong.pt2", "--target", "all", "--quiet").output


def test_releases_with_the_same_outcome_are_one_entry(gate: Cli) -> None:
    output = gate("check", "wrong.pt2", "--target", "TOSA-1.0+INT", "--executorch", "all").output
    before, since = (
        ", ".join(release for release in MEASURED_RELEASES if (release >= "1.5") is fused) for fused in (False, True)
    )
    assert f"  on        TOSA-1.0+INT, ExecuTorch {before}\n              cpu_fallback  measured (" in output
    assert f"            TOSA-1.0+INT, ExecuTorch {since}\n              wrong         measured (" in output


def test_several_targets_in_json(gate: Cli) -> None:
    told = document(gate("check", "wrong.pt2", "--executorch", "1.4.1,1.5.1", "--output-format", "json"))
    assert [target["executorch"] for target in told["targets"]] == ["1.4.1", "1.5.1"]
    assert told["target"] == told["targets"][0], "as it was for one target"
    (finding,) = told["files"][0]["findings"]
    assert [(outcome["effect"], outcome["severity"]) for outcome in finding["outcomes"]] == [
        ("exact", "note"), ("wrong", "error"),
    ]  # fmt: skip
    assert (finding["effect"], finding["severity"]) == ("wrong", "error")


def test_all_targets(gate: Cli) -> None:
    told = document(gate("check", "wrong.pt2", "--target", "all", "--executorch", "all", "--output-format", "json"))
    assert len(told["targets"]) == len(told["files"][0]["findings"][0]["outcomes"]) == 5 * len(MEASURED_RELEASES)


# --- upgrade-check ----------------------------------------------------------------------------------------

UPGRADE = ("upgrade-check", "wrong.pt2", "clean.pt2", "--from")


def test_an_upgrade_that_breaks_something_exits_with_1_and_says_what(gate: Cli) -> None:
    result = gate(*UPGRADE, "1.4.1", "--to", "1.5.1")
    assert result.exit_code == 1
    assert "wrong.pt2: ExecuTorch 1.4.1 -> 1.5.1\n\nbreaks\n  FU101 fused-activation-out-of-range" in result.output
    assert "exact -> wrong: lowering succeeds and the result is silently wrong" in result.output
    assert "/home/me/model.py:42 (features.conv1)" in result.output
    assert "1 place breaks, 0 stay broken, 0 fixed" in result.output
    assert "clean.pt2" not in result.output
    assert gate(*UPGRADE, "1.4.1", "--to", "1.5.1", "--exit-zero").exit_code == 0


def test_what_is_fixed_and_what_stays_exit_with_0(gate: Cli) -> None:
    fixed = gate(*UPGRADE, "1.2.0", "--to", "1.4.1")
    assert (fixed.exit_code, "\nfixed\n  FU101" in fixed.output) == (0, True)
    stays = gate(*UPGRADE, "1.2.0", "--to", "1.5.1")
    assert (stays.exit_code, "\nstays broken\n  FU101" in stays.output) == (0, True)
    assert "crash -> wrong" in stays.output
    same = gate(*UPGRADE, "1.3.1", "--to", "1.4.1", "--quiet")
    assert (same.exit_code, same.output) == (0, "")


def test_an_upgrade_on_several_targets(gate: Cli) -> None:
    result = gate(*UPGRADE, "1.2.0", "--to", "1.5.1", "--target", "TOSA-1.0+INT,TOSA-1.0+INT+FP")
    assert result.exit_code == 1
    assert "      TOSA-1.0+INT     cpu_fallback -> wrong" in result.output
    assert "      TOSA-1.0+INT+FP  crash -> wrong" in result.output


def test_an_upgrade_as_json_and_into_a_file(gate: Cli) -> None:
    result = gate(*UPGRADE, "1.4.1", "--to", "1.5.1", "--output-format", "json", "--output-file", "report.json")
    told = json.loads(Path("report.json").read_text())
    assert (result.output, told["from"], told["to"]) == ("", "1.4.1", "1.5.1")
    assert told["summary"] == {
        "breaks": 1, "stays": 0, "shifts": 0, "fixed": 0, "same": 0, "announced": 0, "suppressed": 0,
        "suppressed_breaks": 0, "exit_code": 1,
    }  # fmt: skip
    (place,) = told["files"][0]["places"]
    (step,) = place["targets"]
    assert (step["change"], step["before"]["effect"], step["after"]["effect"]) == ("breaks", "exact", "wrong")
    assert (place["finding"]["code"], told["files"][1]["places"]) == ("FU101", [])


def test_what_a_suppression_hides_from_an_upgrade_is_counted(gate: Cli) -> None:
    configure(SUPPRESSION)
    result = gate(*UPGRADE, "1.4.1", "--to", "1.5.1")
    assert (result.exit_code, "1 suppressed, of which 1 would break" in result.output) == (0, True)


def test_a_baseline_hides_nothing_from_an_upgrade(gate: Cli) -> None:
    configure('baseline = "known.json"\nexecutorch = "1.4.1"')
    gate("baseline", "create", "wrong.pt2")
    assert gate(*UPGRADE, "1.4.1", "--to", "1.5.1").exit_code == 1


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [("1.5.1", "1.5.1", "same release"), ("1.0", "1.5.1", "older than"), ("1.4.1", "all", "is not a version")],
)
def test_a_wrong_pair_of_releases_is_told(gate: Cli, before: str, after: str, said: str) -> None:
    result = gate(*UPGRADE, before, "--to", after)
    assert (result.exit_code, said in result.output) == (2, True)


def test_an_upgrade_of_what_cannot_be_checked(gate: Cli, use_rules: UseRules) -> None:
    result = gate("upgrade-check", "damaged.pt2", "wrong.pt2", "--from", "1.4.1", "--to", "1.5.1")
    assert result.exit_code == 3
    assert "no program in it" in result.output
    assert "1 place breaks" in result.output
    use_rules(FAILING_RULE)
    assert gate("upgrade-check", "clean.pt2", "--from", "1.4.1", "--to", "1.5.1").exit_code == 2


def test_an_upgrade_to_an_unmeasured_release_says_so(gate: Cli) -> None:
    assert "notice: ExecuTorch 1.9.0 is newer than" in gate(*UPGRADE, "1.4.1", "--to", "1.9.0").output
