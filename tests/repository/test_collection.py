"""All tests can be collected where torch is not installed: what needs it says so before it imports anything of it.

Protects: ``make test-fast`` and ``make test-pythons``. One module that imports torch too early ends both, while
``make test`` has torch and passes.
"""

from __future__ import annotations

import subprocess
import sys

from fuseguard_testkit.paths import ROOT

#: Packages that an environment without torch lacks. None in sys.modules makes an import of them fail.
ABSENT = ("torch", "torchao", "torchvision", "executorch", "tosa_reference_model", "ethosu")

_COLLECT = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[1].split()))
import pytest
sys.exit(pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", "tests"]))
"""


def test_all_tests_are_collected_without_torch() -> None:
    command = [sys.executable, "-c", _COLLECT, " ".join(ABSENT)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-1000:]}"
