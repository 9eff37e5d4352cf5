""".pre-commit-hooks.yaml, tried with pre-commit itself: it must find fault with a wrong program in a git repository.

The hook's repository is a clone of what is committed and changed in this checkout, as pre-commit would get it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fuseguard_testkit.git_repository import commit, registry_answers, run
from fuseguard_testkit.paths import DATA, ROOT

yaml = pytest.importorskip("yaml")
pytest.importorskip("pre_commit")

HOOKS = ROOT / ".pre-commit-hooks.yaml"
#: What the package is built from: all that pre-commit's pip needs of a clone.
PACKAGE = ("pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml", "verifier", "rules")


@pytest.fixture(scope="module")
def hook_repository(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """This checkout as a repository that pre-commit can clone, and its commit."""
    folder = tmp_path_factory.mktemp("fuseguard")
    for name in PACKAGE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder, commit(folder)


def user_repository(folder: Path, *programs: str) -> Path:
    folder.mkdir()
    for program in programs:
        shutil.copy(DATA / program, folder / program)
    (folder / "notes.txt").write_text("no program")
    commit(folder)
    return folder


def pre_commit(
    hook: str, user: Path, hook_repository: tuple[Path, str], *args: str
) -> subprocess.CompletedProcess[str]:
    repository, revision = hook_repository
    hooks = [{"id": hook, **({"args": list(args)} if args else {})}]
    config = {"repos": [{"repo": str(repository), "rev": revision, "hooks": hooks}]}
    (user / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    assert run("git", "add", "-A", cwd=user).returncode == 0
    home = str(repository.parent / "pre-commit-home")
    return run(sys.executable, "-m", "pre_commit", "run", "--all-files", cwd=user, PRE_COMMIT_HOME=home)


def test_a_wrong_program_fails_the_commit(tmp_path: Path, hook_repository: tuple[Path, str]) -> None:
    user = user_repository(tmp_path / "model", "conv_cat.pt2", "linear.pt2")
    done = pre_commit("fuseguard-system", user, hook_repository)
    assert done.returncode == 1, done
    assert "error[FU101] fused-activation-out-of-range" in done.stdout
    assert "2 files" in done.stdout, "both programs, and not the text file"


def test_a_right_program_passes(tmp_path: Path, hook_repository: tuple[Path, str]) -> None:
    done = pre_commit("fuseguard-system", user_repository(tmp_path / "model", "linear.pt2"), hook_repository)
    assert done.returncode == 0, done
    assert "Passed" in done.stdout


@pytest.mark.parametrize(
    ("program", "code"), [("cond.pt2", "PG801"), ("observers.pt2", "PG802"), ("xnnpack.pt2", "PG803")]
)
def test_a_program_with_nothing_to_check_fails_the_commit(
    program: str, code: str, tmp_path: Path, hook_repository: tuple[Path, str]
) -> None:
    """--require-quantized is on: float, with observers, of another quantizer."""
    done = pre_commit("fuseguard-system", user_repository(tmp_path / "model", program), hook_repository)
    assert done.returncode == 1, done
    assert f"error[{code}]" in done.stdout


def test_every_hook_that_checks_requires_quantized_programs() -> None:
    for hook in yaml.safe_load(HOOKS.read_text()):
        words = hook["entry"].split()
        assert ("check" in words) == ("--require-quantized" in words), hook["id"]


def test_without_a_program_nothing_runs(tmp_path: Path, hook_repository: tuple[Path, str]) -> None:
    done = pre_commit("fuseguard-system", user_repository(tmp_path / "model"), hook_repository)
    assert done.returncode == 0, done
    assert "no files to check" in done.stdout


def test_arguments_and_the_repositorys_configuration_hold(tmp_path: Path, hook_repository: tuple[Path, str]) -> None:
    user = user_repository(tmp_path / "model", "conv_cat.pt2")
    (user / "fuseguard.toml").write_text('ignore = ["FU101"]\n')
    assert pre_commit("fuseguard-system", user, hook_repository).returncode == 0


def test_rule_packs_are_tested(tmp_path: Path, hook_repository: tuple[Path, str]) -> None:
    user = user_repository(tmp_path / "pack")
    made = run(sys.executable, "-m", "fuseguard", "new-rule", "PA101", "some-fault", cwd=user)
    assert made.returncode == 0, made
    done = pre_commit("fuseguard-test-rules", user, hook_repository, "./my_rules")
    assert done.returncode == 0, done
    assert "Passed" in done.stdout
    rule = user / "my_rules" / "some_fault.py"
    rule.write_text(rule.read_text().replace("yield self.finding", "return; yield self.finding", 1))
    done = pre_commit("fuseguard-test-rules", user, hook_repository, "./my_rules")
    assert done.returncode == 1, done
    assert "finds nothing in this bad example" in done.stdout


@pytest.mark.network
def test_pre_commit_installs_the_package_and_runs_it(tmp_path: Path, hook_repository: tuple[Path, str]) -> None:
    """The hook as most will use it: in an environment that pre-commit makes from a clone."""
    if not registry_answers():
        pytest.skip("the package index cannot be reached")
    user = user_repository(tmp_path / "model", "conv_cat.pt2")
    done = pre_commit("fuseguard", user, hook_repository)
    assert done.returncode == 1, done
    assert "error[FU101] fused-activation-out-of-range" in done.stdout
    environments = list((hook_repository[0].parent / "pre-commit-home").glob("repo*/py_env-*"))
    assert len(environments) == 1, "it ran from an environment of its own"


def test_every_hook_is_tried_here() -> None:
    tried = Path(__file__).read_text()
    hooks = [hook["id"] for hook in yaml.safe_load(HOOKS.read_text())]
    assert [hook for hook in hooks if f'pre_commit("{hook}"' not in tried] == []
