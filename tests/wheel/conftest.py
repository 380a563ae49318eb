"""An empty virtual environment outside of the repository, with the wheel and what it depends on, and no network."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

WHEEL = next(Path("wheel").glob("*.whl")).absolute()
SECONDS = 240
"""What a command may take; a first build compiles the runtime."""


def _site(group: str) -> str:
    [found] = [path for path in sys.path if Path(path).parent.name.endswith(f"wheels_{group}")]
    return found


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and a cache directory of its own."""

    directory: Path
    cache: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.directory / "bin" / "python"

    def variables(self) -> dict[str, str]:
        """What its programs see of this one's environment."""
        path = f"{self.directory / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin"
        return {"PATH": path, "HOME": str(self.cache), "XDG_CACHE_HOME": str(self.cache), "LC_ALL": "C.UTF-8"}

    def run(
        self, *command: object, cwd: Path, python: bool = False, typed: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Runs `proxy-wasm`, or the interpreter, in a directory, and types something."""
        program = self.python if python else self.directory / "bin" / "proxy-wasm"
        return subprocess.run(
            [str(program), *map(str, command)],
            cwd=cwd,
            env=self.variables(),
            input=typed,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )

    def works(self, *command: object, cwd: Path, python: bool = False) -> str:
        """Runs what must succeed, and returns what it said."""
        done = self.run(*command, cwd=cwd, python=python)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def fails(self, *command: object, cwd: Path) -> str:
        """Runs what must fail, and returns the error."""
        done = self.run(*command, cwd=cwd)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr or "error: " in done.stderr
        return done.stderr


def make_environment(directory: Path, cache: Path, groups: list[str]) -> Environment:
    """Makes a virtual environment with the wheel, and with the pinned wheels of these groups."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    made = Environment(directory, cache)
    install = ["install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check", str(WHEEL)]
    for command in (
        [sys.executable, "-I", "-m", "venv", "--without-pip", str(directory)],
        # The machine's own pip: what a virtual environment would bring is not everywhere.
        [sys.executable, "-m", "pip", "--python", str(made.python), *install],
    ):
        subprocess.run(command, check=True, env=environment, cwd=directory.parent)
    [site] = directory.glob("lib/python*/site-packages")
    (site / "pinned.pth").write_text("".join(f"{_site(group)}\n" for group in groups))
    return made


def on_free_ports(project: Path) -> int:
    """Moves a project's Envoy to ports that are free now, and returns the one that clients connect to."""
    file = project / "envoy.yaml"
    text = file.read_text()
    with contextlib.ExitStack() as held:
        moved = [(port, held.enter_context(socket.create_server(("127.0.0.1", 0)))) for port in (10000, 10001, 9901)]
        for port, free in moved:
            text = text.replace(f"port_value: {port}}}", f"port_value: {free.getsockname()[1]}}}")
        file.write_text(text)
        return int(moved[0][1].getsockname()[1])


def edit(old: str, new: str, file: str = "pyproject.toml") -> Callable[[Path], None]:
    """Returns what exchanges a text of a project's file for another."""

    def change(project: Path) -> None:
        text = (project / file).read_text()
        assert old in text
        (project / file).write_text(text.replace(old, new))

    return change


def append(text: str) -> Callable[[Path], None]:
    """Returns what appends to a project's plugin."""

    def change(project: Path) -> None:
        with (project / "plugin.py").open("a") as plugin:
            plugin.write(text)

    return change


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory outside of the repository, and of Bazel's own."""
    with tempfile.TemporaryDirectory(prefix="proxy-wasm-author-") as made:
        yield Path(made)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Environment:
    return make_environment(tmp_path_factory.mktemp("environment") / "venv", cache, ["command", "envoy"])


@pytest.fixture(scope="session")
def without_envoy(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Environment:
    return make_environment(tmp_path_factory.mktemp("environment") / "venv", cache, ["command"])


@pytest.fixture
def hello(environment: Environment, tmp_path: Path) -> Path:
    """A new project."""
    environment.works("new", "hello", cwd=tmp_path)
    return tmp_path / "hello"
