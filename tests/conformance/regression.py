"""Builds a filter of CPython's own tests, and runs each class of them in a VM, compiled and cold."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import wasmtime

from proxy_wasm.testing.host import Host
from proxy_wasm.testing.wasm import GuestExit, GuestStuck, WasmModule
from tests.conformance.record import Outcome, Outcomes
from toolchain.recipe import filter
from toolchain.recipe.filter import FilterInputs
from toolchain.vm.sources import Sources

LIMIT_SECONDS = 20.0
"""What a test may take of the processor when it is compiled; then it counts as one without an end."""

COLD_LIMIT_SECONDS = 180.0
"""The same when it is cold."""

MEMORY = 1 << 30
"""What a VM may take of memory: Python raises a MemoryError then."""

TOGETHER, TOGETHER_BYTES = 40, 600_000
"""So many modules of tests are built into one filter, and so much source."""

_CHANCE = re.compile(r"0x[0-9a-f]{4,}|(?<=\(used )\d+(?= kB\))|(?<==)\d{10}(?===)|(?:/[\w.+-]+)+(?=/builddir\b)")
"""What chance decides in a message: addresses, how much of the stack was used, boundaries of mail, and where CPython was built."""


@dataclass(frozen=True)
class Built:
    """A filter of tests."""

    compiled: bytes
    """All of it compiled."""

    cold: bytes
    """What a start does not call is cold."""


def names(library: Path, chosen: Sequence[str]) -> Iterator[str]:
    """Yields the modules of tests of some names below a directory of CPython's library: of a package those that `unittest` finds."""
    for name in chosen:
        yield from _names(library, library / "test" / name)


def _names(library: Path, path: Path) -> Iterator[str]:
    name = ".".join(path.relative_to(library).parts)
    start = path / "__init__.py"
    if path.with_suffix(".py").is_file():
        yield name
    elif start.is_file():
        if "TestCase" in start.read_text(errors="replace"):
            yield name
        for child in sorted(path.iterdir()):
            if child.is_dir() or (child.suffix == ".py" and child.name.startswith("test")):
                yield from _names(library, child.with_suffix(""))


def source(library: Path, name: str) -> Path:
    """Returns the file of a module of tests."""
    path = library.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def every(library: Path) -> list[str]:
    """Returns the names of all modules of tests, packages too."""
    return sorted(
        {path.stem for pattern in ("test_*", "datetimetester.py") for path in (library / "test").glob(pattern)}
    )


def divided(sizes: Mapping[str, int]) -> list[list[str]]:
    """Returns the modules in lots, by the bytes of their sources: the small ones first, so that a run that ends early has most."""
    lots: list[list[str]] = []
    room = 0
    for name in sorted(sizes, key=lambda name: sizes[name]):
        if not lots or len(lots[-1]) == TOGETHER or sizes[name] > room:
            lots.append([])
            room = TOGETHER_BYTES
        lots[-1].append(name)
        room -= sizes[name]
    return lots


def build(library: Path, modules: Sequence[str], work: Path) -> Built:
    """Returns a filter with these modules of tests; raises ToolchainError."""
    inputs = _inputs(library, modules, work)
    frozen = filter.freeze(inputs)
    return Built(frozen.module, filter.tiered(inputs, frozen).module)


def build_compiled(library: Path, modules: Sequence[str], work: Path) -> bytes:
    """Returns the same filter, all of it compiled."""
    return filter.freeze(_inputs(library, modules, work)).module


def _inputs(library: Path, modules: Sequence[str], work: Path) -> FilterInputs:
    work.mkdir(parents=True, exist_ok=True)
    (work / "conformance_modules.py").write_text(f"NAMES = {[*modules]!r}\n")
    # Tests import whatever they like by computed names.
    keep = ("encodings", *sorted({*_builtins()} - {"_sqlite3"}))
    return FilterInputs(
        Path("toolchain"), Path("proxy_wasm/abi.toml"), (work, Path(), library), "tests.conformance.guest", keep=keep
    )


def _builtins() -> Sequence[str]:
    names: Sequence[str] = Sources([], Path("toolchain/stdlib.zip")).late_index["builtin"]
    return names


def read_outcomes(lines: Sequence[Sequence[str]]) -> tuple[Outcomes, str]:
    """Returns what tests came to by the guest's answers, and the test that had begun and not ended, if there is one."""
    found: Outcomes = {}
    running = ""
    for words in lines:
        if words[0] == "begins":
            running = words[1]
        elif words[0] == "ended":
            found[words[1]] = Outcome(words[2], _CHANCE.sub("…", words[3]))
            running = ""
    return found, running


class _Host(Host):
    """A host that tells when its guest says something."""

    said: Callable[[], None] = staticmethod(lambda: None)

    def proxy_log(self, level: int, message: bytes) -> None:
        """Keeps the line."""
        super().proxy_log(level, message)
        self.said()


class _Vm(WasmModule):
    """A VM with so much memory, and with its time anew whenever it says something: when a test begins."""

    def __init__(self, module: bytes, cache: Path, limit_seconds: float) -> None:
        host = _Host()
        super().__init__(module, host, cache, limit_seconds)
        self._store.set_limits(memory_size=MEMORY)
        host.said = self._begin_anew

    def _begin_anew(self) -> None:
        watch = self._watch
        if watch is not None and watch.running is not None:
            watch.running = watch.running[0], time.process_time()


class Runner:
    """Runs tests in VMs of one module: after one that ends its VM comes a new VM."""

    def __init__(self, module: bytes, cache: Path, limit_seconds: float) -> None:
        self._module, self._cache, self._limit_seconds = module, cache, limit_seconds
        self._vm: _Vm | None = None

    def version(self) -> str:
        """Returns the version of CPython in the module."""
        [[_, found]], _end = self._command({"version": ""})
        return found

    def classes(self, name: str) -> tuple[list[str], str]:
        """Returns the classes of a module of tests, or why it is not there."""
        lines, _ = self._command({"classes": name})
        absent = [words[1] for words in lines if words[0] == "absent"]
        return [words[1] for words in lines if words[0] == "class"], next(iter(absent), "")

    def run(self, name: str, cls: str, without: Collection[str] = ()) -> Outcomes:
        """Runs a class of tests but for some. After one that ends the VM the others run without it, so that all have an outcome."""
        found: Outcomes = {}
        while True:
            lines, end = self._command({"run": name, "class": cls, "without": [*without, *found]})
            outcomes, running = read_outcomes(lines)
            found.update(outcomes)
            if running:
                found[running] = end or Outcome("failed", "it ended the run of its class")
            elif end:
                found[f"{name}.{cls}"] = end
            if not running:
                return found

    def _command(self, command: dict[str, object]) -> tuple[list[list[str]], Outcome | None]:
        if self._vm is None:
            self._vm = _Vm(self._module, self._cache, self._limit_seconds)
            assert self._vm.start()
        vm, end = self._vm, None
        vm.host.logs.clear()
        try:
            vm.configure(json.dumps(command).encode())
        except GuestStuck:
            end = Outcome("did not end")
        except GuestExit as error:
            end = Outcome("ended the VM", str(error))
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            end = Outcome("ended the VM", str(error).splitlines()[-1].strip())
        if end:
            self._vm = None
        return [text[1:].split("\t") for _, text in vm.host.logs if text.startswith("\t")], end
