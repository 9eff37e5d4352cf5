"""``fuseguard prove``: consent first, then inputs, then the verdict."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fuseguard_testkit.proof_fakes import proof

Cli = Callable[..., Result]


def test_without_trust_nothing_is_loaded_and_the_message_explains(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(b"PK\x03\x04")
    monkeypatch.setattr("fuseguard.cli.prove._prove", lambda *_: pytest.fail("went on without --trust"))
    result = cli("prove", str(path))
    assert result.exit_code == 3
    assert "--trust" in result.output
    assert "runs code from the file" in result.output


def archive() -> bytes:
    """An archive that holds nothing."""
    data = io.BytesIO()
    zipfile.ZipFile(data, "w").close()
    return data.getvalue()


@pytest.mark.parametrize("command", [("prove",), ("repair", "--diff")])
@pytest.mark.parametrize(
    ("inputs", "content", "code", "told"),
    [
        ("none.npz", None, 3, "no such file"),
        ("none.pt", None, 3, "no such file"),
        ("x.csv", b"1,2", 2, "give a .npz or .pt file"),
        ("x.npz", b"no archive", 3, "not what numpy.savez writes, or cut off"),
        ("x.pt", b"no archive", 3, "not what torch.save writes, or cut off"),
        ("x.pt", b"", 3, "not what torch.save writes, or cut off"),
        ("random:x", None, 2, "the seed must be a number"),
        ("random:-1", None, 2, "the seed must be a number"),
    ],
)
def test_wrong_inputs_are_told_before_torch_is_imported(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...], inputs: str, content: bytes | None, code: int, told: str,
) -> None:  # fmt: skip
    """The imports take seven seconds."""
    monkeypatch.chdir(tmp_path)
    Path("model.pt2").write_bytes(archive())
    if content is not None:
        Path(inputs).write_bytes(content)
    for name in ("torch", "fuseguard.cli.prove_inputs", "fuseguard.executorch.loading"):
        monkeypatch.setitem(sys.modules, name, None)
    result = cli(*command, "model.pt2", "--trust", "--inputs", inputs)
    assert (result.exit_code, told in result.output) == (code, True), result.output


def test_a_file_that_is_no_program_is_told_before_torch_is_imported(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    path = tmp_path / "model.pt2"
    path.write_bytes(b"PK\x03\x04 the rest got lost")
    result = cli("prove", str(path), "--trust")
    assert (result.exit_code, "not a complete zip archive" in result.output) == (3, True)


def test_a_missing_file_exits_with_3(cli: Cli, tmp_path: Path) -> None:
    result = cli("prove", str(tmp_path / "none.pt2"), "--trust")
    assert result.exit_code == 3
    assert "no such file" in result.output


def test_a_wrong_target_is_told_before_anything_is_loaded(cli: Cli) -> None:
    assert cli("prove", "none.pt2", "--trust", "--target", "nonsense").exit_code == 2


def test_missing_extras_name_the_command_that_installs_them(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(archive())
    # None in sys.modules makes an import fail, as if it were not installed.
    for name in ("torch", "fuseguard.cli.prove_inputs", "fuseguard.executorch", "fuseguard.executorch.judge"):
        monkeypatch.setitem(sys.modules, name, None)
    result = cli("prove", str(path), "--trust")
    assert result.exit_code == 2
    assert "pip install '.[prove]'" in result.output


def test_a_proof_is_written_as_a_page_too(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every value, however the lowering turns out."""
    asked: list[Any] = []
    monkeypatch.setattr("fuseguard.cli.prove._prove", lambda *args: (asked.append(args), (proof(), None))[1])
    with zipfile.ZipFile(tmp_path / "model.pt2", "w"):
        pass
    page = tmp_path / "proof.html"
    result = cli("prove", str(tmp_path / "model.pt2"), "--trust", "--report", f"html={page}")
    assert result.exit_code == 1
    assert result.output.startswith("exact: ")
    assert '"kind":"proof"' in page.read_text()
    locate = asked[0][6]
    assert locate is True


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("sarif=x", "'sarif' is not a format. Valid is html."),
        ("page.html", "as in --report html=report.html"),
        ("html=model.pt2", "would overwrite the program"),
        ("html=batch.npz", "would overwrite what the program is run on"),
    ],
)
def test_a_wrong_report_is_refused_before_anything_is_loaded(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fuseguard.cli.prove._prove", lambda *_: pytest.fail("went on"))
    Path("model.pt2").touch()
    result = cli("prove", "model.pt2", "--trust", "--inputs", "batch.npz", "--report", value)
    assert result.exit_code == 2
    assert told in result.output


# --- with torch -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def saved(torch: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """conv -> relu whose shared qparams reach below zero, as FU101 describes, in a file."""
    pytest.importorskip("executorch.exir")
    from fuseguard.executorch.materialize import materialize
    from fuseguard_testkit.cli_fakes import conv_relu

    program, _ = materialize(conv_relu(-17))
    path = tmp_path_factory.mktemp("prove") / "wrong.pt2"
    torch.export.save(program, path)
    return path


def run(*args: str) -> Result:
    from fuseguard.cli.main import cli as group

    return CliRunner().invoke(group, ["prove", "--trust", *args], prog_name="fuseguard")


def _json(*args: str) -> tuple[int, dict[str, Any]]:
    result = run(*args, "--output-format", "json")
    text = result.stdout if hasattr(result, "stdout") else result.output
    return result.exit_code, json.loads(text[text.index("{") :])


@pytest.mark.torch
@pytest.mark.slow
def test_a_wrong_lowering_exits_with_1_and_a_guarded_one_with_0(saved: Path) -> None:
    code, document = _json(str(saved))
    assert (code, document["outcome"]) == (1, "wrong")
    assert document["mismatches"] > 0
    code, document = _json(str(saved), "--guard")
    assert (code, document["outcome"]) == (0, "exact")
    assert document["guarded"] is True
    assert document["mismatches"] == document["rounding_ties"]
    assert {c for codes in document["guard"]["refused"].values() for c in codes} == {"FU101"}


@pytest.mark.torch
@pytest.mark.slow
def test_a_float_program_adds_its_layers_to_the_table(torch: Any, saved: Path, tmp_path: Path) -> None:
    class Floats(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any, y: Any) -> Any:
            return x * 0.5 + y

    inputs = (torch.zeros(1, 4, 8, 8),) * 2
    torch.export.save(torch.export.export(Floats(), inputs), tmp_path / "float.pt2")
    result = run(str(saved), "--guard", "--float", str(tmp_path / "float.pt2"))
    assert result.exit_code == 0, result.output
    assert "eager to float" in result.output
    assert "not found in the float program: " in result.output
    torch.export.save(torch.export.export(torch.nn.ReLU(), inputs[:1]), tmp_path / "other.pt2")
    other = run(str(saved), "--float", str(tmp_path / "other.pt2"))
    assert other.exit_code == 2
    assert "takes 1: " in other.output
    assert run(str(saved), "--float", str(tmp_path / "none.pt2")).exit_code == 3


@pytest.mark.torch
@pytest.mark.slow
def test_a_program_with_state_is_run_several_times(torch: Any, tmp_path: Path) -> None:
    from fuseguard_testkit import stateful

    path = tmp_path / "state.pt2"
    torch.export.save(stateful.with_image(stateful.Delayed())[0], path)
    code, document = _json(str(path), "--calls", "1")
    assert (code, document["outcome"], document["calls"], document["call"]) == (0, "exact", 1, 0)
    code, document = _json(str(path), "--guard")
    assert (code, document["outcome"], document["calls"]) == (0, "exact", 3)
    assert run(str(path), "--calls", "0").exit_code == 2


@pytest.mark.torch
@pytest.mark.slow
def test_several_input_sets_and_the_worst_one(torch: Any, saved: Path, tmp_path: Path) -> None:
    zeros = [torch.zeros(1, 4, 8, 8)] * 2
    torch.save(zeros, tmp_path / "zeros.pt")
    code, document = _json(str(saved), "--inputs", str(tmp_path / "zeros.pt"), "--inputs", "random")
    assert (code, document["outcome"], document["inputs"]) == (1, "wrong", "random")
    assert [item["inputs"] for item in document["input_sets"]] == [str(tmp_path / "zeros.pt"), "random"]


@pytest.mark.torch
@pytest.mark.slow
def test_a_program_with_dynamic_shapes_is_judged_for_a_size(torch: Any, tmp_path: Path) -> None:
    from fuseguard_testkit.quantizing import quantize

    program = quantize(
        torch.nn.Conv2d(3, 4, 3), (torch.randn(2, 3, 6, 6),), "TOSA-1.0+INT",
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=8)},),
    )  # fmt: skip
    path = tmp_path / "dynamic.pt2"
    torch.export.save(program, path)
    code, document = _json(str(path), "--dim", "input[0]=4")
    assert (code, document["outcome"]) == (0, "exact")
    refused = run(str(path), "--dim", "batch=4")
    assert refused.exit_code == 2
    assert "no dynamic size 'batch'" in refused.output


