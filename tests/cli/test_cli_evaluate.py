"""``fuseguard evaluate``: the score of each lowering on the user's own data.

Protects: a score on other samples than those of the user, and a lost accuracy that passes as none.
"""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from fuseguard.cli.main import cli
from fuseguard.schemas import load_schema
from fuseguard_testkit.paths import DATA

MODULE = """
import numpy as np
def score(outputs, labels):
    seen.append((np.asarray(outputs).shape, len(labels)))
    return -float(np.abs(outputs - labels).max())
seen = []
def bad(outputs, labels):
    raise KeyError("mine")
constant = 3
"""


def evaluate(*args: str) -> Result:
    return CliRunner().invoke(cli, ["evaluate", *args], prog_name="fuseguard")


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        ((), 3, "refused without --trust"),
        (("--trust", "--metric", "top-3"), 2, "valid are top-1, top-5 and MODULE:FUNCTION. Did you mean 'top-"),
        (("--trust", "--metric", "my_metric:none"), 2, "cannot be imported: AttributeError"),
        (("--trust", "--metric", "my_metric:constant"), 2, "is a int, and must be a function"),
        (("--trust", "--metric", "no_such_module:f"), 2, "cannot be imported: ModuleNotFoundError"),
        (("--trust", "--data", "none.npz"), 3, "no such file"),
        (("--trust", "--data", "none.csv"), 2, "give a .npz"),
    ],
)
def test_what_is_wrong_is_told_before_torch_is_imported(
    args: tuple[str, ...], code: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_imports: None
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my_metric.py").write_text(MODULE)
    found = evaluate(str(DATA / "conv_cat.pt2"), "--data", "x.npz", *args)
    assert found.exit_code == code, found.output
    assert told in found.output


@pytest.mark.torch
@pytest.mark.slow
def test_repaired_and_guarded_score_as_the_quantized_program_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_imports: None
) -> None:
    torch = pytest.importorskip("torch")
    import numpy as np

    from fuseguard.executorch.inputs import input_metas
    from fuseguard.executorch.loading import load
    from fuseguard.executorch.outputs import run_eager

    monkeypatch.chdir(tmp_path)
    Path("my_metric.py").write_text(MODULE)
    program = load(DATA / "conv_cat.pt2")
    torch.manual_seed(0)
    shapes = {name: tuple(meta.shape) for name, meta in input_metas(program).items()}
    batch = next(iter(shapes.values()))[0]
    count = 2 * batch + (1 if batch > 1 else 0)  # the last batch has to be filled up
    inputs = {name: torch.randn(count, *shape[1:]) * 2 for name, shape in shapes.items()}
    parts = []
    for start in range(0, count, batch):
        chosen = [(start + place) % count for place in range(batch)]
        parts.append(run_eager(program, [values[chosen] for values in inputs.values()])[0])
    labels = torch.cat(parts)[:count]
    np.savez("data.npz", labels=labels.numpy(), **{name: values.double().numpy() for name, values in inputs.items()})
    options = ("--trust", "--data", "data.npz", "--metric", "my_metric:score", "--float", str(DATA / "conv_cat.pt2"))
    found = evaluate(str(DATA / "conv_cat.pt2"), *options, "--output-format", "json")
    document = json.loads(found.stdout)
    jsonschema.validate(document, load_schema("evaluate"))
    scores = {one["program"]: one["score"] for one in document["programs"]}
    assert list(scores) == ["float", "quantized", "lowered", "guarded", "repaired"]
    assert scores["float"] == scores["quantized"] == 0.0, "the labels are its own outputs"
    assert scores["guarded"] == scores["repaired"] == 0.0
    assert document["samples"] == count
    lowered = next(one for one in document["programs"] if one["program"] == "lowered")
    assert (lowered["score"] == 0.0) == (lowered["outcome"] == "exact")
    import my_metric

    assert {(shape[0], number) for shape, number in my_metric.seen} == {(count, count)}
    if lowered["outcome"] == "wrong":
        limited = evaluate(str(DATA / "conv_cat.pt2"), *options, "--way", "lowered", "--max-drop", "0")
        assert limited.exit_code == 1
        assert "lowered: loses" in limited.stdout


@pytest.mark.torch
def test_top_counts_labels_among_the_largest_outputs() -> None:
    pytest.importorskip("executorch")
    import numpy as np

    from fuseguard.executorch.evaluating import top

    outputs = np.array([[0.1, 0.9, 0.5], [0.2, 0.1, 0.3], [1.0, 1.0, 0.0]])
    assert top(1)(outputs, np.array([1, 0, 0])) == pytest.approx(2 / 3)
    assert top(2)(outputs, np.array([2, 1, 1])) == pytest.approx(2 / 3)
    assert top(5)(outputs, np.array([0, 1, 2])) == 1.0


@pytest.mark.torch
@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"x": [4, 3]}, "the data have 1 of 2 inputs"),
        ({"x": [4, 3], "z": [4, 3]}, "the data have x, z"),
        ({}, "must hold labels or y"),
    ],
)
def test_data_that_do_not_fit_are_told(
    arrays: dict[str, list[int]], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("executorch")
    import numpy as np

    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", y=np.zeros(4), **{name: np.zeros(shape) for name, shape in arrays.items()})
    found = evaluate(str(DATA / "conv_cat.pt2"), "--trust", "--data", "data.npz", "--metric", "top-1")
    assert found.exit_code == 2
    assert told in found.output
