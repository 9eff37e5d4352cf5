"""Scripts that use fuseguard are not full of other packages' messages, and nobody's logging is changed for good."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator

import pytest

from fuseguard.executorch.noise import quiet_copies, quiet_imports
from fuseguard_testkit.paths import DATA, ROOT

SCRIPT = f"""
import logging, sys, warnings
from fuseguard.executorch import guard, lower, repair
print("imported", file=sys.stderr)
repair({str(DATA / "conv_cat.pt2")!r}, "TOSA-1.0+INT", trust=True)
logging.getLogger("torchao").warning("Failed to load later")
warnings.warn("`isinstance(treespec, LeafSpec)` is deprecated, mine", FutureWarning)
assert not logging.getLogger("torchao").filters
assert not logging.getLogger("torch.utils._pytree").filters
"""


@pytest.mark.torch
def test_a_script_prints_what_it_prints_itself() -> None:
    pytest.importorskip("executorch")
    environment = {**os.environ, "PYTHONWARNINGS": "default::FutureWarning"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment, timeout=300)
    assert (done.returncode, done.stdout) == (0, "")
    told = [line for line in done.stderr.splitlines() if "Failed to load" in line or "LeafSpec" in line]
    assert len(told) == 2, done.stderr
    assert told[0] == "Failed to load later"
    assert "mine" in told[1]


@pytest.mark.torch
def test_what_the_page_of_the_guard_says_silences_a_script_that_imports_executorch_first() -> None:
    pytest.importorskip("executorch")
    page = (ROOT / "docs" / "guard.md").read_text(encoding="utf-8")
    [block] = [text for text in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "setLevel" in text]
    done = subprocess.run(
        [sys.executable, "-c", f"{block}\nfrom executorch.exir import to_edge\nfrom fuseguard.executorch import guard"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")
    assert not re.findall(r"Failed to load|<enum ", done.stderr), done.stderr


@pytest.fixture
def _logging_on() -> Iterator[None]:
    """Whatever the tests before have left: logging may be off in this process, or torchao's, as a page says."""
    torchao = logging.getLogger("torchao")
    before, level = logging.root.manager.disable, torchao.level
    logging.disable(logging.NOTSET)
    torchao.setLevel(logging.NOTSET)
    yield
    logging.disable(before)
    torchao.setLevel(level)


@pytest.mark.usefixtures("_logging_on")
def test_other_messages_come_through(caplog: pytest.LogCaptureFixture) -> None:
    with quiet_imports():
        logging.getLogger("torchao").warning("Failed to load %s", "x.so")
        logging.getLogger("torchao").warning("something else")
        logging.getLogger("other").warning("Failed to load mine")
    logging.getLogger("torchao").warning("Failed to load afterwards")
    assert [record.getMessage() for record in caplog.records] == [
        "something else", "Failed to load mine", "Failed to load afterwards",
    ]  # fmt: skip


def test_filters_are_taken_off_after_an_error() -> None:
    with pytest.raises(ImportError), quiet_imports():
        raise ImportError
    assert not logging.getLogger("torchao").filters


def test_other_warnings_come_through() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with quiet_copies():
            warnings.warn("`isinstance(treespec, LeafSpec)` is deprecated, use ...", FutureWarning, stacklevel=1)
            warnings.warn("something else", FutureWarning, stacklevel=1)
        warnings.warn("`isinstance(treespec, LeafSpec)` is deprecated", FutureWarning, stacklevel=1)
    assert len(seen) == 2
