"""``fuseguard check``: formats, several reports of one run, statistics and the source root."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from click.testing import Result

from fuseguard.ir.builder import GraphBuilder
from fuseguard.report.formats import FORMATS
from fuseguard.schemas import load_schema
from fuseguard_testkit.cli_fakes import CODE_LINE, ERROR_RULE, FAILING_RULE, NOTE_RULE, WARNING_RULE, registry_of

Cli = Callable[..., Result]
UseRules = Callable[..., None]


# --- several reports ------------------------------------------------------------------------------------------


def test_one_run_writes_several_reports_and_still_prints_one(cli: Cli, tmp_path: Path) -> None:
    paths = {name: tmp_path / f"report.{name}" for name in FORMATS}
    reports = [part for name, path in paths.items() for part in ("--report", f"{name}={path}")]
    result = cli("check", "wrong.pt2", *reports)
    assert result.exit_code == 1
    assert "error[FU101]" in result.output
    for name, path in paths.items():
        assert path.read_text() == cli("check", "wrong.pt2", "--output-format", name).output, name


def test_reports_and_an_output_file_leave_stdout_empty(cli: Cli, tmp_path: Path) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.sarif"
    options = ("--output-format", "json", "--output-file", str(one), "--report", f"sarif={two}")
    result = cli("check", "wrong.pt2", *options)
    assert (result.exit_code, result.output) == (1, "")
    assert json.loads(one.read_text())["summary"]["errors"] == 1
    assert json.loads(two.read_text())["version"] == "2.1.0"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("sarfi=x.sarif", "Did you mean 'sarif'?"),
        ("sarfi=x.sarif", f"Valid are {', '.join(FORMATS)}."),
        ("sarif", "as in --report sarif=report.txt"),
        ("report.sarif", "is not FORMAT=PATH"),
        ("sarif=", "is not FORMAT=PATH"),
        ("json=-", "use --output-format json"),
        ("json=.", "is a directory"),
    ],
)
def test_a_wrong_report_is_refused_before_anything_is_checked(cli: Cli, value: str, told: str) -> None:
    result = cli("check", "bug.pt2", "--report", value)
    assert result.exit_code == 2
    assert told in result.output
    assert "internal error" not in result.output


@pytest.mark.parametrize("how", ["same", "spelled differently", "a link", "the output file"])
def test_two_reports_do_not_overwrite_each_other(cli: Cli, tmp_path: Path, how: str) -> None:
    path = tmp_path / "report.json"
    options = {
        "same": ("--report", f"json={path}", "--report", f"json={path}"),
        "spelled differently": (
            "--report",
            f"json={path}",
            "--report",
            f"sarif={tmp_path}/../{tmp_path.name}/report.json",
        ),
        "a link": ("--report", f"json={path}", "--report", f"sarif={tmp_path}/link"),
        "the output file": ("--output-file", str(path), "--report", f"json={path}"),
    }[how]
    (tmp_path / "link").symlink_to(path)
    result = cli("check", "wrong.pt2", *options)
    assert result.exit_code == 2
    assert "would overwrite" in result.output
    assert not path.exists()


@pytest.mark.parametrize("option", ["--output-file", "--report"])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("wrong.pt2", "a program that is checked"),
        ("./sub/../wrong.pt2", "a program that is checked"),
        ("link.json", "a program that is checked"),
        ("known.json", "the baseline"),
        ("fuseguard.toml", "the configuration"),
        ("other.pt2", "a file named .pt2, like a program"),
    ],
)
def test_a_report_does_not_overwrite_what_the_run_reads(
    gate: Cli, tmp_path: Path, option: str, name: str, told: str
) -> None:
    """A model that took a week to train, lost to ``--output-file *.pt2``."""
    assert gate("baseline", "create", "clean.pt2", "--baseline", "known.json").exit_code == 0
    (tmp_path / "fuseguard.toml").write_text("")
    (tmp_path / "wrong.pt2").write_bytes(b"a program")
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.json").symlink_to("wrong.pt2")
    before = {path: path.read_bytes() for path in tmp_path.glob("*.*")}
    value = name if option == "--output-file" else f"json={name}"
    options = ("--baseline", "known.json", "--config", "fuseguard.toml")
    result = gate("check", "wrong.pt2", "clean.pt2", *options, option, value)
    assert result.exit_code == 2
    assert f"would overwrite {told}; write to another file" in result.output
    assert {path: path.read_bytes() for path in tmp_path.glob("*.*")} == before


def test_a_directory_that_is_not_there_is_told(cli: Cli, tmp_path: Path) -> None:
    result = cli("check", "clean.pt2", "--report", f"json={tmp_path}/missing/x.json")
    assert f"there is no directory '{tmp_path}/missing'; create it first" in result.output


def test_a_line_of_the_concise_format_stays_one_in_colour(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """CI servers set FORCE_COLOR, and have no width."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    lines = cli("check", "wrong.pt2", "--output-format", "concise").output.splitlines()
    assert len(lines) == 2
    assert "\x1b[" in lines[0]


