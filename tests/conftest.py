"""Fixtures that several folders share; expensive ones live for the session."""

from __future__ import annotations

import os

import hypothesis
import pytest

from fuseguard.engine.registry import Registry, load_registry

# A test must see what the code does now, and the user's own cache is not its business.
os.environ["FUSEGUARD_CACHE"] = "off"

# The same examples in every run, so that a failure is due to the change. --hypothesis-profile=default draws others.
hypothesis.settings.register_profile("repeatable", derandomize=True, print_blob=True)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The installed rules."""
    return load_registry()


@pytest.fixture(autouse=True)
def _quick_torch(request: pytest.FixtureRequest) -> None:
    """Small graphs run faster, and repeatably, on one thread; lowering does what it does in half the time."""
    if request.node.get_closest_marker("torch") or request.node.get_closest_marker("slow"):
        pytest.importorskip("torch").set_num_threads(1)
    if request.node.get_closest_marker("slow"):
        pytest.importorskip("executorch")
        from fuseguard.executorch.hurry import hurry

        hurry()
