"""The Python API has the options of ``fuseguard check``, and means the same by them.

Protects: an option that is added to one of command line, Python, pytest helper and configuration and forgotten in
another.
"""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import fuseguard
from fuseguard.cli import check as check_module
from fuseguard.engine.run import POLICIES
from fuseguard.gate.config import _Table
from fuseguard.report.formats import FORMATS, OF_ONE_PROGRAM
from fuseguard.testing import assert_lowerable
from fuseguard_testkit.paths import DATA

#: What only a command line needs -> how Python does the same.
ONLY_COMMAND_LINE = {
    "no_config": "check looks for no configuration unless config names one",
    "no_baseline": "check without baseline; or a configuration without one",
    "exit_zero": "the caller decides what ok and exit_code lead to",
    "output_file": "render returns the text",
    "report": "render is called as often as there are reports",
    "color": "render returns plain text",
    "cost": "fuseguard.executorch.costs has the same estimates",
    "trust": "of a command line only --cost loads the program",
    "time": "seconds of a report or a result",
}
#: What only Python has -> how the command line does the same.
ONLY_PYTHON = {"suppressions": "tables of the configuration"}
#: Of one program there is nothing to do at once, and its results are not a report's text.
ONLY_SEVERAL = {"files", "jobs"}


def options_of(function: Callable[..., Any]) -> set[str]:
    return set(inspect.signature(function).parameters)


def command_line() -> dict[str, click.Parameter]:
    return {str(parameter.name): parameter for parameter in check_module.command.params}


def test_python_has_the_options_of_the_command_line() -> None:
    several = options_of(fuseguard.check_files) | (options_of(fuseguard.render) - {"result"})
    assert several - set(ONLY_PYTHON) == set(command_line()) - set(ONLY_COMMAND_LINE)
    assert set(ONLY_COMMAND_LINE) <= set(command_line()), "an exception for an option that no longer exists"
    one = options_of(fuseguard.check)
    assert one - {"program"} == options_of(fuseguard.check_files) - ONLY_SEVERAL
    assert options_of(assert_lowerable) == one, "the pytest helper"


def test_defaults_are_none_where_the_configuration_may_say() -> None:
    """Else an argument that nobody gave would win over the configuration."""
    for function in (fuseguard.check, fuseguard.check_files, assert_lowerable):
        for name, parameter in inspect.signature(function).parameters.items():
            if name not in ("program", "files", "suppressions", "jobs"):
                assert parameter.default is None, (function.__name__, name)


def test_the_configuration_has_no_key_that_is_no_option() -> None:
    keys = {key.replace("-", "_") for key in _Table.__struct_encode_fields__}
    assert keys - {"extend"} <= options_of(fuseguard.check)
    assert keys - {"extend", "suppressions"} <= set(command_line())