@pytest.mark.parametrize("text", ["s77", "s77=", "=4", "s77=four", "s77=-1"])
def test_a_size_that_is_no_number_is_told_before_anything_is_loaded(text: str) -> None:
    result = run("nowhere.pt2", "--dim", text)
    assert result.exit_code == 2
    assert "such as --dim s77=4" in " ".join(result.output.split())


@pytest.mark.torch
@pytest.mark.slow
def test_inputs_come_from_files_without_pickle(torch: Any, saved: Path, tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    x, y = torch.zeros(1, 4, 8, 8), torch.zeros(1, 4, 8, 8)
    np.savez(tmp_path / "named.npz", y=y.numpy(), x=x.numpy())
    torch.save([x, y], tmp_path / "list.pt")
    from fuseguard.cli.prove_inputs import read_inputs

    program = torch.export.load(saved)
    for name in ("named.npz", "list.pt"):
        values = read_inputs(str(tmp_path / name), program)
        assert [tuple(value.shape) for value in values] == [(1, 4, 8, 8)] * 2
    first, again, other = (read_inputs(text, program) for text in ("random", "random:0", "random:1"))
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])
    assert float(first[0].min()) < -0.05 * 131 * 0.9, "random inputs do not cover the range of the input's qparams"


@pytest.mark.torch
def test_unfit_inputs_are_told_by_name(torch: Any, saved: Path, tmp_path: Path) -> None:
    import pickle

    (tmp_path / "evil.pt").write_bytes(pickle.dumps(print))
    (tmp_path / "garbage.npz").write_bytes(b"garbage")
    torch.save([torch.zeros(1)], tmp_path / "few.pt")
    torch.save([torch.zeros(1, 4, 8, 9), torch.zeros(1, 4, 8, 8)], tmp_path / "shape.pt")
    torch.save("text", tmp_path / "text.pt")
    for name, code, text in (
        ("evil.pt", 3, "cannot be read"),
        ("garbage.npz", 3, "cannot be read"),
        ("missing.npz", 3, "no such file"),
        ("text.pt", 3, "no tensor"),
        ("few.pt", 2, "holds 1 tensors, the program takes 2: x, y"),
        ("shape.pt", 2, "input 'x' must be torch.float32 of shape (1, 4, 8, 8)"),
        ("inputs.csv", 2, "give a .npz or .pt file"),
    ):
        result = run(str(saved), "--inputs", str(tmp_path / name))
        assert result.exit_code == code, (name, result.output)
        assert text in result.output, (name, result.output)
    assert run(str(saved), "--inputs", "random:x").exit_code == 2


@pytest.mark.torch
def test_what_torch_cannot_load_exits_with_3_and_no_traceback(torch: Any, tmp_path: Path) -> None:
    path = tmp_path / "garbage.pt2"
    path.write_bytes(b"garbage")
    result = run(str(path))
    assert result.exit_code == 3
    assert "not a complete zip archive" in result.output
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/version", "garbage")
    result = run(str(path))
    assert result.exit_code == 3
    assert "cannot load it" in result.output
    assert "Traceback" not in result.output