def test_a_report_that_cannot_be_written_keeps_no_other_from_it(cli: Cli, tmp_path: Path) -> None:
    good = tmp_path / "good.json"
    result = cli("check", "wrong.pt2", "--report", f"sarif={tmp_path}/missing/x", "--report", f"json={good}")
    assert result.exit_code == 2
    assert "cannot write" in result.output
    assert "error[FU101]" in result.output
    assert json.loads(good.read_text())["summary"]["errors"] == 1


def test_an_unknown_output_format_names_the_valid_ones(cli: Cli) -> None:
    result = cli("check", "wrong.pt2", "--output-format", "xml")
    assert result.exit_code == 2
    assert "'junit'" in result.output


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        (("check", "wrong.pt2", "--output-format", "sarrif"), "sarif"),
        (("check", "wrong.pt2", "--fail-on", "warn"), "warning"),
        (("check", "wrong.pt2", "--policy", "consistant"), "consistent"),
        (("check", "wrong.pt2", "--color", "alway"), "always"),
        (("check", "wrong.pt2", "--severity", "FU101=eror"), "error"),
        (("schema", "jsonlines"), "json-lines"),
        (("completion", "bsh"), "bash"),
        (("check", "wrong.pt2", "--target", "ethos-u55-129"), "ethos-u55-128"),
        (("check", "wrong.pt2", "--select", "fused-activation"), "fused-activation-out-of-range"),
        (("explain", "FU1O1"), "FU101"),
        (("chekc", "wrong.pt2"), "check"),
        (("baseline", "crate", "wrong.pt2"), "create"),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, tuple) else value,
)
def test_an_error_names_the_nearest_valid_value(cli: Cli, args: tuple[str, ...], meant: str) -> None:
    result = cli(*args)
    assert result.exit_code == 2
    assert f"Did you mean '{meant}'?" in result.output


def test_a_misspelt_option_names_the_nearest(cli: Cli) -> None:
    misspelt = {"--selct": "--select", "--output-fromat": "--output-format", "--executorh": "--executorch"}
    for wrong, meant in misspelt.items():
        result = cli("check", "wrong.pt2", wrong, "x")
        assert (result.exit_code, meant in result.output) == (2, True), result.output


