"""Shell completion: the scripts are what shells take, and what is offered is what may be typed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

import pytest
from click.testing import Result

from fuseguard.cli.completion import SHELLS
from fuseguard.cli.main import COMMANDS
from fuseguard.engine import Registry
from fuseguard_testkit.cli_process import fuseguard

Cli = Callable[..., Result]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_printed_that_the_shell_accepts(cli: Cli, shell: str) -> None:
    script = cli("completion", shell).output
    assert "_FUSEGUARD_COMPLETE" in script
    if shutil.which(shell) is not None:
        done = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_another_shell_is_refused_with_the_choices(cli: Cli) -> None:
    result = cli("completion", "tcsh")
    assert result.exit_code == 2
    assert "'fish'" in result.output


def offered(words: str) -> list[str]:
    """What bash is offered for the last word."""
    done = fuseguard(_FUSEGUARD_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(len(words.split(" ")) - 1))
    return [line.split(",", 1)[1] for line in done.stdout.splitlines() if line.startswith("plain,")]


def test_commands_and_options_are_offered() -> None:
    assert offered("fuseguard ") == list(COMMANDS)
    assert offered("fuseguard check --source") == ["--source-root"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("fuseguard check --target ethos-u65", ["ethos-u65", "ethos-u65-256", "ethos-u65-512"]),
        ("fuseguard check --target tosa", ["TOSA-1.0+INT", "TOSA-1.0+INT+FP"]),
        ("fuseguard check --executorch 1.5", ["1.5.0", "1.5.1"]),
        ("fuseguard check --output-format js", ["json", "json-lines"]),
        ("fuseguard check --report s", ["sarif="]),
        ("fuseguard completion z", ["zsh"]),
        ("fuseguard upgrade-check --from 1.5", ["1.5.0", "1.5.1"]),
        ("fuseguard prove --target vg", ["vgf"]),
        ("fuseguard repair --target al", []),
        ("fuseguard check --severity FU101", ["FU101="]),
        ("fuseguard check --severity FU101=n", ["FU101=note"]),
        ("fuseguard check --severity FU101=note,QD205=w", ["FU101=note,QD205=warning"]),
        ("fuseguard test-rules fuse", ["fuseguard"]),
    ],
)
def test_values_are_offered(words: str, expected: list[str]) -> None:
    assert offered(words) == expected


def test_rules_are_offered_after_a_comma_too(registry: Registry) -> None:
    fusion = [rule.code for rule in registry.rules if rule.code.startswith("FU")]
    assert [item for item in offered("fuseguard check --select FU") if item.isupper()] == fusion
    assert offered("fuseguard check --select QD201,FU") == [f"QD201,{code}" for code in fusion] + [
        f"QD201,{rule.name}" for rule in registry.rules if rule.name.startswith("fu")
    ]
