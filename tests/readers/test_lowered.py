"""``fuseguard inspect`` and its readers: .vgf, .tosa and .pte files, whole, damaged and forged. Torch-free."""

from __future__ import annotations

import json
import random
import shutil
import struct
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from fuseguard.cli.main import cli
from fuseguard.ir.pte import PteProgram
from fuseguard.ir.tosa import TosaOp, TosaProgram
from fuseguard.ir.vgf import VgfProgram
from fuseguard.readers.budget import Budget
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.flatbuffer import MalformedBuffer
from fuseguard.readers.lowered import read_lowered
from fuseguard.readers.spirv import read_graph
from fuseguard.readers.tosa import OPERATORS
from fuseguard.readers.vgf import read_vgf
from fuseguard.schemas import load_schema
from fuseguard_testkit.paths import DATA

FILES = ("dropout.vgf", "dropout.tosa", "guarded.pte")
#: What reading any forged file may take.
SECONDS = 5.0


def inspect(*args: str) -> Result:
    return CliRunner().invoke(cli, ["inspect", *args], prog_name="fuseguard")


def test_a_vgf_tells_its_interface_its_operators_and_the_outputs_that_share_a_value() -> None:
    program = read_lowered(DATA / "dropout.vgf").program
    assert isinstance(program, VgfProgram)
    assert [(item.shape, item.format) for item in program.inputs] == [((1, 3, 8, 8), "R32_SFLOAT")]
    assert [(item.shape, item.format) for item in program.outputs] == [((1, 4, 6, 6), "R32_SFLOAT")] * 2
    assert [value.outputs for value in program.shared] == [(0, 1)]
    assert program.passed_on == ()
    assert program.segments == {"graph": 1}


def test_a_vgf_has_the_operators_of_the_tosa_that_it_was_made_of_but_for_identities() -> None:
    tosa, vgf = (read_lowered(DATA / name).program for name in ("dropout.tosa", "dropout.vgf"))
    assert isinstance(tosa, TosaProgram)
    assert isinstance(vgf, VgfProgram)
    expected = {op.kind for op in tosa.ops} - {"CONST", "CONST_SHAPE", "IDENTITY"}
    assert vgf.ops.keys() == expected
    assert tosa.same_outputs == ((0, 1),)


def test_a_guarded_program_tells_its_delegates_and_what_is_left_to_the_cpu() -> None:
    program = read_lowered(DATA / "guarded.pte").program
    assert isinstance(program, PteProgram)
    [method] = program.methods
    assert method.name == "forward"
    assert [(item.dtype, item.shape) for item in method.inputs] == [("float32", (1, 3, 8, 8))]
    assert [(item.dtype, item.shape) for item in method.outputs] == [("float32", (1, 4, 6, 6))] * 2
    assert [item.dim_order for item in (*method.inputs, *method.outputs)] == [(0, 1, 2, 3)] * 3
    assert [item.qparams is None for item in (*method.inputs, *method.outputs)] == [True, False, False]
    qparams = method.outputs[0].qparams
    assert qparams is not None
    assert (qparams.dtype, qparams.zero_point, qparams.qmin, qparams.qmax) == ("int8", 1, -128, 127)
    assert {delegate.backend for delegate in method.delegates} == {"VgfBackend"}
    assert all(delegate.vgf is not None and not delegate.vgf.shared for delegate in method.delegates)
    assert method.calls == len(method.delegates)


@pytest.mark.parametrize("name", FILES)
def test_inspect_prints_text_and_valid_json(name: str) -> None:
    result = inspect(str(DATA / name))
    assert result.exit_code == 0, result.output
    document = json.loads(inspect(str(DATA / name), "--output-format", "json").output)
    jsonschema.Draft202012Validator(load_schema("inspect")).validate(document)
    assert document["kind"] == name.rpartition(".")[2]
    assert document["size"] == (DATA / name).stat().st_size


