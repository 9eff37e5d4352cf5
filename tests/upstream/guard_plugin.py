"""A pytest plugin that runs Arm's own backend tests under fuseguard's guard and writes down what happens.

Loaded with ``-p guard_plugin`` by run_upstream.py. In the mode ``record`` the checks analyse and say what they would
refuse, but accept everything: the outcome of a test is that of the unguarded backend, and its would-be refusals stand
beside it. In the mode ``guard`` they refuse.

One JSON line for each test: outcome, the graphs that were partitioned with what the rules found there, the numbers that
upstream compared, and the judge's verdict on the same lowered program and inputs.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

MODES = ("record", "guard", "off")
_ARM_TESTS = "backends/arm/test/"
_REASON_CHARACTERS = 300


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fuseguard")
    group.addoption("--guard-mode", choices=MODES, default="record", help="what fuseguard's checks do")
    group.addoption("--guard-log", metavar="FILE", help="append one JSON line for each test")
    group.addoption("--guard-preview", action="store_true", help="preview rules too")
    group.addoption("--guard-judge", action="store_true", help="judge each lowered program")
    group.addoption("--guard-collect", metavar="FILE", help="write the collected tests and collection errors, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Campaign(config), "fuseguard-campaign")


def short_id(nodeid: str) -> str:
    """The test's id from Arm's test folder on, whatever the root directory."""
    return nodeid.partition(_ARM_TESTS)[2] or nodeid


class _Campaign:
    """The hooks, with the record of the test under way."""

    def __init__(self, config: pytest.Config) -> None:
        option = config.getoption
        self.mode: str = option("--guard-mode")
        self.log = Path(option("--guard-log")) if option("--guard-log") else None
        self.collect_to = Path(option("--guard-collect")) if option("--guard-collect") else None
        self.preview: bool = option("--guard-preview")
        self.judge: bool = option("--guard-judge")
        self.errors: dict[str, str] = {}
        self.record: dict[str, Any] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        if self.collect_to is None:
            sys.path.append(str(Path(__file__).resolve().parents[1]))  # last: our folders must not hide packages
            from guard_backend import install

            from fuseguard.executorch.hurry import hurry

            hurry()
            install(self.mode, self.preview, self.judge, self.observe)

    def observe(self, kind: str, entry: dict[str, Any]) -> None:
        """Called by the patched backend: something happened in the test under way."""
        self.record.setdefault(kind, []).append(entry)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Iterator[None]:
        # Upstream draws inputs when a test file is imported: seeded per file, they do not depend on what else is run.
        if isinstance(collector, pytest.Module):
            import torch

            random.seed(0)
            torch.manual_seed(0)
        report = yield
        if report.failed:
            self.errors[short_id(collector.nodeid)] = _last_line(str(report.longrepr))
        return report

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if self.collect_to is not None:
            found = {"tests": [item.nodeid for item in session.items], "errors": self.errors}
            self.collect_to.write_text(json.dumps(found))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.record = {"test": short_id(item.nodeid), "outcome": "", "seconds": 0.0, "reason": ""}
        # Written first: should the process die, the runner knows of which test.
        self._write({"test": self.record["test"], "started": True})
        result = yield
        self._write(self.record)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.record["seconds"] = round(self.record["seconds"] + report.duration, 2)
        outcome: str = report.outcome
        if hasattr(report, "wasxfail"):
            outcome = "xpassed" if report.passed else "xfailed"
            self.record["reason"] = str(report.wasxfail) or _last_line(report.longreprtext)
        elif report.skipped and isinstance(report.longrepr, tuple):
            self.record["reason"] = report.longrepr[2][:_REASON_CHARACTERS]
        elif report.failed or report.skipped:
            self.record["reason"] = _last_line(report.longreprtext)
        if report.when == "call" or outcome != "passed":
            self.record["outcome"] = outcome

    def _write(self, entry: dict[str, Any]) -> None:
        if self.log is not None:
            with self.log.open("a") as stream:
                stream.write(json.dumps(entry, default=str) + "\n")


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("E ")] or text.strip().splitlines()
    return lines[-1].removeprefix("E ").strip()[:_REASON_CHARACTERS] if lines else ""
