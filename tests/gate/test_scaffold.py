"""What ``fuseguard init`` finds out about a repository, and the files that it writes: valid, and nothing lost."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fuseguard.engine.registry import load_registry
from fuseguard.gate import discovery, scaffold
from fuseguard.gate.config import load_config
from fuseguard.gate.discovery import DEFAULT_GLOB, Found, Source, discover, globs_of, parse_source
from fuseguard.target import MEASURED_RELEASES
from fuseguard_testkit.paths import DATA, ROOT

yaml = pytest.importorskip("yaml")
SOURCE = Source("https://github.com/acme/fuseguard", "v1.0")


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program, one that git ignores, and a script that lowers."""
    monkeypatch.setattr(discovery, "installed_from", lambda: None)
    git(tmp_path, "init", "-q", "-b", "trunk")
    git(tmp_path, "remote", "add", "origin", "https://me:secret@github.com/acme/models.git")
    (tmp_path / "models").mkdir()
    (tmp_path / "out").mkdir()
    shutil.copy(DATA / "conv_cat.pt2", tmp_path / "models" / "a.pt2")
    shutil.copy(DATA / "conv_cat.pt2", tmp_path / "out" / "b.pt2")
    (tmp_path / ".gitignore").write_text("out/\n")
    (tmp_path / ".gitattributes").write_text("*.pt2 filter=lfs diff=lfs merge=lfs -text\n")
    (tmp_path / "lower.py").write_text('spec = EthosUCompileSpec(\n    "ethos-u85-256")\nother = VgfCompileSpec()\n')
    (tmp_path / "requirements.txt").write_text("torch\nexecutorch==1.4.1\n")
    return tmp_path


def test_what_can_be_found_out_is_found_out(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "version_of", lambda name: "")
    found = discover(repository / "models")
    assert found.root == repository
    assert found.programs == ("models/a.pt2",)
    assert (found.release, found.release_from) == ("1.4.1", "requirements.txt")
    assert found.targets == ("ethos-u85-256", "vgf")
    assert (found.branch, found.host, found.lfs) == ("trunk", "github.com", True)
    assert found.globs == ("models/*.pt2",)


def test_the_installed_release_is_the_one_that_counts(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "version_of", lambda name: "1.3.1")
    found = discover(repository)
    assert (found.release, found.release_from) == ("1.3.1", "installed")