def test_an_exported_program_tells_its_interface() -> None:
    path = str(DATA / "conv_cat.pt2")
    text = inspect(path).output
    assert "input 0     float32 [1, 2, 4, 4], contiguous, x; quantized to int8, scale 0.0037" in text
    assert "dequantized from int8" in text
    document = json.loads(inspect(path, "--output-format", "json").output)
    jsonschema.Draft202012Validator(load_schema("inspect")).validate(document)
    assert document["kind"] == "exported"
    [output] = document["exported"]["outputs"]
    assert (output["layout"], output["zero_point"], output["quant_max"]) == ("contiguous", -110, 127)


@pytest.mark.parametrize("name", FILES)
def test_the_json_has_the_layout_of_every_input_and_output(name: str) -> None:
    document = json.loads(inspect(str(DATA / name), "--output-format", "json").output)
    kind = document["kind"]
    parts = document["pte"]["methods"] if kind == "pte" else [document[kind]]
    parts += [item["vgf"] for part in parts for item in part.get("delegates", ())]
    values = [item for part in parts for item in (*part["inputs"], *part["outputs"])]
    assert values
    assert all(item["layout"] == "contiguous" for item in values)
    if kind == "pte":
        assert [item["zero_point"] for item in parts[0]["outputs"]] == [1, 1]


