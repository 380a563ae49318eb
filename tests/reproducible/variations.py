"""Rebuilds under the variations of the reproducible-builds project's reprotest: `./bazelw run //tests/reproducible:variations`.

Under each one, CPython is booted, the encoders are generated and the filter is frozen. Each result must be what it is without the
variation. These are the steps that draw on their surroundings. Flattening and optimising only compute, for a minute. So the whole
runtime is rebuilt once, under all variations together, and has to have the committed digest. Names of variations as arguments
choose some; the whole runtime is then left alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.reproducible.difference import first_difference
from tests.reproducible.digests import committed, digest

ENOUGH = 12
PYTHON = [sys.executable, "-P", "-S", "-B"]
SOURCES = ["bazel/launch.py", "filter", "proto", "proxy_wasm", "toolchain"]
YEAR_2031 = 1_925_000_000


@dataclass(frozen=True)
class Variation:
    """One way in which two surroundings can differ.

    The build runs with the environment, as an argument of the command `prefix`, after the shell commands `setup`.
    """

    name: str
    how: str
    environment: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    setup: str = ""
    package: str = ""  # of Debian, which has the program that the prefix or the build needs


ORDER = "file ordering"
PATH = "build path"
TIME = "time"
LOCALES = "locales"
USER = "user and group"

_NAMES = "hostname another-host && domainname another-domain"

VARIATIONS = (
    Variation(
        "environment",
        "20 variables more, of another size; none that Bazel does not set",
        {f"CAPTURED_{i}": "environment" * i for i in range(20)} | {"LINES": "13", "COLUMNS": "37", "TERM": "dumb"},
    ),
    Variation(PATH, "another path, longer, on tmpfs"),
    Variation("kernel", "uname says 2.6", prefix=("setarch", "--uname-2.6")),
    Variation("ASLR", "addresses are not randomised", prefix=("setarch", "--addr-no-randomize")),
    Variation("number of CPUs", "one", prefix=("taskset", "--cpu-list", "0")),
    Variation(
        TIME,
        "400 days ahead, clocks that began elsewhere, files of 2031",
        {"NO_FAKE_STAT": "1"},
        # The namespace has no wall clock, and faketime does not reach what is linked statically: both.
        prefix=("unshare", "--time", "--monotonic=9000000", "--boottime=9000000", "faketime", "+400 days"),
        package="faketime",
    ),
    Variation(USER, "4242:4242", prefix=("unshare", "--user", "--map-user=4242", "--map-group=4242")),
    Variation(ORDER, "sources, wheels and TMPDIR in an order that changes with every look", package="disorderfs"),
    Variation(
        "domain and host",
        "other names, and no network",
        prefix=("unshare", "--uts", "--net", "sh", "-c", f'{_NAMES} && exec "$@"', "sh"),
    ),
    Variation("home", "a directory that is not there", {"HOME": "/nonexistent/second-build"}),
    Variation(LOCALES, "Estonian", {"LANG": "et_EE.UTF-8", "LC_ALL": "et_EE.UTF-8", "LANGUAGE": "et_EE.UTF-8:fr"}),
    Variation("exec path", "one directory more", {"PATH": "/usr/bin:/bin:/i_capture_the_path"}),
    Variation("time zone", "GMT-14 instead of GMT+12", {"TZ": "GMT-14"}),
    Variation("umask", "0077 instead of 0022", setup="umask 0077"),
)
UNVARIED = Variation("", "", {"TZ": "GMT+12", "HOME": "/"}, setup="umask 0022")


class CannotVary(Exception):
    """Why this machine cannot vary something."""


def say(text: str) -> None:
    """Shows a line at once."""
    print(text, flush=True)


def _site(name: str) -> Path:
    # With Bazel's modules, the names of repositories are longer.
    return next(Path(os.path.abspath("..")).glob(f"*{name}"))


class Sites:
    """The unpacked wheels and npm packages."""

    def __init__(self) -> None:
        self.build = _site("wheels_build") / "site"
        self.protoc = _site("wheels_protoc") / "site"
        self.zig = _site("wheels_zig") / "site"
        self.node = _site("wheels_node") / "site"
        self.node_modules = _site("npm") / "node_modules"


def _shuffled(stack: contextlib.ExitStack, directory: Path, mountpoint: Path) -> Path:
    mountpoint.mkdir(parents=True)
    done = subprocess.run(
        ["disorderfs", "--quiet", "--multi-user=no", "--shuffle-dirents=yes", directory, mountpoint],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise CannotVary(f"disorderfs: {done.stderr.strip()}")
    # Lazily: a process that hangs must not leave a mount behind.
    stack.callback(lambda: subprocess.run(["fusermount", "-u", "-z", mountpoint], check=False))
    return mountpoint


def _on_tmpfs(stack: contextlib.ExitStack) -> Path:
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        raise CannotVary("no tmpfs at /dev/shm")
    path = Path(tempfile.mkdtemp(prefix="another-", dir=shared))
    stack.callback(shutil.rmtree, path, ignore_errors=True)
    return path / "path-that-is-longer" / "and" / "deeper"


class Rebuild:
    """A copy of the sources in surroundings that differ by some variations."""

    def __init__(self, work: Path, variations: tuple[Variation, ...], stack: contextlib.ExitStack) -> None:
        names = {v.name for v in variations}
        self.variations = variations
        self.tree = _on_tmpfs(stack) if PATH in names else work / "tree"
        self.out, temporary = work / "out", work / "tmp"
        for directory in (self.tree, self.out, temporary):
            directory.mkdir(parents=True)
        for source in SOURCES:
            _copy(Path(source), self.tree / source)
        if TIME in names:
            for path in self.tree.rglob("*"):
                os.utime(path, (YEAR_2031, YEAR_2031))
        self.sites = Sites()
        if ORDER in names:
            mounts = work / "mounts"
            self.tree = _shuffled(stack, self.tree, mounts / "tree")
            self.sites.build = _shuffled(stack, self.sites.build, mounts / "build")
            self.sites.protoc = _shuffled(stack, self.sites.protoc, mounts / "protoc")
            temporary = _shuffled(stack, temporary, mounts / "tmp")
        # As python_action of bazel/python.bzl sets them.
        self.environment = {
            "LC_ALL": "C.UTF-8",
            "PATH": "/usr/bin:/bin",
            "PYTHONHASHSEED": "0",
            "TMPDIR": str(temporary),
        }
        for variation in (UNVARIED, *variations):
            self.environment |= variation.environment
        if LOCALES in names:
            self.environment["LOCPATH"] = str(_estonian(work))
        self.steps: list[list[object]] = []

    def step(self, site: Path, module: str, *arguments: object) -> None:
        """Adds a program of the toolchain to what is run."""
        self.steps.append([*PYTHON, "bazel/launch.py", ".", site, "--", module, *arguments])

    def run(self) -> None:
        """Runs the steps, or raises `CannotVary` of a variation that this machine refuses, or exits with a step's error."""
        # Another user may not make namespaces any more: last.
        by_user = sorted(self.variations, key=lambda v: v.name == USER)
        prefix = [word for variation in by_user for word in variation.prefix]
        setup = " && ".join(v.setup for v in (UNVARIED, *self.variations) if v.setup)
        shell = [*prefix, "sh", "-c", f'{setup} && exec "$@"', "sh"]
        probe: list[object] = ["true"]
        for command in (probe, *self.steps):
            done = subprocess.run(
                [*shell, *(str(word) for word in command)],
                cwd=self.tree,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            if done.returncode and command is probe:
                raise CannotVary(done.stdout.strip())
            if done.returncode:
                sys.exit(f"{done.stdout}error: a step failed under this variation: {' '.join(map(str, command))}")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.*wasm", "*.cold", "*.zip", "__pycache__"))
    else:
        shutil.copyfile(source, target)


def _estonian(work: Path) -> Path:
    path = work / "locales"
    path.mkdir()
    command = ["localedef", "--no-archive", "-i", "et_EE", "-f", "UTF-8", str(path / "et_EE.UTF-8")]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        raise CannotVary("localedef cannot make et_EE.UTF-8: install Debian's locales") from None
    return path


def rebuild_parts(work: Path, variations: tuple[Variation, ...], boot: bool = True) -> dict[str, Path]:
    """Returns what the steps that draw on their surroundings build under these variations together, by name."""
    with contextlib.ExitStack() as stack:
        build = Rebuild(work, variations, stack)
        if boot:
            _runtime(build, "--step", "boot")
        _filter(build, Path.cwd() / "toolchain")
        build.run()
    names = [*(["component.wasm"] if boot else []), "proto/set_envoy_filter_state_pb.py", "filter.wasm"]
    return {name: build.out / name for name in names}


def rebuild_all(work: Path, variations: tuple[Variation, ...]) -> dict[str, Path]:
    """Returns the runtime and the filter, built under these variations together from nothing."""
    with contextlib.ExitStack() as stack:
        build = Rebuild(work, variations, stack)
        _runtime(build)
        _filter(build, build.out)
        build.run()
    return {"toolchain/runtime.wasm": build.out / "runtime.wasm", "filter/filter.wasm": build.out / "filter.wasm"}


def _runtime(build: Rebuild, *step: str) -> None:
    sites = build.sites
    options = ["--boot", "toolchain/boot", "--abi", "proxy_wasm/abi.toml", "--out", build.out]
    options += ["--zig", sites.zig, "--node", sites.node, "--node-modules", sites.node_modules]
    build.step(sites.build, "toolchain", "runtime", *options, *step)


def _filter(build: Rebuild, runtime: Path) -> None:
    build.step(build.sites.protoc, "proto.protoc", build.out, "proto/set_envoy_filter_state.proto")
    options = ["--runtime", runtime, "--abi", "proxy_wasm/abi.toml", "--root", ".", "--root", build.out]
    options += ["--module", "filter.plugin", "--training", "filter.training"]
    options += ["--out", build.out / "filter.wasm", "--report", build.out / "report.txt"]
    build.step(build.sites.build, "toolchain", "filter", *options)


def _install(variations: tuple[Variation, ...]) -> None:
    missing = sorted({v.package for v in variations if v.package and not shutil.which(v.package)})
    if missing:
        # Where it cannot be installed, the variation's row says so.
        subprocess.run(["tools/debian-install", *missing], check=False)


def compare(expected: dict[str, Path], found: dict[str, Path]) -> list[str]:
    """Returns a line for each file that differs, with the first difference."""
    lines = []
    for name, path in found.items():
        difference = first_difference(expected[name].read_bytes(), path.read_bytes())
        if difference:
            lines.append(f"{name}: {difference}")
    return lines


@contextlib.contextmanager
def _work(name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"{name.replace(' ', '-')}-") as work:
        yield Path(work)


def _rows(chosen: tuple[Variation, ...], expected: dict[str, Path]) -> Iterator[tuple[Variation, str, list[str]]]:
    for variation in chosen:
        started = time.monotonic()
        with _work(variation.name) as work:
            try:
                differences = compare(expected, rebuild_parts(work, (variation,)))
            except (CannotVary, FileNotFoundError) as reason:
                yield variation, f"cannot be varied here: {reason}", []
                continue
        took = f"{time.monotonic() - started:.0f} s"
        yield variation, "differs" if differences else f"same ({took})", differences


def main() -> None:
    """Rebuilds, prints the table and exits with 1 on a difference, or if too little could be varied."""
    chosen = tuple(v for v in VARIATIONS if v.name in sys.argv[1:] or not sys.argv[1:])
    unknown = set(sys.argv[1:]) - {v.name for v in VARIATIONS}
    if unknown:
        sys.exit(f"error: no such variation: {', '.join(unknown)}; there are: {', '.join(v.name for v in VARIATIONS)}")
    _install(chosen)
    varied: list[Variation] = []
    differences: list[str] = []
    with _work("unvaried") as work:
        say("building component.wasm, the encoders and filter.wasm without a variation")
        expected = rebuild_parts(work, ())
        differences += compare({"filter.wasm": Path("filter/filter.wasm")}, {"filter.wasm": expected["filter.wasm"]})
        say(f"\n{'variation':<16} {'how':<72} component.wasm, encoders, filter.wasm")
        for variation, result, found in _rows(chosen, expected):
            say(f"{variation.name:<16} {variation.how:<72} {result}")
            differences += [f"{variation.name}: {line}" for line in found]
            if not result.startswith("cannot"):
                varied.append(variation)
    say(f"\n{len(varied)} of {len(chosen)} varied")
    if chosen == VARIATIONS:
        say(f"\nbuilding runtime.wasm and filter.wasm from nothing under all {len(varied)} together (a minute or two)")
        with _work("together") as work:
            for name, path in rebuild_all(work, tuple(varied)).items():
                same = digest(path) == committed(Path(name)).read_text().split()[0]
                say(f"{name}: {digest(path)}, {'as committed' if same else 'which is not what is committed'}")
                differences += compare({name: Path(name)}, {name: path})
                if not same:
                    differences.append(f"{name}: not the committed digest")
    for line in differences:
        say(f"DIFFERS {line}")
    if differences or (chosen == VARIATIONS and len(varied) < ENOUGH):
        sys.exit(f"error: {len(differences)} differences, {len(varied)} variations; {ENOUGH} must be varied")


if __name__ == "__main__":
    main()
