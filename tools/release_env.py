"""Builds the environments in which fuseguard is developed and tested, one per ExecuTorch release.

    python3 tools/release_env.py 1.5.1            # build what is missing, print the python to use
    python3 tools/release_env.py core             # no torch: what checking a file needs
    python3 tools/release_env.py 1.5.1 --print    # print it, build nothing; exit code 1 if it is missing
    python3 tools/release_env.py zoo-1.5.1        # the release, and the packages whose models examples/zoo takes
    python3 tools/release_env.py --list           # the releases that there are constraints for, newest first

What runs a VGF on Vulkan (``constraints/vgf-engine.txt``) is an environment of its own that each release sees. Two
Debian packages come with it, which this script does not install: ``apt-get install --no-install-recommends
mesa-vulkan-drivers libvulkan1``. ``fuseguard doctor`` says whether they are there. So is what the documentation's
walkthroughs need (``constraints/walkthrough-<release>.txt``). Only the overlay ``zoo-<release>`` sees what examples/zoo
needs (``constraints/zoo-<release>.txt``): a release is tested without these packages.

There are two layers. The heavy one, two gigabytes, holds what ``constraints/executorch-<release>.txt`` pins. It
lies outside of any checkout, under ``$FUSEGUARD_ENVS`` (default ``~/.cache/fuseguard/envs``), is named after the
hash of all that goes into it, and is never changed once it is finished. The light one, ``.venvs/<release>`` in
the checkout, sees the heavy one through a .pth file and has this checkout installed editable.

Needs only the standard library.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Part of every environment's name: raise it when this script would build the same constraints differently.
ENV_VERSION = 1

CORE = "core"

#: What runs a VGF on Vulkan, beside every release: constraints/vgf-engine.txt.
VGF_ENGINE = "vgf-engine"

#: What the walkthroughs of the documentation need beside a release, where there are constraints for it: a model that is
#: not ours, and what runs a notebook. An environment of its own, so that a change does not rebuild the heavy one.
WALKTHROUGH = "walkthrough-"

#: Packages whose models examples/zoo takes. Asked for by this name, never put beside a release otherwise.
ZOO = "zoo-"

#: What lowering imports first. It fails where the release and the pinned torch do not go together.
BACKEND_IMPORT = "import executorch.backends.arm.quantizer, executorch.backends.arm.tosa.partitioner"

#: What that import says where the op table of the release names an overload that the pinned torch no longer has.
MISSING_OVERLOAD = "'aten.transpose' has no overload name 'Dimname'"

#: Programs that must run with the checkout visible, so in the overlay's own Python, not in the heavy one's.
PYTHON_TOOLS = ("pytest", "mypy", "coverage")

#: Not for the overlay: it has its own Python, and its activation scripts would name the wrong directory.
NOT_LINKED = ("python", "pip", "activate", "Activate", "py.test", "coverage-", "coverage3", "fuseguard")

OVERLOAD_MODULE = "_fuseguard_torch_overload"
OVERLOAD_SOURCE = '''"""Defines aten::transpose.Dimname once torch is imported, if that torch no longer has it.