def test_shared_outputs_are_warned_about() -> None:
    text = inspect(str(DATA / "dropout.vgf")).output
    assert "warning: outputs 0, 1 are one value in the compiled graph" in text
    assert "note: outputs 0, 1 are one value but for IDENTITY" in inspect(str(DATA / "dropout.tosa")).output


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has 0 bytes"),
        (b"PK\x03\x04" + bytes(60), "zip"),
        (b"some text that is not a program at all", "is neither of an ExecuTorch program"),
        (b"VGF1" + bytes(8), "damaged, cut off or forged"),
        (bytes(4) + b"TOSA" + bytes(60), "damaged, cut off or forged"),
        (bytes(4) + b"ET12" + bytes(60), "damaged, cut off or forged"),
    ],
)
def test_another_file_is_refused_with_one_error_and_exit_code_3(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "file.vgf"
    path.write_bytes(content)
    result = inspect(str(path))
    assert result.exit_code == 3, result.output
    assert said in result.output
    assert len(result.output) < 1000


def test_a_folder_and_a_file_that_is_not_there_are_refused(tmp_path: Path) -> None:
    assert inspect(str(tmp_path)).exit_code == 3
    assert inspect(str(tmp_path / "none.vgf")).exit_code == 3


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_cut_off_or_damaged_is_read_or_refused_and_nothing_else(tmp_path: Path, name: str) -> None:
    whole = (DATA / name).read_bytes()
    draw = random.Random(name)
    path = tmp_path / name
    started = time.process_time()
    refused: list[str] = []
    for number in range(300):
        data = bytearray(whole)
        if number % 3 == 0:
            del data[draw.randrange(len(data)) :]
        for _ in range(number % 3 * 4):
            at = draw.randrange(len(data))
            data[at : at + 4] = draw.choice((b"\xff\xff\xff\xff", b"\0\0\0\x80", draw.randbytes(4)))[: len(data) - at]
        path.write_bytes(data)
        try:
            read = read_lowered(path)
        except UnreadableInput as error:
            refused.append(str(error))
        else:
            assert read.size == len(data)
    assert 0 < len(refused) < 300
    assert max(map(len, refused)) < 1000
    assert time.process_time() - started < SECONDS


def test_names_in_a_file_cannot_write_to_a_terminal_or_command_a_runner(tmp_path: Path) -> None:
    data = (DATA / "dropout.tosa").read_bytes()
    program = read_lowered(DATA / "dropout.tosa").program
    assert isinstance(program, TosaProgram)
    name = program.outputs[0].encode()
    assert len(name) > 8
    path = tmp_path / "forged.tosa"
    path.write_bytes(data.replace(name, b"\x1b[2J::error".ljust(len(name), b"x")))
    text = inspect(str(path)).output
    assert "\\x1b[2J" in text
    assert "\x1b" not in text


def test_tensors_of_a_forged_graph_may_be_identities_of_each_other() -> None:
    ops = (TosaOp("IDENTITY", ("a",), ("b",)), TosaOp("IDENTITY", ("b",), ("a",)))
    assert TosaProgram((1, 0), ops, outputs=("a", "b")).same_outputs in ((), ((0, 1),))


# --- SPIR-V -------------------------------------------------------------------------------------------------


def _instruction(op: int, *operands: int) -> list[int]:
    return [(len(operands) + 1) << 16 | op, *operands]


def _text(text: str) -> list[int]:
    data = text.encode() + b"\0"
    data += bytes(-len(data) % 4)
    return list(struct.unpack(f"<{len(data) // 4}I", data))


def _module(*outputs: int) -> list[int]:
    """A graph with the input 20 and one TOSA op, ABS, of result 30, that sets these ids as outputs."""
    variables = [100 + number for number in range(len(outputs) + 1)]
    return [
        0x07230203, 0x00010600, 0, 1000, 0,
        *_instruction(11, 1, *_text("TOSA.001000.1")),
        *_instruction(4182, 2, *_text("main"), *variables),
        *[word for number, name in enumerate(variables) for word in _instruction(71, name, 33, 7 + number)],
        *[word for number in range(len(outputs)) for word in _instruction(43, 3, 50 + number, number)],
        *_instruction(4183, 4, 2),
        *_instruction(4184, 5, 20, 50),
        *_instruction(12, 5, 30, 1, OPERATORS.index("ABS") - 1, 20),
        *[word for number, value in enumerate(outputs) for word in _instruction(4185, value, 50 + number)],
        *_instruction(4186),
    ]  # fmt: skip


def test_outputs_of_a_graph_are_known_by_their_binding() -> None:
    graph = read_graph(_module(30, 20, 30))
    assert graph.inputs == {7: 20}
    assert graph.outputs == {8: 30, 9: 20, 10: 30}
    assert graph.ops == {"ABS": 1}


@pytest.mark.parametrize("words", [[], [1, 2, 3, 4, 5], [0x07230203, 0, 0, 0, 0, 0], [0x07230203, 0, 0, 0, 0, 9 << 16]])
def test_words_that_are_no_module_are_refused(words: list[int]) -> None:
    with pytest.raises(MalformedBuffer):
        read_graph(words)


def test_a_string_without_an_end_is_refused() -> None:
    with pytest.raises(MalformedBuffer, match="no end"):
        read_graph([*_module(30)[:5], *_instruction(11, 1, *[0x41414141] * 3)])


# --- against Arm's own reader -------------------------------------------------------------------------------


def test_the_interface_is_what_vgf_dump_says(tmp_path: Path) -> None:
    spec = find_spec("vgf_lib")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("ai-ml-sdk-vgf-library is not installed")
    dump = Path(spec.submodule_search_locations[0], "binaries/bin/vgf_dump")
    copied = shutil.copy(DATA / "dropout.vgf", tmp_path)
    told = json.loads(subprocess.run([dump, "-i", copied], capture_output=True, text=True, check=True).stdout)
    resources = {item["index"]: item for item in told["resources"]}
    program = read_vgf((DATA / "dropout.vgf").read_bytes(), Budget())
    for which, ours in (("inputs", program.inputs), ("outputs", program.outputs)):
        slots = sorted(told["model_sequence"][which], key=lambda slot: slot["index"])
        theirs = [
            (slot["binding"], tuple(resources[slot["mrt_index"]]["shape"]), resources[slot["mrt_index"]]["vk_format"],
             resources[slot["mrt_index"]]["stride"])
            for slot in slots
        ]
        assert theirs == [(item.binding, item.shape, f"VK_FORMAT_{item.format}", []) for item in ours]
        assert all(item.dim_order == tuple(range(len(item.shape))) for item in ours)
