"""The pytest plug-in: the fixture ``assert_lowerable``, with defaults from pytest's configuration.

pytest loads this file in every run of everybody who has fuseguard installed, so it imports nothing but pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from typing import Protocol

    from fuseguard.engine.run import Report

    class AssertLowerable(Protocol):
        """:func:`fuseguard.testing.assert_lowerable`, all of its options included."""

        def __call__(self, program: Any, target: Any = ..., **options: Any) -> Report: ...


#: Option of assert_lowerable -> what pytest's configuration says of it.
_OPTIONS = {
    "target": "TOSA specification or accelerator that the fixture assert_lowerable checks for",
    "executorch": "ExecuTorch release that the fixture assert_lowerable checks for",
    "policy": "policy of the fixture assert_lowerable: consistent, measured or bit-exact",
    "fail_on": "mildest severity that the fixture assert_lowerable fails for: error, warning or note",
}
#: The same for files, relative to pytest's root directory.
_FILES = {
    "config": "pyproject.toml or fuseguard.toml that the fixture assert_lowerable takes its options from",
    "baseline": "baseline whose findings the fixture assert_lowerable accepts",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    for name, meaning in (*_OPTIONS.items(), *_FILES.items()):
        parser.addini(f"fuseguard_{name}", meaning, default="")


@pytest.fixture(scope="session")
def assert_lowerable(pytestconfig: pytest.Config) -> AssertLowerable:
    """Call it with a program or the path of a ``.pt2`` file: it fails the test with fuseguard's report.

    Takes the options of :func:`fuseguard.testing.assert_lowerable`; those that a call leaves out come from
    ``fuseguard_target``, ``fuseguard_executorch``, ``fuseguard_policy``, ``fuseguard_fail_on``,
    ``fuseguard_config`` and ``fuseguard_baseline`` in pytest's configuration.
    """
    from fuseguard import testing

    configured = {name: value for name in _OPTIONS if (value := pytestconfig.getini(f"fuseguard_{name}"))}
    for name in _FILES:
        if value := pytestconfig.getini(f"fuseguard_{name}"):
            configured[name] = pytestconfig.rootpath / value

    def check(program: Any, target: Any = None, **options: Any) -> Report:
        __tracebackhide__ = True
        chosen = {**configured, **options, **({} if target is None else {"target": target})}
        return testing.assert_lowerable(program, **chosen)

    return check
