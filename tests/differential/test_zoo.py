"""Programs of examples/zoo, built, checked and lowered again: what is committed is what happens.

Two small ones by default, which need no package but scikit-learn. All that were lowered for this release: -m campaign,
in the environment of the zoo (``tools/release_env.py zoo-1.5.1``).
"""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

import pytest

import fuseguard
import zoo_page

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = [pytest.mark.torch, pytest.mark.slow]

RELEASE = "1.5.1"
#: One with a fault that a rule announces, one without.
SMALL = ("digits_dense", "wine_mlp")
TARGET = "TOSA-1.0+INT"
#: Package of a source, where its name is another one.
_IMPORTED = {"segmentation-models-pytorch": "segmentation_models_pytorch", "facenet-pytorch": "facenet_pytorch"}


def committed() -> Sequence[dict[str, Any]]:
    rows = json.loads(zoo_page.RESULTS.read_text(encoding="utf-8"))["items"]
    return [row for row in rows if row["release"] == RELEASE and row["unguarded"] and row["unguarded"]["outcome"]]


def again(row: dict[str, Any]) -> tuple[dict[str, int], str, int]:
    """Findings, outcome and the number of ops on the CPU."""
    from fuseguard.executorch import prove
    from zoo.program import programs
    from zoo.quantizing import quantized

    built = programs()[row["program"]].build()
    program = quantized(built, row["config"])
    report = fuseguard.check(program, target=row["target"], executorch=RELEASE)
    findings: dict[str, int] = {}
    for finding in report.findings:
        key = f"{finding.code} {finding.effect.value}"
        findings[key] = findings.get(key, 0) + 1
    proof = prove(program, list(built.inputs), row["target"], locate=True, dims=dict(built.dims))
    return findings, proof.outcome, sum("quantize_per" not in op for op in proof.cpu_ops)


def expected(row: dict[str, Any]) -> tuple[dict[str, int], str, int]:
    return row["check"]["findings"], row["unguarded"]["outcome"], row["unguarded"]["cpu_ops"]


def test_release() -> None:
    from importlib.metadata import version

    if version("executorch") != RELEASE:
        pytest.skip(f"the zoo is built with {RELEASE}")


@pytest.mark.parametrize("name", SMALL)
def test_small_programs_do_what_the_page_says(name: str) -> None:
    test_release()
    (row,) = [
        row
        for row in committed()
        if (row["program"], row["config"], row["target"]) == (name, "int8", TARGET)
    ]
    assert again(row) == expected(row)


@pytest.mark.campaign
@pytest.mark.parametrize("row", committed(), ids=lambda row: f"{row['program']}-{row['config']}-{row['target']}")
def test_every_program_does_what_the_page_says(row: dict[str, Any]) -> None:
    test_release()
    sources = {entry["name"]: entry["source"] for entry in json.loads(zoo_page.RESULTS.read_text())["programs"]}
    source = sources[row["program"]]
    if importlib.util.find_spec(_IMPORTED.get(source, source)) is None:
        pytest.skip(f"{source} is not installed: tools/release_env.py zoo-{RELEASE}")
    assert again(row) == expected(row)
