"""What torch.export.load would run of a file is found by its AR code, and run by nobody.

Each of the nine routes is forged with a payload that makes a marker file. torch makes it, which shows that the payload
is live; fuseguard tells of it and does not.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

import fuseguard
from fuseguard.cli.main import cli
from fuseguard.engine.archive_rules import ARCHIVE_RULES
from fuseguard.engine.finding import Effect, Severity
from fuseguard.ir.hazard import Hazard
from fuseguard.readers.open import read_file
from fuseguard.readers.pt2 import read_pt2
from fuseguard_testkit.code_routes import ROUTES, Route
from fuseguard_testkit.forging import forge, graph_of
from fuseguard_testkit.paths import DATA

TORCH = """
import logging, sys, warnings
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
sys.path.insert(0, sys.argv[1])
import torch
import torch.ao.quantization.fx._decomposed
from pathlib import Path
for path in sorted(Path(sys.argv[1]).glob("*.pt2")):
    try:
        program = torch.export.load(str(path))
        program.module()
    except Exception as error:
        print(path.stem, type(error).__name__, str(error)[:200], file=sys.stderr)
"""


@pytest.fixture(params=ROUTES, ids=lambda route: route.name)
def route(request: pytest.FixtureRequest) -> Route:
    found: Route = request.param
    return found


def test_a_route_is_found_and_not_taken(route: Route, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, marker = tmp_path / "forged.pt2", tmp_path / "marker"
    route.forge(path, marker)
    monkeypatch.syspath_prepend(tmp_path)  # where a module beside the model would be imported from
    report = fuseguard.check(path)
    found = [finding for finding in report.findings if finding.code.startswith("AR")]
    assert {finding.code for finding in found} == {route.code}
    assert all(finding.effect is Effect.RUNS_CODE and finding.severity is Severity.ERROR for finding in found)
    assert report.findings[0] is found[0]
    assert not report.ok
    assert not marker.exists()
    assert not [name for name in sys.modules if name.startswith("evil_")]


@pytest.mark.torch
@pytest.mark.slow
def test_torch_takes_every_route(tmp_path: Path) -> None:
    """The payloads are live; otherwise, that fuseguard does not run them shows nothing."""
    pytest.importorskip("torch")
    for item in ROUTES:
        item.forge(tmp_path / f"{item.name}.pt2", tmp_path / f"{item.name}.marker")
    result = subprocess.run([sys.executable, "-c", TORCH, str(tmp_path)], capture_output=True, text=True)
    ran = {path.stem for path in tmp_path.glob("*.marker")}
    assert ran == {item.name for item in ROUTES}, result.stderr


FILES = sorted(path for kind in ("pt2", "exir", "etrecord") for path in DATA.glob(f"*.{kind}"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_programs_as_they_are_saved_have_no_such_finding(path: Path) -> None:
    assert read_file(path).hazards == ()


def test_every_rule_has_a_route() -> None:
    assert {item.code for item in ROUTES} == {rule.code for rule in ARCHIVE_RULES}


def test_all_programs_of_an_archive_are_looked_at(tmp_path: Path) -> None:
    """torch loads them all, whichever is asked for."""
    good = json.loads(forge(tmp_path / "good.pt2") and _record(tmp_path / "good.pt2", "models/model.json"))
    good["guards_code"] = ["print(1)"]
    path = forge(tmp_path / "two.pt2", add={"models/other.json": json.dumps(good).encode()})
    assert [(hazard.code, hazard.place) for hazard in read_pt2(path).hazards] == [("AR905", "models/other.json")]


def test_records_are_found_without_regard_to_case(tmp_path: Path) -> None:
    """As torch's zip reader finds them."""
    path = forge(
        tmp_path / "case.pt2", remove=("data/sample_inputs/model.pt",), add={"data/Sample_Inputs/MODEL.pt": b"x"}
    )
    assert [hazard.code for hazard in read_pt2(path).hazards] == ["AR909"]


def test_what_is_told_is_limited(tmp_path: Path) -> None:
    def edit(program: dict[str, object]) -> None:
        program["guards_code"] = [f"print({number})" for number in range(3000)]

    hazards = read_pt2(forge(tmp_path / "many.pt2", edit=edit)).hazards
    assert len(hazards) == 9
    assert hazards[-1].text == "2,992 more of this kind"


