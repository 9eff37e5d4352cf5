"""What is installed is found without importlib.metadata, and is what importlib.metadata finds.

Protects: a check that runs without a rule pack, or for another release, because a shortcut missed what is installed.
"""

from __future__ import annotations

import sys
import zipfile
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

from fuseguard import installed

PACK = "[fuseguard.rules]\n{name} = {value}\n"


def install(folder: Path, name: str, version: str, entry_points: str = "") -> None:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if entry_points:
        (info / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of ``sys.path``, in a process without other finders."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "meta_path", [PathFinder])
    return tmp_path


@pytest.fixture
def unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """importlib.metadata must not be asked."""

    def fail(*args: object, **options: object) -> None:
        raise AssertionError("importlib.metadata was asked")

    monkeypatch.setattr(metadata, "entry_points", fail)
    monkeypatch.setattr(metadata, "version", fail)


def told() -> list[tuple[str, str, str]]:
    return [pack[:3] for pack in installed.rule_packs()]


def of_metadata() -> list[tuple[str, str, str]]:
    entries = metadata.entry_points(group=installed.GROUP)
    return sorted((entry.name, entry.value, entry.dist.version) for entry in entries if entry.dist is not None)


def test_here_both_find_the_same() -> None:
    assert told() == of_metadata()
    assert told()[0][:2] == installed.OWN
    for name in ("msgspec", "click", "networkx"):
        assert installed.version_of(name) == metadata.version(name)
    assert installed.version_of("nosuchpackage") == ""


@pytest.mark.usefixtures("unasked")
def test_the_own_pack_alone_needs_no_metadata(path: Path) -> None:
    own = PACK.format(name="fuseguard", value="fuseguard_rules")
    install(path, "fuseguard", "0.3.1", f"[console_scripts]\nx = y:z\n\n{own}")
    install(path, "other", "1.0", "[console_scripts]\na = b:c\n")
    assert told() == [("fuseguard", "fuseguard_rules", "0.3.1")]


@pytest.mark.parametrize(
    "text",
    [
        PACK.format(name="fuseguard", value="fuseguard_rules:pack"),
        PACK.format(name="fuseguard", value="fuseguard_rules") + "more = pack\n",
        PACK.format(name="guard", value="fuseguard_rules"),
        "# [fuseguard.rules]\n",
    ],
)
def test_another_entry_point_of_the_own_package_is_not_overlooked(path: Path, text: str) -> None:
    install(path, "fuseguard", "0.3.1", text)
    assert told() == of_metadata()


def test_a_further_pack_is_not_overlooked(path: Path) -> None:
    install(path, "fuseguard", "0.3.1", PACK.format(name="fuseguard", value="fuseguard_rules"))
    assert len(told()) == 1
    install(path, "theirs", "2.0", PACK.format(name="theirs", value="their_pack"))
    assert told() == [("fuseguard", "fuseguard_rules", "0.3.1"), ("theirs", "their_pack", "2.0")]


def test_a_pack_in_a_zip_archive_is_not_overlooked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(path, "fuseguard", "0.3.1", PACK.format(name="fuseguard", value="fuseguard_rules"))
    archive = path / "packs.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("theirs-2.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: theirs\nVersion: 2.0\n")
        file.writestr("theirs-2.0.dist-info/entry_points.txt", PACK.format(name="theirs", value="their_pack"))
    monkeypatch.setattr(sys, "path", [str(path), str(archive)])
    assert ("theirs", "their_pack", "2.0") in told()


def test_a_finder_of_packages_is_asked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        @staticmethod
        def find_distributions(context: object) -> list[metadata.Distribution]:
            return [metadata.PathDistribution(path / "elsewhere" / "theirs-2.0.dist-info")]

    install(path, "fuseguard", "0.3.1", PACK.format(name="fuseguard", value="fuseguard_rules"))
    install(path / "elsewhere", "theirs", "2.0", PACK.format(name="theirs", value="their_pack"))
    assert len(told()) == 1
    monkeypatch.setattr(sys, "meta_path", [PathFinder, Finder])
    assert ("theirs", "their_pack", "2.0") in told()
    assert installed.version_of("theirs") == "2.0"


def test_no_pack_is_no_pack(path: Path) -> None:
    install(path, "other", "1.0")
    assert told() == []


def test_the_first_on_the_path_is_the_one_that_is_installed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(path / "a", "executorch", "1.5.1")
    install(path / "b", "executorch", "1.4.1")
    for order in ("ab", "ba"):
        monkeypatch.setattr(sys, "path", [str(path / folder) for folder in order])
        assert installed.version_of("executorch") == metadata.version("executorch")


def test_what_is_installed_while_the_process_runs_is_seen(path: Path) -> None:
    assert installed.version_of("executorch") == ""
    install(path, "executorch", "1.5.1")
    assert installed.version_of("executorch") == "1.5.1"


def test_a_folder_that_is_left_over_is_not_installed(path: Path) -> None:
    """pip leaves a folder without METADATA if it is interrupted."""
    (path / "executorch-1.5.1.dist-info").mkdir()
    assert not installed.version_of("executorch")
