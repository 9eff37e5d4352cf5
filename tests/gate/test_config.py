"""The configuration: which one holds, what it says, and that what is wrong with it is told with file, line and key."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from fuseguard.engine import Registry, Severity
from fuseguard.engine.finding import SuppressionKind
from fuseguard.gate.config import ConfigError, _Suppression, _Table, find_config, load_config, nearest_config
from fuseguard.target import MEASURED_RELEASES
from fuseguard_testkit.paths import ROOT

FULL = """
[project]
name = "mine"

[tool.fuseguard]
target = ["TOSA-1.0+INT", "vgf"]
executorch = "1.5.1"
policy = "measured"
select = ["FU", "fused-activation-out-of-range"]
ignore = ["FU103"]
fail-on = "warning"
baseline = "known.json"

[tool.fuseguard.severity]
FU102 = "note"

[[tool.fuseguard.suppressions]]
rule = "fused-activation-out-of-range"
module = "features.*"
kind = "fixme"
until = 2030-12-31
reason = "retrained next quarter"
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(path: str, text: str) -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


# --- which one --------------------------------------------------------------------------------------------


def test_the_nearest_one_upwards_holds() -> None:
    write("pyproject.toml", '[tool.fuseguard]\npolicy = "measured"\n')
    Path("a/b").mkdir(parents=True)
    assert find_config(Path("a/b")) == Path("pyproject.toml").absolute()
    write("a/fuseguard.toml", "")
    assert find_config(Path("a/b")) == Path("a/fuseguard.toml").absolute()


def test_a_fuseguard_toml_goes_before_a_pyproject_toml_beside_it() -> None:
    write("pyproject.toml", "[tool.fuseguard]\n")
    write("fuseguard.toml", "")
    assert find_config(Path()) == Path("fuseguard.toml").absolute()


@pytest.mark.parametrize("text", ["[project]\nname = 'x'\n", "[tool.other]\nwhy = 'not for fuseguard'\n", "not [toml"])
def test_a_pyproject_toml_that_is_not_about_fuseguard_is_passed_by(text: str) -> None:
    write("fuseguard.toml", "")
    write("a/pyproject.toml", text)
    assert find_config(Path("a")) == Path("fuseguard.toml").absolute()