ExecuTorch 1.2 and 1.3 look the overload up when they are imported; nothing here ever calls it. Until somebody
imports torch this is one entry in sys.meta_path.
"""

import sys


class _Finder:
    searching = False

    def find_spec(self, name, path=None, target=None):
        if name != "torch" or self.searching:
            return None
        import importlib.util

        self.searching = True  # the search below asks this finder again
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.searching = False
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module):
                run(module)
                sys.meta_path.remove(self)
                _define(module)

            spec.loader.exec_module = exec_module
        return spec


def _define(torch):
    try:
        torch.ops.aten.transpose.Dimname
    except AttributeError:
        library = torch.library.Library("aten", "FRAGMENT")
        library.define("transpose.Dimname(Tensor self, int dim0, int dim1) -> Tensor")
        _define.library = library  # the definition goes when the library object does


if "torch" in sys.modules:
    _define(sys.modules["torch"])
else:
    sys.meta_path.insert(0, _Finder())
'''


def known_releases(checkout: Path) -> tuple[str, ...]:
    """The releases that have a constraints file, newest first."""
    paths = (checkout / "constraints").glob("executorch-*.txt")
    return tuple(sorted((path.stem.partition("-")[2] for path in paths), key=version_key, reverse=True))


def version_key(release: str) -> tuple[int, ...]:
    """Sorts releases. Raises ValueError unless it is dots and numbers."""
    return tuple(int(part) for part in release.split("."))


class EnvError(Exception):
    """An environment cannot be built; the text says why and what to do."""


@dataclass(frozen=True)
class HeavyEnv:
    """The shared environment of one release: where it is and what goes into it."""

    release: str
    constraints: Path
    path: Path

    @classmethod
    def of(cls, release: str, checkout: Path) -> HeavyEnv:
        whole = release in (CORE, VGF_ENGINE) or release.startswith((WALKTHROUGH, ZOO))
        name = release if whole else f"executorch-{release}"
        constraints = checkout / "constraints" / f"{name}.txt"
        if not constraints.is_file():
            known = ", ".join((CORE, *known_releases(checkout)))
            raise EnvError(f"there is no {constraints.relative_to(checkout)}; known are {known}")
        version = f"{ENV_VERSION} {sys.version_info[0]}.{sys.version_info[1]} {OVERLOAD_SOURCE}"
        digest = hashlib.sha256(constraints.read_bytes() + version.encode()).hexdigest()[:12]
        root = Path(os.environ.get("FUSEGUARD_ENVS") or "~/.cache/fuseguard/envs").expanduser().absolute()
        return cls(release, constraints, root / f"{release}-{digest}")

    @property
    def stamp(self) -> Path:
        """Written last; without it the environment is unfinished."""
        return self.path / "fuseguard-finished"

    @property
    def python(self) -> Path:
        return self.path / "bin" / "python"

    @property
    def packages(self) -> Path:
        """The directory of its installed packages."""
        return _site_packages(self.path)

    def finished(self) -> bool:
        return self.stamp.is_file() and self.python.exists()

    def build(self) -> None:
        """Build it unless it is finished. Raises EnvError."""
        if self.finished():
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(self.path.with_name(self.path.name + ".lock")):
            if self.finished():  # by whoever held the lock
                return
            _say(f"building the environment {self.release} (once; 1 to 10 minutes) ...")
            started = time.monotonic()
            shutil.rmtree(self.path, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(self.path)])
            pip = [str(self.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            torch = next((pin for pin in self._pins() if pin.startswith("torch==")), None)
            if torch:
                # With its dependencies: wheels of torch that are built for a GPU have some that no CPU wheel
                # has, so that they cannot be pinned here.
                _run([*pip, "-c", str(self.constraints), torch])
            _run([*pip, "--no-deps", "-r", str(self.constraints)])
            if torch:
                self._import_backend()
            self.stamp.write_text(f"{self.release}\n", encoding="utf-8")
            _say(f"built the environment {self.release} in {time.monotonic() - started:.0f} s")

    def _import_backend(self) -> None:
        """Better here than in the first test. Adds the overload if the backend cannot be imported without it."""
        command = [str(self.python), "-c", BACKEND_IMPORT]
        try:
            _run(command)
        except EnvError as error:
            if MISSING_OVERLOAD not in str(error):
                raise
            _say(f"ExecuTorch {self.release} looks up aten::transpose.Dimname, which torch lacks; defining it")
            (self.packages / f"{OVERLOAD_MODULE}.py").write_text(OVERLOAD_SOURCE, encoding="utf-8")
            (self.packages / f"{OVERLOAD_MODULE}.pth").write_text(f"import {OVERLOAD_MODULE}\n", encoding="utf-8")
            _run(command)

    def _pins(self) -> list[str]:
        lines = self.constraints.read_text(encoding="utf-8").splitlines()
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


@dataclass(frozen=True)
class Overlay:
    """The checkout's own venv on top of a heavy environment."""

    heavy: HeavyEnv
    checkout: Path
    name: str
    beside: tuple[HeavyEnv, ...] = ()

    @property
    def path(self) -> Path:
        return self.checkout / ".venvs" / self.name

    @property
    def python(self) -> Path:
        return self.path / "bin" / "python"

    @property
    def stamp(self) -> Path:
        return self.path / "fuseguard-finished"

    def ready(self) -> bool:
        if not self.python.exists() or not self.stamp.is_file():
            return False
        return self.stamp.read_text(encoding="utf-8") == self._identity()

    def _identity(self) -> str:
        """What the overlay depends on. The metadata of an editable install is a copy, so pyproject counts."""
        project = hashlib.sha256((self.checkout / "pyproject.toml").read_bytes())
        project.update(Path(__file__).read_bytes())
        beside = "".join(f"{env.path}\n" for env in self.beside)
        return f"{self.heavy.path}\n{beside}{self.checkout}\n{project.hexdigest()}\n"

    def build(self) -> None:
        """Build it unless it is up to date. Raises EnvError."""
        if self.ready():
            return
        self.path.parent.mkdir(exist_ok=True)
        with _locked(self.path.parent / f"{self.name}.lock"):
            if self.ready():
                return
            shutil.rmtree(self.path, ignore_errors=True)
            _run([str(self.heavy.python), "-m", "venv", "--without-pip", str(self.path)])
            # addsitedir and not just the path: the .pth files of the heavy environment count too. The engine comes
            # first, because a release may pin an older emulation layer.
            below = [env.path for env in (*self.beside, self.heavy)]
            hook = "".join(f"import site; site.addsitedir({str(_site_packages(path))!r})\n" for path in below)
            (_site_packages(self.path) / "fuseguard-heavy.pth").write_text(hook, encoding="utf-8")
            pip = [str(self.heavy.python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
            install = ["install", "--no-deps", "--no-build-isolation", "--editable", str(self.checkout)]
            _run([*pip, "--python", str(self.python), *install])
            self._add_programs()
            self.stamp.write_text(self._identity(), encoding="utf-8")

    def _add_programs(self) -> None:
        """Make the overlay's bin directory the only one that PATH needs (for ruff, model-converter, vela ...)."""
        for program in sorted((self.heavy.path / "bin").iterdir()):
            own = self.path / "bin" / program.name
            if own.exists() or own.is_symlink() or program.name.startswith(NOT_LINKED):
                continue
            if program.name in PYTHON_TOOLS:
                own.write_text(f'#!/bin/sh\nexec "{self.python}" -m {program.name} "$@"\n', encoding="utf-8")
                own.chmod(0o755)
            else:
                own.symlink_to(program)


def _site_packages(env: Path) -> Path:
    return env / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file exclusively; two builders of one environment would write over each other."""
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"waiting for another build ({path.name}) ...")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _run(command: list[str]) -> None:
    """Run quietly; show all that the command said if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise EnvError(f"failed with exit code {done.returncode}: {' '.join(command)}\n{done.stdout}")


def _beside(release: str, checkout: Path, *, build: bool) -> tuple[HeavyEnv, ...]:
    """What stands beside a release: what runs a VGF, and what the walkthroughs need.

    Left out where it cannot be had: everything else works without it.
    """
    if release == CORE:
        return ()
    found = []
    needed_by = {
        VGF_ENGINE: "'fuseguard prove --engine vgf'",
        f"{WALKTHROUGH}{release}": "the tests of docs/first-hour.md and docs/tutorial.ipynb",
    }
    for name, what in needed_by.items():
        if not (checkout / "constraints" / f"{name}.txt").is_file():
            continue
        env = HeavyEnv.of(name, checkout)
        try:
            if build:
                env.build()
        except EnvError as error:
            _say(f"{what} will not work: {error}")
        if env.finished():
            found.append(env)
    return tuple(found)


def _zoo(name: str, checkout: Path, *, build: bool) -> HeavyEnv:
    """The packages of the zoo. Raises EnvError: unlike what is in _beside, the overlay is of no use without them."""
    env = HeavyEnv.of(name, checkout)
    if build:
        env.build()
    if not env.finished():
        raise EnvError(f"the environment {name} is not built or is out of date")
    return env


def _say(text: str) -> None:
    print(f"release_env: {text}", file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Entry point: 0 with the Python's path on stdout, 1 if there is none."""
    parser = argparse.ArgumentParser(description="Build a test environment and print the path of its Python.")
    parser.add_argument("release", nargs="?", help="an ExecuTorch release, zoo-<release>, or core for no torch")
    parser.add_argument("--checkout", type=Path, default=Path(__file__).parent.parent, help="default: this one")
    parser.add_argument("--overlay", metavar="NAME", help="its name in .venvs (default: the release)")
    parser.add_argument("--print", action="store_true", dest="only_print", help="build nothing")
    parser.add_argument("--list", action="store_true", dest="only_list", help="print the releases that can be built")
    options = parser.parse_args(arguments)
    checkout: Path = options.checkout.resolve()
    if options.only_list:
        print(*known_releases(checkout))
        return 0
    if options.release is None:
        parser.error("name a release, or core")
    try:
        release = options.release.removeprefix(ZOO)
        heavy = HeavyEnv.of(release, checkout)
        beside = _beside(release, checkout, build=not options.only_print)
        if options.release.startswith(ZOO):
            beside = (_zoo(options.release, checkout, build=not options.only_print), *beside)
        overlay = Overlay(heavy, checkout, options.overlay or options.release, beside)
        if options.only_print:
            if not (heavy.finished() and overlay.ready()):
                raise EnvError(f"the environment {options.release} is not built or is out of date")
        else:
            oldest = (3, 10) if release == CORE else (3, 11)
            if not oldest <= sys.version_info[:2] <= (3, 13):
                needed = f"3.{oldest[1]} to 3.13"
                raise EnvError(f"the pinned packages need Python {needed}; this is {sys.version.split()[0]}")
            heavy.build()
            overlay.build()
    except EnvError as error:
        _say(str(error))
        return 1
    print(overlay.python)
    return 0


if __name__ == "__main__":
    sys.exit(main())
