"""The manifest of a sweep: what it may say, and errors that name the line, the key and what is valid.

Protects: a sweep that leaves out models because of a misspelt key.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from fuseguard.gate.config_file import ConfigError
from fuseguard.sweep.manifest import load_manifest
from fuseguard_testkit.sweeping import manifest, models

WHOLE = """
steps = ["repair", "check"]
targets = ["TOSA-1.0+INT", "vgf"]
releases = ["1.5.1", "1.4.1"]
python = "envs/{release}/bin/python"
store = "results/all.sqlite"
seconds = 30
memory-mib = 4096
policy = "measured"
fail-on = "warning"

[[models]]
files = ["models/*.pt2"]

[[models]]
files = "models/m0001.pt2"
steps = ["prove"]
inputs = ["random:1", "x.npz"]
dims = { s0 = 4 }
"""


def _load(folder: Path, text: str) -> object:
    models(folder, 2)
    (folder / "x.npz").touch()
    (folder / "sweep.toml").write_text(text)
    return load_manifest(folder / "sweep.toml")


def test_everything_that_it_may_say(tmp_path: Path) -> None:
    models(tmp_path, 2)
    (tmp_path / "x.npz").touch()
    (tmp_path / "sweep.toml").write_text(WHOLE)
    read = load_manifest(tmp_path / "sweep.toml")
    first, second = read.models
    assert first.files == ("models/m0000.pt2", "models/m0001.pt2")
    assert (first.steps, first.inputs) == (("check", "repair"), ("random",))
    assert (second.steps, second.inputs, second.dims) == (("prove",), ("random:1", "x.npz"), ("s0=4",))
    assert read.steps == ("check", "prove", "repair")
    assert read.pythons["1.4.1"] == str(tmp_path / "envs/1.4.1/bin/python")
    assert read.store == tmp_path / "results/all.sqlite"
    assert (read.seconds, read.memory_mib, read.policy, read.fail_on) == (30.0, 4096, "measured", "warning")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seconds = 30", "second = 30", r":7: second: no such key. Did you mean 'seconds'\? Valid are models, targets"),
        ("dims = {", "dim = {", r": models\[2\].dim: no such key. Did you mean 'dims'\? Valid are files, inputs"),
        ('"repair", ', '"repare", ', r":2: steps\[1\]: 'repare' is not valid. .* Valid are check, prove, guard"),
        ("seconds = 30", 'seconds = "30"', r":7: seconds: expected a number, got a string"),
        ("seconds = 30", "seconds = 0", r":7: seconds: 0 is not valid"),
        ("memory-mib = 4096", "memory-mib = 0", r"memory-mib: 0 is not valid"),
        ('"vgf"', '"vgff"', r":3: targets\[2\]: .*vgff"),
        ('"1.4.1"]', '"newest"]', r":4: releases\[2\]: "),
        ("envs/{release}", "envs", r"python: has no {release}, and there are 2 releases"),
        ('policy = "measured"', 'policy = "strict"', r"policy: 'strict' is not valid. .*consistent"),
        ('["models/*.pt2"]', '["model/*.pt2"]', r"models\[1\].files\[1\]: no file matches 'model/\*.pt2'"),
        ('"x.npz"', '"y.npz"', r"models\[2\].inputs\[2\]: there is no file 'y.npz'"),
        ('steps = ["prove"]', "steps = []", r"models\[2\].steps: is empty"),
        ('targets = ["TOSA-1.0+INT", "vgf"]', "", r"targets: is missing or empty"),
        ("[[models]]", "[[modules]]", r"modules: no such key. Did you mean 'models'"),
        ("fail-on", "= fail-on", r"not TOML"),
        ('policy = "measured"', 'config = "none.toml"', r"config: there is no file 'none.toml'"),
    ],
)
def test_an_error_names_the_place_and_what_is_valid(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in WHOLE
    with pytest.raises(ConfigError, match=told) as raised:
        _load(tmp_path, WHOLE.replace(old, new))
    assert str(raised.value).startswith(str(tmp_path)) or "sweep.toml" in str(raised.value)


def test_there_has_to_be_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the manifest: No such file"):
        load_manifest(tmp_path / "none.toml")


def test_a_pattern_may_lead_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    models(tmp_path, 1)
    path = manifest(tmp_path / "inside")
    path.write_text(path.read_text().replace("models/*", "../models/*"))
    assert load_manifest(path).models[0].files == ("../models/m0000.pt2",)
