"""``fuseguard new-rule`` and ``fuseguard test-rules``: from nothing to a tested rule pack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from fuseguard.engine.registry import load_registry

Cli = Callable[..., Result]


@pytest.fixture(autouse=True)
def _in_a_new_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_imports: None) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_new_rule_passes_test_rules_and_its_own_test(cli: Cli) -> None:
    written = cli("new-rule", "PA101", "relu-reads-coarse-steps")
    assert written.exit_code == 0, written.output
    assert '[project.entry-points."fuseguard.rules"]\n  my_rules = "my_rules"' in written.output
    assert "fuseguard test-rules ./my_rules" in written.output
    tested = cli("test-rules", "./my_rules")
    assert tested.exit_code == 0, tested.output
    assert "PA101  relu-reads-coarse-steps  ok  (2 examples)" in tested.output
    pytest_run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"], capture_output=True, text=True
    )
    assert pytest_run.returncode == 0, pytest_run.stdout
    assert "1 passed" in pytest_run.stdout


def test_a_written_pack_is_one_that_fuseguard_can_use(cli: Cli) -> None:
    """What new-rule announces as the entry point must be what load_registry() takes."""
    cli("new-rule", "PA101", "relu-reads-coarse-steps", "--pack", "src/acme_rules")
    sys.path.insert(0, str(Path("src").resolve()))
    import acme_rules

    from fuseguard.engine.registry import make_pack

    assert [rule.code for rule in make_pack("acme_rules", "1", acme_rules).rules] == ["PA101"]


def test_a_second_rule_says_how_to_add_it_and_leaves_the_pack_alone(cli: Cli) -> None:
    cli("new-rule", "PA101", "first-fault")
    before = Path("my_rules/__init__.py").read_text()
    result = cli("new-rule", "PA102", "second-fault")
    assert result.exit_code == 0
    assert "from my_rules.second_fault import SecondFault" in result.output
    assert Path("my_rules/__init__.py").read_text() == before
    Path("my_rules/__init__.py").write_text(
        before.replace("RULES = (FirstFault,)", "RULES = (FirstFault, SecondFault)").replace(
            "import FirstFault", "import FirstFault\nfrom my_rules.second_fault import SecondFault"
        )
    )
    tested = cli("test-rules", "./my_rules")
    # Two copies of one rule find the same things: each example names the other's code as not its companion.
    assert "PA102 is found as well" in tested.output


def test_a_rule_inside_a_package_imports_by_its_full_name(cli: Cli) -> None:
    Path("acme").mkdir()
    Path("acme/__init__.py").write_text("")
    assert cli("new-rule", "PA101", "some-fault", "--pack", "acme/rules").exit_code == 0
    assert "from acme.rules.some_fault import SomeFault" in Path("acme/rules/__init__.py").read_text()
    assert cli("test-rules", "./acme/rules").exit_code == 0
    assert cli("test-rules", "acme.rules").exit_code == 0


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (("pa101", "some-fault"), "is not a rule code"),
        (("PA1", "some-fault"), "is not a rule code"),
        (("PA101", "Some_Fault"), "is not a rule name"),
        (("PA101", "2-faults"), "is not a rule name"),
        (("PA101", "class"), "cannot be imported"),
        (("PA101", "some-fault", "--pack", "my-rules"), "cannot be imported"),
        (("FU101", "some-fault"), "FU101 fused-activation-out-of-range exists"),
        (("PA101", "fused-activation-out-of-range"), "FU101 fused-activation-out-of-range exists"),
        (("FU999", "some-fault"), "reserved for fuseguard"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_and_nothing_is_written(
    cli: Cli, tmp_path: Path, args: tuple[str, ...], complaint: str
) -> None:
    result = cli("new-rule", *args)
    assert result.exit_code == 2
    assert complaint in result.output
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_not_written_over(cli: Cli) -> None:
    Path("tests").mkdir()
    Path("tests/test_some_fault.py").write_text("mine")
    result = cli("new-rule", "PA101", "some-fault")
    assert (result.exit_code, Path("my_rules").exists()) == (2, False)
    assert Path("tests/test_some_fault.py").read_text() == "mine"


def test_a_directory_that_cannot_be_made_is_told(cli: Cli) -> None:
    Path("file").write_text("")
    result = cli("new-rule", "PA101", "some-fault", "--pack", "file/rules")
    assert result.exit_code == 2
    assert "file" in result.output


def test_a_fault_is_told_and_exits_with_1(cli: Cli) -> None:
    cli("new-rule", "PA101", "some-fault")
    path = Path("my_rules/some_fault.py")
    path.write_text(path.read_text().replace("_relu(0.05)", "_relu(50.0)"))
    result = cli("test-rules", "./my_rules")
    assert result.exit_code == 1
    assert "reports this good example" in result.output
    document = json.loads(cli("test-rules", "./my_rules", "--output-format", "json").output)
    (rule,) = document["packs"][0]["rules"]
    assert (rule["code"], rule["examples"]) == ("PA101", 2)
    assert rule["faults"][0]["example"] == "relu that reads steps of 0.05"


def test_the_installed_packs_are_tested_by_default(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether each holds against its examples is what tests/rules/test_examples.py asks: here, that each is asked."""
    asked = []
    monkeypatch.setattr("fuseguard.cli.test_rules.faults", lambda rule, beside: asked.append(rule.code) or ())
    result = cli("test-rules")
    assert result.exit_code == 0, result.output
    assert "FU101  fused-activation-out-of-range" in result.output
    assert asked == [rule.code for rule in load_registry().rules]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("import no_such_module_at_all", "no_such_module_at_all"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(0)", "SystemExit"),
        ("INTERFACE = 99", "interface 99"),
        ("INTERFACE = 1\nRULES = ()", "has no RULES"),
        ("INTERFACE = 1\nRULES = (int,)", "is not a fuseguard.engine.Rule"),
    ],
)
@pytest.mark.parametrize("name", ["broken_pack", "./broken_pack.py"])
def test_a_broken_pack_exits_with_2_and_no_traceback(cli: Cli, content: str, complaint: str, name: str) -> None:
    Path("broken_pack.py").write_text(content)
    result = cli("test-rules", name)
    assert result.exit_code == 2
    assert complaint in result.output
    assert "internal error" not in result.output


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("fusegard", "Did you mean 'fuseguard'?"),
        ("./nowhere", "no such file"),
        ("not a name", "neither an installed rule pack"),
        ("my_rules:RULEZ", "no 'RULEZ'. Did you mean 'RULES'?"),
        ("./empty", "has no __init__.py"),
    ],
)
def test_a_pack_that_is_not_there_exits_with_2(cli: Cli, name: str, complaint: str) -> None:
    cli("new-rule", "PA101", "some-fault")
    os.mkdir("empty")
    result = cli("test-rules", name)
    assert result.exit_code == 2
    assert complaint in result.output


def test_a_file_whose_name_another_module_has_is_told(cli: Cli) -> None:
    Path("json.py").write_text("INTERFACE = 1")
    result = cli("test-rules", "./json.py")
    assert result.exit_code == 2
    assert "Another module has this name" in result.output
