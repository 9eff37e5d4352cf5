"""What can be found out about a repository that is to be checked: its programs, targets, release and surroundings."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from fuseguard.installed import version_of
from fuseguard.target import MEASURED_RELEASES, Target, TargetError, resolve_release

SUFFIXES = (".pt2", ".etrecord")
#: What the workflow checks where no program is in the repository yet.
DEFAULT_GLOB = "models/*.pt2"

_MOST_FILES = 100_000
_MOST_FOLDERS = 6
_LARGEST = 1024 * 1024  # bytes of a source file that is looked at
_SKIPPED = frozenset({"node_modules", "__pycache__", "site-packages", "build", "dist"})
_PLAIN = re.compile(r"[A-Za-z0-9._/+-]+")
_SPECS = (
    re.compile(r"EthosUCompileSpec\(\s*(?:target\s*=\s*)?[\"']([\w.+-]+)[\"']"),
    re.compile(r"TosaCompileSpec\(\s*(?:tosa_spec\s*=\s*)?[\"']([\w.+-]+)[\"']"),
)
_VGF = re.compile(r"VgfCompileSpec\(")
_PIN = re.compile(r"(?<![\w-])executorch\s*==\s*([0-9][\w.]*)")


@dataclass(frozen=True, slots=True)
class Source:
    """Where fuseguard comes from: the URL of its repository and a revision."""

    url: str
    revision: str

    @property
    def on_github(self) -> str:
        """``owner/name`` of a repository on GitHub, else ""."""
        parts = urlsplit(self.url)
        path = parts.path.strip("/").removesuffix(".git")
        return path if parts.hostname == "github.com" and path.count("/") == 1 else ""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found out. Paths are relative to ``root``, with ``/``.

    ``release_from`` says where ``release`` is from. ``targets`` are those of compile specs in the repository's sources.
    ``branch`` is the default branch, ``host`` the host of the remote ``origin`` ("" for none).
    """

    root: Path
    programs: tuple[str, ...] = ()
    release: str = MEASURED_RELEASES[-1]
    release_from: str = ""
    targets: tuple[str, ...] = ()
    source: Source | None = None
    branch: str = "main"
    host: str = ""
    lfs: bool = False

    @property
    def globs(self) -> tuple[str, ...]:
        """Patterns of a shell that match the programs."""
        return globs_of(self.programs) or (DEFAULT_GLOB,)


def discover(folder: Path) -> Found:
    """What can be found out about the repository that ``folder`` is in. Runs nothing but git."""
    root = _root(folder)
    files = tuple(_files(root))
    release, where = _release(root, files)
    return Found(
        root,
        tuple(sorted(name for name in files if name.endswith(SUFFIXES))),
        release,
        where,
        tuple(_targets(root, files)),
        installed_from(),
        _branch(root),
        urlsplit(_url(_git(root, "remote", "get-url", "origin"))).hostname or "",
        "filter=lfs" in _text(root / ".gitattributes"),
    )


def globs_of(programs: Sequence[str]) -> tuple[str, ...]:
    """Patterns for programs: one for each folder and suffix, or a single one where there are many or odd names."""
    found = {}
    for name in programs:
        path = PurePosixPath(name)
        folder = "" if str(path.parent) == "." else f"{path.parent}/"
        found[f"{folder}*{path.suffix}"] = folder
    if len(found) <= _MOST_FOLDERS and all(_PLAIN.fullmatch(folder) for folder in found.values() if folder):
        return tuple(found)
    return tuple(dict.fromkeys(f"**/*{PurePosixPath(name).suffix}" for name in programs))


def installed_from() -> Source | None:
    """Where the installed fuseguard was installed from (PEP 610), if that is a repository; of a checkout its origin."""
    try:
        told = metadata.distribution("fuseguard").read_text("direct_url.json")
        record = json.loads(told or "{}")
    except (metadata.PackageNotFoundError, ValueError, OSError):
        return None
    url = record.get("url") if isinstance(record, dict) else None
    if not isinstance(url, str):
        return None
    commit = (record.get("vcs_info") or {}).get("commit_id")
    if isinstance(commit, str):
        return Source(_url(url), commit)
    parts = urlsplit(url)
    if parts.scheme != "file":
        return None
    checkout = Path(parts.path)
    origin, head = _url(_git(checkout, "remote", "get-url", "origin")), _git(checkout, "rev-parse", "HEAD")
    return Source(origin, head) if origin.startswith("https://") and head else None