def test_without_git_hidden_folders_and_environments_are_left_out(tmp_path: Path) -> None:
    for name in ("a.pt2", ".cache/b.pt2", "venv/pyvenv.cfg", "venv/c.pt2", "node_modules/d.pt2"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    found = discover(tmp_path)
    assert found.programs == ("a.pt2",)
    assert (found.branch, found.host, found.lfs) == ("main", "", False)


@pytest.mark.parametrize(
    ("programs", "globs"),
    [
        ([], ()),
        (["a.pt2", "b.pt2"], ("*.pt2",)),
        (["m/a.pt2", "m/b.etrecord", "n/c.pt2"], ("m/*.pt2", "m/*.etrecord", "n/*.pt2")),
        (["my models/a.pt2"], ("**/*.pt2",)),
        (["m$(x)/a.pt2"], ("**/*.pt2",)),
        ([f"m{number}/a.pt2" for number in range(9)], ("**/*.pt2",)),
    ],
)
def test_globs(programs: list[str], globs: tuple[str, ...]) -> None:
    """The action splits them at blanks, and a shell expands them."""
    assert globs_of(programs) == globs


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"url": "https://host/a/b.git", "vcs_info": {"commit_id": "123"}}, ("https://host/a/b.git", "123")),
        ({"url": "https://me:pw@host/a/b", "vcs_info": {"commit_id": "123"}}, ("https://host/a/b", "123")),
        ({"url": "ssh://git@github.com/a/b", "vcs_info": {"commit_id": "1"}}, ("https://github.com/a/b", "1")),
        ({"url": "file:///nowhere", "dir_info": {"editable": True}}, None),
        ({"url": 3}, None),
        ([], None),
        (None, None),
    ],
)
def test_where_fuseguard_is_from(record: Any, expected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Distribution:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return None if record is None else json.dumps(record)

    monkeypatch.setattr(discovery.metadata, "distribution", lambda name: Distribution())
    source = discovery.installed_from()
    assert (source and (source.url, source.revision)) == expected


def test_sources_that_are_given() -> None:
    assert parse_source("acme/fuseguard@v1").on_github == "acme/fuseguard"
    assert parse_source("https://gitlab.com/acme/tools/fuseguard@v1").on_github == ""
    for wrong in ("acme/fuseguard", "fuseguard@v1", "acme/fuseguard@v1; x", "http://x/y@v1", "@"):
        with pytest.raises(ValueError, match="OWNER/NAME@REVISION"):
            parse_source(wrong)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("before", ["", "[project]\nname = 'x'\n", "[tool.ruff]\nline-length = 100", "# nothing\n"])
def test_a_configuration_is_added_after_what_is_there(before: str, newline: str, tmp_path: Path) -> None:
    before = before.replace("\n", newline)
    change = scaffold.configuration(Found(tmp_path, release="1.4.1"), ["vgf", "ethos-u85"], "known.json", before, None)
    assert change.content is not None
    assert change.content.startswith(before)
    (tmp_path / "pyproject.toml").write_text(change.content, newline="")
    config = load_config(tmp_path / "pyproject.toml", load_registry())
    assert (config.targets, config.releases) == (("vgf", "ethos-u85"), ("1.4.1",))
    assert config.baseline == tmp_path / "known.json"
    assert config.require_quantized
    again = scaffold.configuration(Found(tmp_path), [], "known.json", change.content, None)
    assert (again.content, again.note) == (None, "has a configuration already")


def test_a_configuration_that_cannot_be_added_is_told(tmp_path: Path) -> None:
    found = Found(tmp_path)
    for text in ("tool = { ruff = {} }\n", "not toml"):
        change = scaffold.configuration(found, [], "", text, None)
        assert change.content is None
        assert "[tool.fuseguard]" in change.note
    kept = scaffold.configuration(found, [], "known.json", None, "target = 'vgf'\n")
    assert (kept.path, kept.content) == ("fuseguard.toml", None)
    assert 'baseline = "known.json"' in kept.note
    new = scaffold.configuration(found, [], "", None, None)
    assert (new.path, new.content) == (
        "fuseguard.toml", f'executorch = "{MEASURED_RELEASES[-1]}"\nrequire-quantized = true\n'
    )  # fmt: skip


OTHERS = "repos:\n- repo: https://a/b\n  rev: v1\n  hooks:\n  - id: x\n"


@pytest.mark.parametrize("source", [SOURCE, None])
@pytest.mark.parametrize(
    "before",
    [
        OTHERS,
        OTHERS.removesuffix("\n"),
        f"default_stages: [commit]\n{OTHERS}\n# the end\n",
        "repos:   # ours\n    - repo: https://a/b\n      rev: v1\n      hooks:\n      - id: x\n",
    ],
)
def test_a_hook_is_added_after_what_is_there(before: str, source: Source | None) -> None:
    change = scaffold.hooks(source, before)
    assert change.content is not None
    assert change.content.startswith(before)
    old, new = yaml.safe_load(before), yaml.safe_load(change.content)
    assert new["repos"][:-1] == old["repos"]
    assert new["repos"][-1]["hooks"][0]["id"] == "fuseguard"
    assert {key: value for key, value in new.items() if key != "repos"} == {
        key: value for key, value in old.items() if key != "repos"
    }
    assert scaffold.hooks(source, change.content).content is None


@pytest.mark.parametrize("before", ["repos: []\n", "exclude: x\n", f"{OTHERS}exclude: x\n", f"{OTHERS}---\n", ""])
def test_a_hook_that_cannot_be_added_is_told(before: str) -> None:
    change = scaffold.hooks(SOURCE, before)
    assert change.content is None
    assert "id: fuseguard" in change.note


def test_the_local_hook_is_the_one_of_this_repository() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    (own,) = [item for item in hooks if item["id"] == "fuseguard"]
    change = scaffold.hooks(None, None)
    assert change.content is not None
    [repo] = yaml.safe_load(change.content)["repos"]
    [hook] = repo["hooks"]
    assert repo["repo"] == "local"
    assert hook == {**{key: own[key] for key in hook}, "language": "system"}


def test_the_workflow_uses_the_action_as_the_example_does(tmp_path: Path) -> None:
    example = yaml.safe_load((ROOT / "examples" / "ci" / "github-actions.yml").read_text())
    inputs = yaml.safe_load((ROOT / "action.yml").read_text())["inputs"]
    found = Found(tmp_path, ("models/a.pt2", "models/b.etrecord"), branch="on", lfs=True)
    change = scaffold.workflow(found, SOURCE, ())
    assert change.content is not None
    made = yaml.safe_load(change.content)
    steps, wanted = (item["jobs"]["fuseguard"]["steps"] for item in (made, example))
    assert made["permissions"] == example["permissions"]
    assert made[True]["push"]["branches"] == ["on"]
    assert steps[0] == wanted[0]
    assert steps[1] == {"uses": "acme/fuseguard@v1.0", "with": {"files": "models/*.pt2 models/*.etrecord"}}
    assert set(steps[1]["with"]) <= set(inputs)


def test_a_workflow_is_not_written_where_it_would_not_work(tmp_path: Path) -> None:
    found = Found(tmp_path)
    assert found.globs == (DEFAULT_GLOB,)
    for change in (
        scaffold.workflow(found, None, ()),
        scaffold.workflow(found, Source("https://gitlab.com/a/b", "v1"), ()),
        scaffold.workflow(Found(tmp_path, host="gitlab.com"), SOURCE, ()),
        scaffold.workflow(found, SOURCE, [(".github/workflows/ci.yml", "run: fuseguard check x")]),
    ):
        assert change.content is None
        assert change.note
