"""A failing program becomes a small one that fails the same way, and a script that shows it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

import torch  # noqa: E402

from fuseguard.executorch import LostFailure, NothingToReduce, Reduction, prove, reduce  # noqa: E402
from fuseguard.executorch.inputs import InputsError  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.executorch.reducing.failure import Judge, normalized  # noqa: E402
from fuseguard.executorch.reducing.search import smallest  # noqa: E402
from fuseguard.executorch.reducing.source import tensor_source  # noqa: E402
from fuseguard.ir.builder import GraphBuilder, int8  # noqa: E402
from fuseguard.target import Target  # noqa: E402
from fuseguard_testkit.cli_fakes import conv_relu  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "seed_issue"))
import seed_issue  # noqa: E402

INT = "TOSA-1.0+INT"
#: Where the ReLU of the seed program is dropped silently; before, it crashes or is right.
WRONG = Target.parse(INT).release_in(">=1.5")


@pytest.fixture(scope="module")
def seed() -> Reduction:
    if not WRONG:
        pytest.skip("this release lowers the seed program right")
    program, inputs = seed_issue.quantized()
    return reduce(program, inputs, INT)


def test_the_seed_program_is_reduced_to_its_own_ops(seed: Reduction) -> None:
    assert set(seed.ops) <= {"aten.conv2d.default", "aten.relu.default", "aten.cat.default"}
    assert len(seed.ops) < seed.ops_before == 4
    assert seed.proof.outcome == "wrong"
    assert seed.stopped == ""
    assert sum(value.numel() for value in seed.inputs) < 16
    (q,) = (node for node in seed.program.graph.nodes if "quantize" in str(node.target) and "relu" in str(node.args[0]))
    assert q.args[2:4] == (-111, -127), "the qparams are those of the program"


def test_its_script_builds_the_same_program(seed: Reduction) -> None:
    text = seed.script(notes=["A note."])
    assert "executorch" in text
    assert "import fuseguard" not in text
    assert "A note." in text
    built: dict[str, Any] = {"__name__": "script"}
    exec(compile(text, "script", "exec"), built)
    again = built["quantized_program"]()
    for left, right in zip(again.module()(*built["inputs"]()), seed.proof.reference, strict=True):
        assert torch.equal(left, right)
    (left,), (right,) = built["run"](built["lower"](again), built["inputs"]()), seed.proof.outputs
    assert torch.equal(left, right), "the script runs the delegate as the judge does"


@pytest.fixture(scope="module")
def crashing() -> tuple[Any, Any]:
    """sigmoid -> cumsum in int8, whose kernel becomes a float one, and an op after it that is right."""
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 2, 3), int8(0.05, 3))
    table = b.requantize(b.call("aten.sigmoid.default", x, shape=(1, 2, 3)), int8(1 / 256, -128))
    total = b.requantize(b.call("aten.cumsum.default", table, 1, shape=(1, 2, 3)), int8(0.02, -128))
    return materialize(b.output(b.requantize(b.call("aten.relu.default", total, shape=(1, 2, 3)), int8(0.02, -128))))


def test_a_crash_stays_the_same_crash(crashing: tuple[Any, Any]) -> None:
    program, inputs = crashing
    before = prove(program, inputs, INT)
    assert before.outcome == "crash", before
    found = reduce(program, inputs, INT)
    assert found.ops == ("aten.sigmoid.default", "aten.cumsum.default")
    assert normalized(found.proof.exception) == normalized(before.exception)
    assert found.failure.site
    assert "Traceback" in found.trace
    assert found.script().count("traceback.print_exc()") == 1


def test_a_right_lowering_is_nothing_to_reduce() -> None:
    program, inputs = materialize(conv_relu(-128))
    with pytest.raises(NothingToReduce, match="nothing to reduce: the lowering is exact"):
        reduce(program, inputs, INT)


def test_inputs_that_do_not_fit_and_options_that_cannot_be(crashing: tuple[Any, Any]) -> None:
    program, inputs = crashing
    with pytest.raises(InputsError):
        reduce(program, (), INT)
    with pytest.raises(ValueError, match="budget"):
        reduce(program, inputs, INT, budget=0)
    with pytest.raises(ValueError, match="gaurd"):
        reduce(program, inputs, INT, "gaurd")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="reduce: the program is"):
        reduce("model.pt2", inputs, INT)  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [KeyboardInterrupt, None])
def test_what_ends_the_search_keeps_the_best_so_far(
    crashing: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch, error: type[BaseException] | None
) -> None:
    program, inputs = crashing
    judged = Judge.fails_like
    found_one = False

    def fails_like(self: Judge, *args: Any) -> bool:
        nonlocal found_one
        if found_one and error is not None:
            raise error
        found_one = judged(self, *args)
        return found_one

    monkeypatch.setattr(Judge, "fails_like", fails_like)
    if error is None:
        found = reduce(program, inputs, INT, budget=1e-9)
        assert (found.stopped, found.tried, len(found.ops)) == ("budget", 0, found.ops_before)
    else:
        found = reduce(program, inputs, INT)
        assert found.stopped == "interrupted"
        assert len(found.ops) < found.ops_before


def test_a_failure_that_is_lost_is_an_error(crashing: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    program, inputs = crashing
    monkeypatch.setattr(Judge, "fails_like", lambda *_: False)
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 2, 3), int8(0.05, 3))
    right, _ = materialize(b.output(b.requantize(b.call("aten.relu.default", x, shape=(1, 2, 3)), int8(0.05, -128))))
    monkeypatch.setattr("fuseguard.executorch.reducing.piece.Piece.export", lambda self: right)
    with pytest.raises(LostFailure, match="exported again, the program is"):
        reduce(program, inputs, INT)


def test_ddmin_finds_what_is_needed_together() -> None:
    asked = []

    def fails(items: Any) -> bool:
        asked.append(tuple(items))
        return {"c", "f"} <= set(items)

    assert list(smallest(list("abcdefgh"), fails)) == ["c", "f"]
    assert len(asked) < 40
    assert list(smallest(list("abc"), lambda _: False)) == list("abc")


def test_messages_are_compared_without_names_and_numbers() -> None:
    one = "KeyError: node aten_add_tensor_3 has shape [1, 4, 6] at 0x7f00aa"
    other = "KeyError: node aten_add_tensor has shape [1, 2] at 0x6f11bb\nmore"
    assert normalized(one) == normalized(other)
    assert normalized(one) != normalized("KeyError: node aten_mul_tensor_3 has shape [1, 4, 6] at 0x7f00aa")


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([0.1, -1e-30, float("inf"), 3.4e38]),
        torch.tensor(2.5),
        torch.tensor([[True, False], [False, True]]),
        torch.arange(-2000, 2000, dtype=torch.int16).reshape(2, 2000),
        torch.zeros(3, 0, dtype=torch.int64),
        torch.full((2, 3), -7, dtype=torch.int8),
        torch.tensor([0.1, 1 / 3], dtype=torch.float64),
        torch.tensor([0.1, 7.0], dtype=torch.float16),
    ],
    ids=lambda tensor: f"{tensor.dtype}-{tuple(tensor.shape)}",
)
def test_a_tensor_is_written_to_the_bit(tensor: torch.Tensor) -> None:
    import base64
    import zlib

    from fuseguard.executorch.reducing.source import UNPACK

    names: dict[str, Any] = {"torch": torch, "base64": base64, "zlib": zlib}
    exec(UNPACK, names)
    again = eval(tensor_source(tensor), names)
    assert again.dtype == tensor.dtype
    assert again.shape == tensor.shape
    assert torch.equal(again, tensor)