def parse_source(text: str) -> Source:
    """``owner/name@revision`` (on GitHub) or ``URL@revision``. Raises ValueError for anything else."""
    url, _, revision = text.rpartition("@")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", url):
        url = f"https://github.com/{url}"
    if not re.fullmatch(r"https://[\w.-]+(?::\d+)?(?:/[\w.~-]+)+", url) or not re.fullmatch(r"[\w./-]+", revision):
        raise ValueError(f"{text!r} is not OWNER/NAME@REVISION or URL@REVISION, as in acme/fuseguard@v1.0")
    return Source(url, revision)


def _url(text: str) -> str:
    """A URL without what it says of the user; that of git@host:path too."""
    match = re.fullmatch(r"(?:ssh://)?[\w.-]+@([\w.-]+)[:/](.+)", text)
    if match:
        return f"https://{match[1]}/{match[2]}"
    parts = urlsplit(text)
    if not parts.hostname:
        return ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def _root(folder: Path) -> Path:
    """The nearest folder upwards with a repository in it; ``folder`` itself where there is none."""
    start = folder.resolve()
    return next((path for path in (start, *start.parents) if (path / ".git").exists()), start)


def _git(folder: Path, *arguments: str) -> str:
    """What git prints; "" where it fails or is not there."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, timeout=60, check=False,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return os.fsdecode(done.stdout).strip("\n") if done.returncode == 0 else ""


def _files(root: Path) -> Iterator[str]:
    """The files of a repository that git knows or would add; without git those in folders that are not hidden."""
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listed:
        yield from (name for name in listed.split("\0")[:_MOST_FILES] if name and (root / name).is_file())
        return
    count = 0
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        folders[:] = [name for name in folders if not Path(folder, name, "pyvenv.cfg").exists()]
        for name in names:
            yield Path(folder, name).relative_to(root).as_posix()
            count += 1
            if count >= _MOST_FILES:
                return


def _text(path: Path) -> str:
    """The text of a file; "" where there is none, or too much of it."""
    try:
        return path.read_text(encoding="utf-8", errors="replace") if path.stat().st_size <= _LARGEST else ""
    except OSError:
        return ""


def _release(root: Path, files: Iterable[str]) -> tuple[str, str]:
    """The ExecuTorch release and where it was found: installed, pinned in the repository, or the newest measured."""
    installed = version_of("executorch")
    if installed:
        with contextlib.suppress(TargetError):
            return str(resolve_release(installed)[0].public), "installed"
    for name in files:
        path = PurePosixPath(name)
        if path.name == "pyproject.toml" or (path.suffix == ".txt" and re.search("require|constraint", name)):
            match = _PIN.search(_text(root / name))
            if match:
                try:
                    return str(resolve_release(match[1])[0].public), name
                except TargetError:
                    continue
    return MEASURED_RELEASES[-1], "the newest measured release"


def _targets(root: Path, files: Iterable[str]) -> Iterator[str]:
    """The targets of compile specs in Python files, as far as they are written out."""
    seen = set()
    for name in files:
        if not name.endswith((".py", ".ipynb")):
            continue
        text = _text(root / name).replace('\\"', '"')
        named = [match for pattern in _SPECS for match in pattern.findall(text)]
        for target in [*named, *(["vgf"] if _VGF.search(text) else [])]:
            if target in seen:
                continue
            seen.add(target)
            try:
                Target.parse(target, MEASURED_RELEASES[-1])
            except TargetError:
                continue
            yield target


def _branch(root: Path) -> str:
    """The default branch: that of the remote, else the current one, else main."""
    head = _git(root, "symbolic-ref", "--short", "refs/remotes/origin/HEAD").partition("/")[2]
    branch = head or _git(root, "symbolic-ref", "--short", "HEAD")
    return branch if _PLAIN.fullmatch(branch or " ") else "main"