def test_the_same_values_are_valid() -> None:
    choices = {
        name: tuple(option.type.choices)
        for name, option in command_line().items()
        if isinstance(option.type, click.Choice)
    }
    assert choices["policy"] == POLICIES
    assert choices["output_format"] == FORMATS
    assert choices["fail_on"] == tuple(severity.value for severity in fuseguard.Severity)
    with pytest.raises(ValueError, match=r"'sarrif' is not a format. Did you mean 'sarif'\? Valid are text, concise"):
        fuseguard.render(fuseguard.check(DATA / "linear.pt2"), "sarrif")
    with pytest.raises(ValueError, match="was given no file"):
        fuseguard.check_files([])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs, one of which nobody can read; a configuration with one suppression that a program uses."""
    for name in ("conv_cat", "conv_cat_edge", "linear"):
        shutil.copy(DATA / f"{name}.pt2", tmp_path)
    (tmp_path / "broken.pt2").write_bytes(b"no program")
    (tmp_path / "model.py").write_text("\n" * 9 + "        return torch.cat([torch.relu(self.conv(x)), y], 1)\n")
    (tmp_path / "other.toml").write_text(
        '[[suppressions]]\nrule = "FU101"\nnode = "aten_relu_default"\nreason = "known"\n'
        '[[suppressions]]\nrule = "FU101"\nmodule = "nowhere"\nreason = "no longer there"\n'
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


FILES = ("conv_cat.pt2", "conv_cat_edge.pt2", "linear.pt2", "broken.pt2")


def run(*args: str) -> Result:
    return CliRunner().invoke(check_module.command, [*FILES, "--no-config", *args], prog_name="fuseguard check")


@pytest.mark.parametrize(
    ("args", "options"),
    [
        (("--executorch", "1.5.1"), {"executorch": "1.5.1"}),
        (("--target", "all", "--executorch", "1.4.1,1.5.1"), {"target": "all", "executorch": ["1.4.1", "1.5.1"]}),
        (("--executorch", "1.4.1", "--fail-on", "note"), {"executorch": "1.4.1", "fail_on": "note"}),
        (
            ("--executorch", "1.5.1", "--policy", "measured", "--select", "FU,QD", "--ignore", "FU103"),
            {"executorch": "1.5.1", "policy": "measured", "select": ["FU", "QD"], "ignore": ["FU103"]},
        ),
        (("--executorch", "1.5.1", "--severity", "FU=warning"), {"executorch": "1.5.1", "severity": {"FU": "warning"}}),
        (("--executorch", "1.5.1", "-j", "2"), {"executorch": "1.5.1", "jobs": 2}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
@pytest.mark.parametrize("name", [name for name in FORMATS if name not in OF_ONE_PROGRAM])
def test_python_writes_what_the_command_line_writes(
    project: Path, name: str, args: tuple[str, ...], options: dict[str, Any]
) -> None:
    (project / "src").mkdir()
    result = fuseguard.check_files(FILES, **options)
    for root in (None, "src"):
        where = () if root is None else ("--source-root", root)
        # To a file: what is printed leaves errors to stderr.
        told = run("--output-format", name, "--output-file", "told", *args, *where)
        assert fuseguard.render(result, name, source_root=root) == (project / "told").read_text(encoding="utf-8")
        assert result.exit_code == told.exit_code == 3


def test_quiet_and_statistics_mean_the_same(project: Path) -> None:
    result = fuseguard.check_files(FILES, executorch="1.5.1")
    for options in ({"quiet": True}, {"statistics": True}, {"quiet": True, "statistics": True}):
        run("--executorch", "1.5.1", "--output-file", "told", *(f"--{name}" for name in options))
        assert fuseguard.render(result, **options) == (project / "told").read_text(encoding="utf-8")


def test_configuration_and_baseline_hold_over_all_files_together(project: Path) -> None:
    """One file at a time, the suppression that another file needs would look unused."""
    result = fuseguard.check_files(FILES[:3], executorch="1.5.1", config="other.toml")
    assert [finding.code for finding in result.findings] == ["FU101", "SU001"]
    assert "nowhere" in result.findings[1].message
    alone = fuseguard.check("conv_cat.pt2", executorch="1.5.1", config="other.toml")
    assert [finding.code for finding in alone.findings] == ["FU101", "SU001", "SU001"]
    made = CliRunner().invoke(
        fuseguard_cli(), ["baseline", "create", *FILES[:3], "--no-config", "--executorch", "1.5.1"]
    )
    assert made.exit_code == 0, made.output
    result = fuseguard.check_files(FILES[:3], executorch="1.5.1", baseline="fuseguard-baseline.json")
    assert (result.findings, result.exit_code) == ((), 0)
    assert sum(len(file.report.suppressed) for file in result.files if file.report) == 2


def fuseguard_cli() -> click.Command:
    from fuseguard.cli.main import cli

    return cli


def test_a_format_of_one_program_refuses_several(project: Path) -> None:
    with pytest.raises(ValueError, match="one program"):
        fuseguard.render(fuseguard.check_files(FILES[:2]), "model-explorer")
    overlay = fuseguard.render(fuseguard.check_files(FILES[:1], executorch="1.5.1"), "model-explorer")
    assert overlay == fuseguard.render(fuseguard.check(FILES[0], executorch="1.5.1"), "model-explorer")


def test_one_report_is_rendered_too(project: Path) -> None:
    report = fuseguard.check("conv_cat.pt2", executorch="1.5.1")
    (run,) = json.loads(fuseguard.render(report, "sarif"))["runs"]
    location = run["results"][0]["locations"][0]["physicalLocation"]
    assert (location["artifactLocation"]["uri"], location["region"]["startLine"]) == ("model.py", 10)
    assert run["invocations"][0]["exitCode"] == 1
    assert run["tool"]["driver"]["rules"][0]["help"]["markdown"].startswith("# BO601: ")