def test_expressions_too_long_to_look_through_are_not_passed(tmp_path: Path) -> None:
    def edit(program: dict[str, object]) -> None:
        graph = graph_of(program)
        graph["sym_int_values"]["s0"] = {"as_expr": {"expr_str": "s0 + " * 900_000 + "1", "hint": None}}

    [hazard] = read_pt2(forge(tmp_path / "long.pt2", edit=edit)).hazards
    assert hazard.code == "AR907"
    assert "too long" in hazard.text


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A file with one AR finding and none else of any rule."""
    return forge(tmp_path / "bad.pt2", "linear", edit=lambda program: program.update(guards_code=["print(1)"]))


def _exit_code(*args: str | Path) -> int:
    return CliRunner().invoke(cli, ["check", "--no-config", *map(str, args)]).exit_code


def test_an_accepted_code_passes_and_is_reported_as_suppressed(bad: Path) -> None:
    assert _exit_code(bad) == 1
    assert _exit_code(bad, "--allow-code", "AR905") == 0
    assert _exit_code(bad, "--allow-code", "guard-code") == 0
    assert _exit_code(bad, "--allow-code", "AR901,AR902") == 1
    report = fuseguard.check(bad, allow_code=["AR905"])
    assert report.ok
    assert [finding.code for finding in report.suppressed] == ["AR905"]


def test_a_configuration_accepts_codes(bad: Path, tmp_path: Path) -> None:
    config = tmp_path / "fuseguard.toml"
    config.write_text('allow-code = ["AR905"]\n')
    assert CliRunner().invoke(cli, ["check", "--config", str(config), str(bad)]).exit_code == 0
    config.write_text('allow-code = ["AR9"]\n')
    result = CliRunner().invoke(cli, ["check", "--config", str(config), str(bad)])
    assert result.exit_code == 2
    assert "allow-code" in result.output
    assert "AR905" in result.output


@pytest.mark.parametrize("options", [("--select", "QP"), ("--ignore", "FU")])
def test_selections_do_not_turn_it_off(bad: Path, options: tuple[str, str]) -> None:
    assert _exit_code(bad, *options) == 1


@pytest.mark.parametrize(
    "options", [("--ignore", "AR905"), ("--ignore", "AR"), ("--select", "AR"), ("--allow-code", "FU101")]
)
def test_no_other_option_accepts_it(bad: Path, options: tuple[str, str]) -> None:
    assert _exit_code(bad, *options) == 2


def test_a_baseline_does_not_accept_it(bad: Path, tmp_path: Path) -> None:
    baseline = tmp_path / "known.json"
    made = CliRunner().invoke(cli, ["baseline", "create", "--no-config", str(bad), "--baseline", str(baseline)])
    assert made.exit_code == 0
    assert json.loads(baseline.read_text())["findings"] == []
    assert _exit_code(bad, "--baseline", baseline) == 1


def test_a_severity_can_be_given(bad: Path) -> None:
    assert _exit_code(bad, "--severity", "AR905=warning") == 0


@pytest.mark.parametrize(
    "output_format",
    ["text", "concise", "json", "json-lines", "sarif", "junit", "github", "gitlab", "model-explorer"],
)
@pytest.mark.parametrize("targets", ["TOSA-1.0+INT", "all"])
def test_every_format_tells_it(bad: Path, output_format: str, targets: str) -> None:
    result = CliRunner().invoke(
        cli, ["check", "--no-config", str(bad), "--target", targets, "--output-format", output_format]
    )
    assert result.exit_code == 1, result.output
    if output_format != "model-explorer":  # which shows nodes, and this is about none
        assert "AR905" in result.output


def test_an_upgrade_and_a_difference_tell_it(bad: Path, tmp_path: Path) -> None:
    upgrade = CliRunner().invoke(cli, ["upgrade-check", "--no-config", str(bad), "--from", "1.4.1", "--to", "1.5.1"])
    assert upgrade.exit_code == 0
    assert "AR905" in upgrade.output
    difference = CliRunner().invoke(cli, ["diff", "--no-config", str(DATA / "linear.pt2"), str(bad)])
    assert difference.exit_code == 1
    assert "AR905" in difference.output


def test_what_is_quoted_is_escaped(tmp_path: Path) -> None:
    path = forge(tmp_path / "x.pt2", "linear", edit=lambda program: program.update(guards_code=["\x1b[2J\n::error::"]))
    output = CliRunner().invoke(cli, ["check", "--no-config", str(path)]).output
    assert "AR905" in output
    assert not [text for text in ("\x1b", "\n::error") if text in output]


def test_a_hazard_of_unknown_code_is_a_fault_of_ours() -> None:
    from fuseguard.engine.archive_rules import archive_finding

    with pytest.raises(KeyError):
        archive_finding(Hazard("AR999", "", ""), "")


def _record(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(f"archive/{name}")
