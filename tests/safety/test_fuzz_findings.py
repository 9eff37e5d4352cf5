"""What campaigns of tools/fuzz.py found: each kind of fault once, so that it does not come back."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import fuseguard
from fuseguard.backend.rescales import Rescale
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.open import read_file
from fuseguard_testkit.forging import forge, graph_of, pack
from fuseguard_testkit.paths import DATA

# Ends of float64, of float32, and what a product or a quotient of two of them leaves both by.
SCALES = (5e-324, 1e-300, 1e-45, 2.0**-126, 1e38, 1e300, 1.7e308)


def test_a_node_of_an_artifact_uses_what_there_is_not(tmp_path: Path) -> None:
    """Such a program is refused, and the marks that its format leaves out are not looked for at unknown nodes."""
    import zipfile

    with zipfile.ZipFile(DATA / "conv_cat_edge.exir") as archive:
        contents = {info.filename: archive.read(info) for info in archive.infolist()}
    record = "serialized_exported_program.json"
    program = json.loads(contents[record])
    for node in graph_of(program)["nodes"]:
        for argument in node["inputs"]:
            if "as_tensor" in argument["arg"]:
                argument["arg"]["as_tensor"]["name"] = "nowhere"
    contents[record] = json.dumps(program).encode()
    with pytest.raises(UnreadableInput, match="not defined before it"):
        read_file(pack(tmp_path / "m.exir", contents))


@pytest.mark.parametrize(("first", "others"), list(product(SCALES, SCALES)))
def test_no_rule_fails_on_scales_at_the_ends_of_floats(first: float, others: float, tmp_path: Path) -> None:
    def edit(program: dict[str, Any]) -> None:
        scales = [
            argument["arg"]
            for node in graph_of(program)["nodes"]
            if "quantize_per_tensor" in node["target"]
            for argument in node["inputs"]
            if argument["name"] == "scale"
        ]
        for number, argument in enumerate(scales):
            argument["as_float"] = first if number < 2 else others

    report = fuseguard.check(forge(tmp_path / "m.pt2", "split_add", edit=edit), "TOSA-1.0+INT", "1.5.1")
    assert not report.failures


def test_a_factor_below_all_shifts_rounds_to_nothing() -> None:
    assert Rescale("the result", 1e-318, 255.0).fault() == ""
