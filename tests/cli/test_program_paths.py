"""An empty name is not the current directory."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

import fuseguard
from fuseguard.cli.main import cli
from fuseguard.readers.errors import UnreadableInput


@pytest.mark.parametrize(
    "args", [("check", ""), ("diff", "", "x.pt2"), ("upgrade-check", "", "--from", "1.4.1", "--to", "1.5.1")]
)
def test_an_empty_name_is_called_empty(args: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == 3
    assert "the path is empty" in result.output


def test_python_says_the_same() -> None:
    with pytest.raises(UnreadableInput, match="the path is empty"):
        fuseguard.check("")
