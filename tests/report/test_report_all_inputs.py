"""What was proved for every input, as text and JSON, without torch."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import jsonschema

from fuseguard.report.all_inputs import render, to_dict
from fuseguard.report.json import dump
from fuseguard.report.lines import plain
from fuseguard.schemas import load_schema


def cell(**changes: Any) -> Any:
    fields = {
        "value": "quantize_1", "status": "proved", "method": "all codes", "count": 256, "ops": ("conv2d", "relu"),
        "operands": ("quantize",), "joined": (), "tensor": "rescale of delegate 0", "reason": "", "ties": 0,
        "rounded": 0, "bound": 0.0, "saturated": False, "counterexample": None, "source": "model.py:10",
        "module": "conv",
    }  # fmt: skip
    return SimpleNamespace(**{**fields, **changes})


def found(*cells: Any) -> Any:
    return SimpleNamespace(
        cells=cells,
        seconds=1.5,
        share_proved=sum(item.status == "proved" for item in cells) / len(cells),
        refuted=tuple(item for item in cells if item.status == "refuted"),
        remaining=tuple(item for item in cells if item.status == "sampled"),
    )


REFUTED = cell(
    status="refuted",
    counterexample=SimpleNamespace(
        codes=tuple(("quantize", (0, number), number - 3) for number in range(8)),
        at=(0, 1),
        expected=1.0,
        actual=-128.0,
    ),
)
SAMPLED = cell(status="sampled", count=70000, reason="2 operands have too many combinations of codes")


def test_a_program_that_is_proved_takes_one_line() -> None:
    assert plain(render(found(cell(), cell()))) == "\nfor every input: 2 of 2 cells proved (100.0 %)\n"


def test_refuted_cells_come_with_codes_and_sampled_ones_with_the_reason() -> None:
    shown = plain(render(found(cell(), SAMPLED, REFUTED)))
    assert "1 of 3 cells proved (33.3 %)\n  refuted: conv2d -> relu at quantize_1\n" in shown
    assert "quantize[0, 0] = -3, quantize[0, 1] = -2" in " ".join(shown.split())
    assert "and 2 more" in " ".join(shown.split())
    assert "element [0, 1]: expected 1, the lowering has -128\n" in shown
    assert "the program's own inputs may never produce these codes" in shown
    assert shown.index("refuted") < shown.index("sampled (70000)")
    assert "reason   2 operands have too many combinations of codes" in shown


def test_json_follows_the_schema() -> None:
    schema = load_schema("prove")
    document = json.loads(dump(to_dict(found(cell(), SAMPLED, REFUTED))))
    part = {"$ref": "#/$defs/all_inputs", "$defs": schema["$defs"]}
    jsonschema.Draft202012Validator(part).validate(document)
    assert document["cells"][2]["counterexample"]["codes"][0] == {"operand": "quantize", "at": [0, 0], "code": -3}
