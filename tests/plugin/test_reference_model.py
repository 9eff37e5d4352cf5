"""The reference model's own process: what it dies of must reach the caller as an error, not end it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.torch
pytest.importorskip("executorch")

from fuseguard.executorch import reference_model, reference_model_worker  # noqa: E402
from fuseguard.executorch.reference_model import ReferenceModelAborted  # noqa: E402

_ABORTS = """
import os, sys
sys.stderr.write("ERROR: zero point must be zero\\n")
sys.stderr.flush()
os.abort()
"""


def test_an_abort_is_raised_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "aborts.py"
    script.write_text(_ABORTS)
    monkeypatch.setattr(reference_model_worker, "__file__", str(script))
    worker = reference_model._Worker()
    with pytest.raises(ReferenceModelAborted, match=r"exit code -6\): ERROR: zero point must be zero"):
        worker.run(b"", [])
    worker.stop()


def test_without_tosa_tools_the_error_names_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="tosa_reference_model"):
        reference_model.run_reference_model(b"", [])