def test_what_sarif_leaves_out_is_told_on_stderr(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuseguard.report.sarif.MAX_RESULTS", 1)
    path = tmp_path / "out.sarif"
    result = cli("check", "wrong1.pt2", "wrong2.pt2", "--report", f"sarif={path}", "--quiet")
    assert "warning: 1 finding left out of the SARIF report" in result.stderr
    assert result.exit_code == 1


# --- the formats end to end -----------------------------------------------------------------------------------


def test_junit_agrees_with_the_exit_code(cli: Cli, use_rules: UseRules) -> None:
    use_rules(ERROR_RULE, WARNING_RULE, NOTE_RULE)
    for fail_on, failing in (("error", 1), ("warning", 2), ("note", 3)):
        root = ElementTree.fromstring(
            cli("check", "clean.pt2", "--output-format", "junit", "--fail-on", fail_on).output
        )
        assert root.get("failures") == str(failing)
        names = [case.get("name") for case in root.iter("testcase")]
        assert names == ["the program can be read", "ZZ001 relu-is-wrong", "ZZ002 relu-is-poor", "ZZ003 relu-is-slow"]


def test_sarif_describes_the_rules_that_ran_with_their_own_texts(cli: Cli) -> None:
    log = json.loads(cli("check", "wrong.pt2", "--output-format", "sarif", "--select", "FU").output)
    rules = log["runs"][0]["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["FU101", "FU102", "FU103"]
    assert rules[0]["help"]["markdown"].startswith("# FU101: fused-activation-out-of-range")
    fingerprint = log["runs"][0]["results"][0]["fingerprints"]["fuseguard"]
    document = json.loads(cli("check", "wrong.pt2", "--output-format", "json").output)
    assert document["files"][0]["findings"][0]["fingerprint"] == fingerprint


@pytest.mark.parametrize("name", ["json", "json-lines"])
def test_what_is_printed_is_valid_by_the_schema_that_is_printed(cli: Cli, use_rules: UseRules, name: str) -> None:
    schema = json.loads(cli("schema", name).output)
    assert schema == load_schema(name)
    use_rules(ERROR_RULE, FAILING_RULE)
    output = cli("check", "wrong.pt2", "damaged.pt2", "bug.pt2", "float.pt2", "--output-format", name).stdout
    documents = [json.loads(line) for line in output.splitlines()] if name == "json-lines" else [json.loads(output)]
    for document in documents:
        jsonschema.Draft202012Validator(schema).validate(document)


def test_the_schema_of_json_is_the_default_and_another_is_refused(cli: Cli) -> None:
    assert cli("schema").output == cli("schema", "json").output
    result = cli("schema", "sarif")
    assert result.exit_code == 2
    assert "'json-lines'" in result.output


def test_an_overlay_is_of_one_program(cli: Cli, tmp_path: Path) -> None:
    for option in (("--report", f"model-explorer={tmp_path}/overlay.json"), ("--output-format", "model-explorer")):
        result = cli("check", "wrong.pt2", "bug.pt2", *option)
        assert (result.exit_code, "one program, but 2 are checked" in result.output) == (2, True)
    overlay = json.loads(cli("check", "wrong.pt2", "--output-format", "model-explorer").output)
    values = {result["value"] for result in overlay["graph"]["results"].values()}
    assert values == {"error, wrong: FU101", "refused with FU101"}


# --- source root ----------------------------------------------------------------------------------------------


def test_the_source_root_decides_what_paths_are_relative_to(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program was exported at /home/me; here its model.py lies under the checkout's src."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src/model.py").write_text("\n" * 41 + f"        {CODE_LINE}\n")
    options = ("check", "wrong.pt2", "--output-format", "concise", "--quiet")
    assert cli(*options, "--source-root", str(tmp_path)).output.startswith("/home/me/model.py:42: FU101 ")
    assert cli(*options, "--source-root", str(tmp_path / "src")).output.startswith("model.py:42: FU101 ")
    monkeypatch.chdir(tmp_path / "src")
    assert cli(*options).output.startswith("model.py:42: FU101 "), "the current directory is the default"


def test_a_source_root_that_is_none_is_refused(cli: Cli, tmp_path: Path) -> None:
    result = cli("check", "wrong.pt2", "--source-root", str(tmp_path / "missing"))
    assert result.exit_code == 2
    assert "--source-root" in result.output


# --- time ---------------------------------------------------------------------------------------------------


def test_the_time_of_each_rule_is_told_beside_the_report(cli: Cli, use_rules: UseRules) -> None:
    use_rules(ERROR_RULE, NOTE_RULE, FAILING_RULE)
    options = ("check", "clean.pt2", "wrong.pt2", "--target", "all", "--output-format", "json")
    timed, plain = cli(*options, "--time"), cli(*options)
    assert (timed.stdout, timed.exit_code) == (plain.stdout, plain.exit_code), "a report does not depend on a clock"
    rows = [line.split() for line in timed.stderr.splitlines()]
    assert rows[0] == ["seconds", "code", "name"]
    assert sorted(row[1] for row in rows[1:4]) == ["ZZ001", "ZZ003", "ZZ999"]
    seconds = [float(row[0]) for row in rows[1:]]
    assert seconds[:3] == sorted(seconds[:3], reverse=True)
    assert 0 < seconds[3] <= seconds[4], "all rules, within the whole"


# --- statistics -----------------------------------------------------------------------------------------------


def test_statistics_count_by_rule_over_all_files(cli: Cli, use_rules: UseRules) -> None:
    use_rules(ERROR_RULE, NOTE_RULE)
    result = cli("check", "clean.pt2", "wrong.pt2", "--statistics")
    rows = [line.split() for line in result.output.splitlines()[:3]]
    assert rows[1:] == [["2", "ZZ001", "relu-is-wrong", "error", "0"], ["2", "ZZ003", "relu-is-slow", "note", "0"]]
    assert "is a relu" not in result.output
    assert result.exit_code == 1
    document = json.loads(cli("check", "clean.pt2", "wrong.pt2", "--output-format", "json").output)
    assert [row["findings"] for row in document["summary"]["statistics"]] == [2, 2]


def test_findings_with_one_cause_share_an_entry_unless_each_is_asked_for(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    b = GraphBuilder()
    relus = [b.call("aten.relu.default", b.input(), module=f"block.{number}") for number in range(3)]
    graph = b.output(*relus)
    monkeypatch.setattr("fuseguard.readers.open.read", lambda path, methods=(): (graph, str(path)))
    monkeypatch.setattr("fuseguard.cli.check.load_registry", lambda: registry_of(ERROR_RULE))
    short, whole = cli("check", "wrong.pt2"), cli("check", "wrong.pt2", "--verbose")
    assert short.exit_code == whole.exit_code == 1
    assert short.output.count("error[ZZ001]") == 1
    assert "3 places" in short.output
    assert whole.output.count("error[ZZ001]") == 3
    assert cli("check", "wrong.pt2", "-v").output == whole.output
    for number in range(3):
        assert f"block.{number}" in short.output
        assert f"block.{number}" in whole.output
