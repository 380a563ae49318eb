"""What a module is, and what this machine has: `inspect`, `verify` and `doctor`."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import proxy_wasm
from command import project, proxy, runtime
from proxy_wasm.testing.abi import CALLBACKS, TABLE
from toolchain import producers, verify
from toolchain.tools import ToolchainError
from toolchain.wasm.format import FUNC_KIND, MEMORY, FormatError, Module, Reader, read_limits

_ENVOY_SECONDS = 10

ENVOYS = ("1.36.4", "1.40.0")
"""The oldest and the newest Envoy that docs/versions.md has."""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ToolchainError(f"cannot read {path}: {error.strerror}") from None


def verified(path: Path) -> str:
    """Returns what was verified of a module, or raises `ToolchainError` with what is wrong."""
    data = _read(path)
    try:
        return _verified(data)
    except ToolchainError as error:
        raise ToolchainError(f"{path}: {error}") from None


def _verified(data: bytes) -> str:
    verify.verify(data, TABLE)
    return f"a core module for Proxy-Wasm {TABLE.version}, and nothing more"


def facts(path: Path) -> list[tuple[str, str]]:
    """Returns what a module is, each fact with its name; raises `ToolchainError` for a file that is no module."""
    data = _read(path)
    try:
        module = Module(data)
        memory = Reader(module.get(MEMORY))
        pages = [read_limits(memory) for _ in memory.repeat()]
        exports = [export.name for export in module.exports() if export.kind == FUNC_KIND]
        functions = len(module.bodies())
        made_of = producers.read(data)
    except FormatError as error:
        raise ToolchainError(f"{path} is no WebAssembly core module: {error}") from None
    try:
        loads = f"yes, {_verified(data)}"
    except ToolchainError as error:
        loads = f"no: {error}"
    versions = [
        name.removeprefix("proxy_abi_version_").replace("_", ".") for name in exports if "_abi_version_" in name
    ]
    return [
        ("digest", f"sha256:{hashlib.sha256(data).hexdigest()}"),
        ("size", f"{len(data) / 1e6:.2f} MB, {functions:,} functions"),
        (
            "memory",
            f"{pages[0] if pages else 0} pages ({(pages[0] if pages else 0) / 16:.1f} MiB) at the start of each VM",
        ),
        ("Python", _version(made_of, "language", producers.PYTHON)),
        ("SDK", _version(made_of, "sdk", producers.SDK)),
        ("ABI", ", ".join(versions) or "none"),
        ("loads", loads),
        (
            "Envoy",
            f"tried with {ENVOYS[0]} to {ENVOYS[1]}, which are built with V8" if loads.startswith("yes") else "-",
        ),
        ("callbacks", ", ".join(name.removeprefix("proxy_") for name in exports if name in CALLBACKS) or "none"),
        ("exports", ", ".join(name for name in exports if name not in CALLBACKS) or "none"),
        ("host calls", _imported(module, "env")),
        ("WASI", _imported(module, "wasi_snapshot_preview1")),
    ]


def _version(made_of: producers.Producers, field: str, name: str) -> str:
    found = made_of.get(field, {}).get(name)
    return f"{name} {found}" if found else "the module does not say"


def _imported(module: Module, source: str) -> str:
    names = [i.name.removeprefix("proxy_") for i in module.imports() if i.kind == FUNC_KIND and i.module == source]
    return ", ".join(names) or "none"


class Found(NamedTuple):
    """Something that was looked for on this machine."""

    what: str
    good: bool
    text: str
    needed: bool = True
    """Whether something is wrong if it is not good; if not, it is only missing."""


def health() -> list[Found]:
    """Returns what is installed here, and what is wrong or missing, each with what to do."""
    return [
        Found("proxy-wasm", True, f"{version('proxy-wasm')} in {Path(proxy_wasm.__file__).parent}"),
        Found("Python", True, f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        Found("wasmtime", True, version("wasmtime")),
        _looked_for("runtime", _runtime),
        _looked_for("Envoy", _envoy, proxy.NoEnvoyError),
        _looked_for("project", _project, project.NoProjectError),
    ]


def _looked_for(what: str, look: Callable[[], str], missing: type[ToolchainError] | None = None) -> Found:
    try:
        return Found(what, True, look())
    except ToolchainError as error:
        return Found(what, False, str(error), needed=missing is None or not isinstance(error, missing))


def _runtime() -> str:
    kept = runtime.directory()
    if not kept.is_dir():
        runtime.expect_writable()
    state = "unpacked and compiled" if kept.is_dir() else "not unpacked yet; the first build does it"
    return f"sha256:{runtime.digest()[:16]}, {state} ({kept})"


def _project() -> str:
    here = project.find(Path.cwd())
    return f"{here.name}: the filter is the module {here.filter} in {here.root}"


def _envoy() -> str:
    program = proxy.find_envoy()
    try:
        done = subprocess.run(
            [program, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_ENVOY_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolchainError(f"{program} does not run: {error}; install another Envoy") from None
    words = done.stdout.partition("version:")[2].split("/")
    if done.returncode or len(words) < 2:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise ToolchainError(
            f"{program} --version ends with status {done.returncode} and says {said!r}; install another Envoy"
        )
    return f"{words[1]} ({program})"