def test_no_configuration_says_nothing(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuseguard.gate.config.NAMES", ("there-is-none.toml",))
    config = nearest_config(Path(), registry)
    assert (config.files, config.targets, config.suppressions) == ((), None, ())


# --- what it says -----------------------------------------------------------------------------------------


def test_every_key_arrives(registry: Registry) -> None:
    config = load_config(write("sub/pyproject.toml", FULL), registry)
    assert config.files == (Path("sub/pyproject.toml"),)
    assert config.targets == ("TOSA-1.0+INT", "vgf")
    assert config.releases == ("1.5.1",)
    assert config.policy == "measured"
    assert config.select == ("FU", "fused-activation-out-of-range")
    assert config.ignore == ("FU103",)
    assert config.severities == {"FU102": Severity.NOTE}
    assert config.fail_on is Severity.WARNING
    assert config.baseline == Path("sub/known.json"), "a path is from the folder of the file that it is in"
    (rule,) = config.suppressions
    assert (rule.rule, rule.module, rule.kind) == ("FU101", "features.*", SuppressionKind.FIXME)
    assert (rule.until, rule.reason) == (date(2030, 12, 31), "retrained next quarter")
    assert rule.origin is not None
    assert str(rule.origin) == "sub/pyproject.toml:18"
    assert rule.origin.code == 'rule = "fused-activation-out-of-range"'


def test_the_same_without_prefix_in_a_fuseguard_toml(registry: Registry) -> None:
    text = FULL.replace("[tool.fuseguard]", "").replace('[project]\nname = "mine"', "").replace("tool.fuseguard.", "")
    config = load_config(write("fuseguard.toml", text), registry)
    assert (config.targets, config.fail_on) == (("TOSA-1.0+INT", "vgf"), Severity.WARNING)
    assert len(config.suppressions) == 1


def test_extend_takes_over_what_is_not_said_and_adds_up_severities_and_suppressions(registry: Registry) -> None:
    suppression = '[[suppressions]]\nrule = "{}"\nnode = "{}"\nreason = "r"\n'
    write(
        "shared/base.toml",
        'policy = "measured"\nselect = ["FU"]\nbaseline = "b.json"\nseverity = {FU101 = "note", FU102 = "note"}\n'
        + suppression.format("FU101", "a"),
    )
    write("other.toml", 'fail-on = "note"\n')
    path = write(
        "fuseguard.toml",
        'extend = ["shared/base.toml", "other.toml"]\nselect = ["QD"]\nseverity = {FU101 = "error"}\n'
        + suppression.format("FU102", "b"),
    )
    config = load_config(path, registry)
    assert (config.policy, config.select, config.fail_on) == ("measured", ("QD",), Severity.NOTE)
    assert config.baseline is not None
    assert config.baseline.resolve() == Path("shared/b.json").resolve()
    assert config.severities == {"FU101": Severity.ERROR, "FU102": Severity.NOTE}
    assert [(rule.rule, rule.node) for rule in config.suppressions] == [("FU101", "a"), ("FU102", "b")]
    assert [file.name for file in config.files] == ["base.toml", "other.toml", "fuseguard.toml"]


# --- what is wrong ----------------------------------------------------------------------------------------

GOOD = '[[suppressions]]\nrule = "FU101"\nnode = "conv"\nreason = "fine"\n'


@pytest.mark.parametrize(
    ("text", "line", "key", "said"),
    [
        ('\ntaget = "vgf"', 2, "taget", "Did you mean 'target'?"),
        ('fail_on = "error"', 1, "fail_on", "Did you mean 'fail-on'?"),
        ('target = "ethos-u55-129"', 1, "target[1]", "Did you mean 'ethos-u55-128'?"),
        ('target = [\n "vgf",\n "vfg"]', 1, "target[2]", "Did you mean 'vgf'?"),
        ("target = []", 1, "target", "is empty"),
        ("select = []", 1, "select", "is empty"),
        ("target = 3", 1, "target", "expected a string or a list, got a number"),
        ("executorch = 1.5", 1, "executorch", "got a number; put it in quotes"),
        ('executorch = "1.0"', 1, "executorch[1]", ", ".join(MEASURED_RELEASES)),
        ('policy = "measure"', 1, "policy", "Did you mean 'measured'?"),
        ('fail-on = "warn"', 1, "fail-on", "Did you mean 'warning'?"),
        ('select = "FU"', 1, "select", "expected a list, got a string."),
        ('select = ["FU111"]', 1, "select[1]", "Did you mean 'FU101'?"),
        ('ignore = ["FU", "XX"]', 1, "ignore[2]", "matches no rule"),
        ('[severity]\nFU101 = "note"\nFU999 = "note"', 3, "severity.FU999", "matches no rule"),
        ('[severity]\n\nFU101 = "fatal"', 3, "severity.FU101", "Valid are error, warning, note"),
        ('extend = "there-is-none.toml"', 1, "extend[1]", "there is no file"),
        ("[suppressions]\nrule = 1", 1, "suppressions", "expected a list, got a table"),
        ('severity = "error"', 1, "severity", "expected a table, got a string"),
        (GOOD + '[[suppressions]]\nrule = "FU101"\nnode = "x"', 5, "suppressions[2].reason", "has no reason"),
        (GOOD + 'reson = "x"', 5, "suppressions[1].reson", "Did you mean 'reason'?"),
        (GOOD + 'until = "soon"', 5, "suppressions[1].until", "write it like 2027-06-30"),
        (GOOD + "until = 2030-01-01T10:00:00", 5, "suppressions[1].until", "expected a date, got a date with a time"),
        (GOOD + 'kind = "todo"', 5, "suppressions[1].kind", "Valid are ignore, fixme"),
        (GOOD.replace("FU101", "FU"), 2, "suppressions[1].rule", "a suppression names one"),
        (GOOD.replace("FU101", "SU001"), 2, "suppressions[1].rule", "cannot be suppressed"),
        (GOOD.replace("FU101", "FU1001"), 2, "suppressions[1].rule", "Did you mean 'FU101'?"),
        (GOOD.replace('rule = "FU101"\n', ""), 1, "suppressions[1].rule", "names no rule"),
        (GOOD.replace('node = "conv"\n', ""), 2, "suppressions[1].rule", "has no scope"),
        (GOOD.replace('"conv"', '"*"'), 3, "suppressions[1].node", "matches everything"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_key(
    registry: Registry, text: str, line: int, key: str, said: str
) -> None:
    for file, prefix in (("fuseguard.toml", ""), ("pyproject.toml", "tool.fuseguard.")):
        shift = 0
        if prefix:
            text = "[project]\n[tool.fuseguard]\n" + re.sub(r"(?m)^(\[+)", r"\1tool.fuseguard.", text)
            shift = 2
        with pytest.raises(ConfigError) as caught:
            load_config(write(f"sub/{file}", text), registry)
        message = str(caught.value)
        assert message.startswith(f"sub/{file}:{line + shift}: {prefix}{key}: "), message
        assert said in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a = 1\nb = [", "fuseguard.toml:2:"),
        (b"a = 1\na = 2\n", "fuseguard.toml:2:"),
        (b"a = 1\nb = '\xff'\n", "fuseguard.toml:2: not UTF-8"),
        (b"a = " + b"[" * 100_000, "fuseguard.toml"),
    ],
)
def test_what_is_no_toml_is_told_with_its_place(registry: Registry, content: bytes, said: str) -> None:
    Path("fuseguard.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        load_config(Path("fuseguard.toml"), registry)


def test_the_byte_order_mark_and_the_line_ends_of_windows_are_no_fault(registry: Registry) -> None:
    Path("fuseguard.toml").write_bytes(b'\xef\xbb\xbfpolicy = "measured"\r\n\r\n[severity]\r\nFU = "note"\r\n')
    config = load_config(Path("fuseguard.toml"), registry)
    assert (config.policy, config.severities) == ("measured", {"FU": Severity.NOTE})
    Path("fuseguard.toml").write_bytes(b'\xef\xbb\xbfpolicy = "measured"\r\nplicy = 1\r\n')
    with pytest.raises(ConfigError, match=r"^fuseguard.toml:2: plicy: "):
        load_config(Path("fuseguard.toml"), registry)


def test_the_prefix_of_a_pyproject_toml_in_a_fuseguard_toml_is_told_as_such(registry: Registry) -> None:
    for text in ('[tool.fuseguard]\ntarget = "vgf"', "[tool.fuseguard.severity]\nFU = 'note'"):
        with pytest.raises(ConfigError, match=r"^fuseguard.toml:1: tool: .* have no \[tool.fuseguard\]"):
            load_config(write("fuseguard.toml", text), registry)


def test_a_file_that_extends_itself_is_refused_with_the_way_round(registry: Registry) -> None:
    write("a.toml", 'extend = "b.toml"')
    write("b.toml", '\nextend = "a.toml"')
    with pytest.raises(ConfigError, match=r"^b.toml:2: extend\[1\]: 'a.toml' leads back to a.toml"):
        load_config(Path("a.toml"), registry)


def test_a_mistake_in_what_is_extended_names_that_file(registry: Registry) -> None:
    write("base.toml", "\n\nplicy = 1")
    path = write("fuseguard.toml", 'extend = "base.toml"')
    with pytest.raises(ConfigError, match=r"^base.toml:3: plicy: no such key. Did you mean 'policy'"):
        load_config(path, registry)


def test_a_missing_file_and_a_missing_table_are_told(registry: Registry) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot read the configuration: No such file"):
        load_config(Path("none.toml"), registry)
    with pytest.raises(ConfigError, match=r"has no \[tool.fuseguard\]"):
        load_config(write("pyproject.toml", "[project]\n"), registry)
    with pytest.raises(ConfigError, match=r"pyproject.toml:2: tool.fuseguard: has to be a table"):
        load_config(write("pyproject.toml", "[tool]\nfuseguard = 1\n"), registry)


# --- its documentation ------------------------------------------------------------------------------------

DOCS = ROOT / "docs"


def test_every_key_is_in_the_documentation() -> None:
    text = (DOCS / "configuration.md").read_text()
    for struct in (_Table, _Suppression):
        for key in struct.__struct_encode_fields__:
            assert f"| `{key}`" in text or f", `{key}` |" in text, key


@pytest.mark.parametrize("page", ["configuration.md", "ci-gate.md"])
def test_every_configuration_in_the_documentation_is_valid(registry: Registry, page: str) -> None:
    examples = re.findall(r"^```toml\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    assert examples
    for text in examples:
        load_config(
            write("pyproject.toml", text if "[tool.fuseguard]" in text else f"[tool.fuseguard]\n{text}"), registry
        )
