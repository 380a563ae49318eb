"""The builder's VM: CPython under wasmtime, in a world that is the same everywhere.

A fixed clock, randomness from a hash chain, and nothing to read but what the builder answers. Its state can be written into a module.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import re
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import wasmtime

from toolchain.boundary import generate as boundary
from toolchain.memo import Memo, answered
from toolchain.tools import ToolchainError, read
from toolchain.vm import heap
from toolchain.vm.calling import Part
from toolchain.vm.late import Import
from toolchain.vm.sources import Found
from toolchain.wasm.code import data_segment, expression, i32_const, i64_const
from toolchain.wasm.format import (
    DATA,
    DATA_COUNT,
    GLOBAL_KIND,
    I32,
    I64,
    MEMORY,
    PAGE,
    Export,
    Global,
    Module,
    leb,
    limits,
    vector,
)

EPOCH_NANOSECONDS = 1_700_000_000 * 10**9
_SEED = b"proxy-wasm snapshot"
_NOT_FOUND, _UNIMPLEMENTED = 1, 12
_WASI_NOSYS = 52
_MONOTONIC = 1
_TELL_SECONDS, _LIMIT_SECONDS = 10, 60  # of the processor's time
_ENDING = (signal.SIGINT, signal.SIGTERM)
_READING = ("imported.py", "named.py")  # the programs that read sources
_MAX_SEGMENTS = 60_000  # V8 takes 100,000
_GAPS = (10, 16, 32, 64, 128, 256, 1024, PAGE)

Answers = dict[bytes, Callable[[str], bytes]]
"""What the program in it (boot/boot.py) can ask for: foreign functions by name, which no proxy has."""


@contextlib.contextmanager
def _heard() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yields the ends of a pair of sockets: what the second sends is read from the first, and so is each signal's number.

    While WebAssembly runs, Python does not hear of a signal otherwise.
    """
    signals, over = socket.socketpair()
    with signals, over:
        over.setblocking(False)
        before = None
        with contextlib.suppress(ValueError):  # this is not the main thread
            before = signal.set_wakeup_fd(over.fileno())
        try:
            yield signals, over
        finally:
            if before is not None:
                signal.set_wakeup_fd(before)


class BuilderVm:
    """An instance of the runtime, or of what becomes it, with the builder's host functions."""

    def __init__(self, engine: wasmtime.Engine, module: wasmtime.Module, answers: Answers) -> None:
        self.answers = answers
        self.drawn = 0
        self.engine = engine
        self.store = wasmtime.Store(engine)
        self.store.set_epoch_deadline(1)
        linker = wasmtime.Linker(engine)
        functions: dict[str, Callable[..., int]] = {
            "proxy_log": self._log,
            "proxy_call_foreign_function": self._call_foreign_function,
            "random_get": self._random_get,
            "clock_time_get": self._clock_time_get,
            "proc_exit": self._proc_exit,
        }
        for imported in module.imports:
            default = _UNIMPLEMENTED if imported.module == "env" else _WASI_NOSYS
            function = functions.get(imported.name or "", lambda *_, status=default: status)
            linker.define_func(imported.module, imported.name or "", imported.type, function)  # type: ignore[arg-type]
        self.exports = linker.instantiate(self.store, module).exports(self.store)
        memory = self.exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        self.memory = memory

    def call(self, name: str, *arguments: int) -> Any:
        """Calls an exported function."""
        function = self.exports[name]
        assert isinstance(function, wasmtime.Func)
        return function(self.store, *arguments)

    def python(self, function: str, argument: bytes) -> bytes:
        """Calls a function of boot.py, or raises `ToolchainError` where that raises an exception, which is printed."""
        name = self._give(function.encode() + b"\0")
        address = self._give(argument)
        answer = self.call("build_call", name, address, len(argument))
        self.call("build_free", name)
        self.call("build_free", address)
        if not answer:
            raise ToolchainError(f"CPython failed in {function}")
        return self._read(self._word(answer), self._word(answer + 4))

    @contextlib.contextmanager
    def limited(self, what: str) -> Iterator[None]:
        """Says that something takes long, and in the end raises `ToolchainError` with where the filter's module stands."""
        begin = time.process_time()  # what else runs on the machine does not count
        interrupted = threading.Event()

        def watch(over: socket.socket) -> None:
            told = False
            while not select.select([over], [], [], _TELL_SECONDS / 4)[0]:
                seconds = time.process_time() - begin
                if seconds > _LIMIT_SECONDS:
                    interrupted.set()
                    break
                if seconds > _TELL_SECONDS and not told:
                    told = True
                    print(f"{what} takes long; it is ended after {_LIMIT_SECONDS} s", file=sys.stderr)
            if interrupted.is_set() or over.recv(1)[0] in _ENDING:
                self.engine.increment_epoch()

        with _heard() as (signals, over):
            watcher = threading.Thread(target=watch, args=(signals,), daemon=True)
            watcher.start()
            try:
                yield
            except wasmtime.Trap:
                if not interrupted.is_set():
                    raise
                self.store.set_epoch_deadline(1)
                place = self.python("where", b"").decode()
                raise ToolchainError(f"{what} did not end within {_LIMIT_SECONDS} s; it stands in\n{place}") from None
            finally:
                over.send(b"\0")
                watcher.join()

    def has_text(self, name: str) -> bool:
        """Tells whether a name ends a text somewhere in the data of CPython and its libraries, which lies before the heap."""
        return name.encode() + b"\0" in self._names

    @functools.cached_property
    def _names(self) -> bytes:
        # Only the ends of texts that can be names: a search through everything takes milliseconds.
        return b"".join(re.findall(rb"\w+\0", self._read(0, self.call("build_heap"))))

    def start(self) -> None:
        """Starts CPython in the libraries' pristine memory."""
        for step in (boundary.BUILD_RELOCATE, boundary.BUILD_CONSTRUCT):
            for name in self.exports:
                if name.startswith(step):
                    self.call(name)
        error = self.call("build_start")
        if error:
            text = bytes(self.memory.read(self.store, error))
            raise ToolchainError(f"CPython does not start: {text[: text.index(0)].decode()}")

    def write_state(self, module: Module, coarse: bool = False) -> None:
        """Makes this VM's state the initial state of the module that it runs: memory, its size, and globals.

        Coarse segments are fewer and larger, for a module whose memory is packed after this.
        """
        module.put_globals(
            Global(g.type, True, _constant(g.type, self._global(i))) if g.mutable else g
            for i, g in enumerate(module.globals())
        )
        module.put(MEMORY, vector([limits(self.memory.size(self.store))]))
        memory = bytearray(self.memory.read(self.store))
        heap.clear_free_chunks(memory, -(-self.call("build_heap") // PAGE) * PAGE)
        # The stack lies below everything else.
        stack = min(self._global(i) for i, g in enumerate(module.globals()) if g.mutable)
        memory[:stack] = bytes(stack)
        segments = _segments(memory, _GAPS[-2:] if coarse else _GAPS)
        module.put(DATA, vector(data_segment(address, data) for address, data in segments))
        module.put(DATA_COUNT, leb(len(segments)))

    def _global(self, index: int) -> int:
        value = self.exports[f"{boundary.BUILD_GLOBAL}{index}"]
        assert isinstance(value, wasmtime.Global)
        return int(value.value(self.store))

    def _read(self, address: int, size: int) -> bytes:
        return bytes(self.memory.read(self.store, address, address + size))

    def _write(self, address: int, data: bytes) -> None:
        self.memory.write(self.store, data, address)

    def _give(self, data: bytes) -> int:
        address = int(self.call("proxy_on_memory_allocate", len(data)))
        self._write(address, data)
        return address

    def _word(self, address: int) -> int:
        return int.from_bytes(self._read(address, 4), "little")

    def _log(self, level: int, message: int, size: int) -> int:
        print(self._read(message, size).decode(errors="replace"), file=sys.stderr)
        return 0

    def _call_foreign_function(
        self, name: int, name_size: int, argument: int, size: int, out: int, out_size: int
    ) -> int:
        answer = self.answers.get(self._read(name, name_size))
        if answer is None:
            return _NOT_FOUND
        found = answer(self._read(argument, size).decode())
        self._write(out, self._give(found).to_bytes(4, "little"))
        self._write(out_size, len(found).to_bytes(4, "little"))
        return 0

    def _random_get(self, address: int, size: int) -> int:
        drawn = b""
        while len(drawn) < size:
            drawn += hashlib.sha256(_SEED + self.drawn.to_bytes(8, "little")).digest()
            self.drawn += 1
        self._write(address, drawn[:size])
        return 0

    def _clock_time_get(self, clock: int, precision: int, address: int) -> int:
        now = 0 if clock == _MONOTONIC else EPOCH_NANOSECONDS
        self._write(address, now.to_bytes(8, "little"))
        return 0

    def _proc_exit(self, status: int) -> int:
        raise ToolchainError(f"the filter ended CPython with exit status {status} while it was imported")


class Compiler:
    """Compiles Python in a VM of its own, so that what compiling leaves in memory is in no filter.

    The VM is made when something is asked that the memo does not know.
    """

    def __init__(self, make: Callable[[], BuilderVm], memo: Memo | None = None) -> None:
        self._make = make
        self._memo = memo
        self._reads_imports = False

    @functools.cached_property
    def _vm(self) -> BuilderVm:
        return self._make()

    def answer(self, module: Found | None) -> bytes:
        """Returns a module as boot.py's finder expects it; nothing for None.

        The standard library loses its docstrings, as it is made to by `python -OO`; what it asserts stays.
        """
        if module is None:
            return b""
        return f"{module.kind}{module.origin}\0".encode() + (b"" if module.kind == "N" else self._code(module))

    def compiles(self, module: Found) -> bool:
        """Tells whether a module has code, or needs none."""
        return module.kind == "N" or self._code(module) != b""

    def _code(self, module: Found) -> bytes:
        source = module.origin.encode() + b"\0" + module.source
        return self.stripped(source) if module.standard else self._compiled(b"D" + source)

    def stripped(self, source: bytes) -> bytes:
        """Returns marshalled code without docstrings, given an origin, a NUL and the source."""
        return self._compiled(b"S" + source)

    def _compiled(self, request: bytes) -> bytes:
        return self._asked("compile_module", request, lambda: self._vm)

    def pack(self, data: bytes) -> bytes:
        """Compresses, the same way on every machine."""
        return self._asked("pack", data, lambda: self._vm)

    def packed(self, module: Found | None) -> bytes:
        """Returns `answer`, compressed."""
        return self.pack(self.answer(module))

    def imports(self, module: Found) -> list[Import]:
        """Returns what a module's source imports; nothing for one that does not compile."""
        found = self._read_imports("imports", module.origin.encode() + b"\0" + module.source)
        return [Import(*entry) for entry in found]

    def parts(self, module: Found) -> list[Part]:
        """Returns the parts of a module's source, with what they name; nothing for one that does not compile."""
        found = self._read_imports("named", module.origin.encode() + b"\0" + module.source)
        return [Part(*entry) for entry in found]

    def builtin_names(self) -> list[str]:
        """Returns the names of the modules that are built in."""
        return list(self._read_imports("builtin_names", b""))

    def python_version(self) -> str:
        """Returns the version of the CPython that compiles, which is the filter's, such as 3.14.0."""
        return self._asked("python_version", b"", self._reader).decode()

    def _asked(self, function: str, argument: bytes, vm: Callable[[], BuilderVm]) -> bytes:
        return answered(self._memo, function, argument, lambda: vm().python(function, argument))

    def _read_imports(self, function: str, argument: bytes) -> Any:
        return ast.literal_eval(self._asked(function, argument, self._reader).decode())

    def _reader(self) -> BuilderVm:
        if not self._reads_imports:
            for program in _READING:
                self._start(Path(__file__).with_name(program))
            self._reads_imports = True
        return self._vm

    def _start(self, path: Path) -> None:
        program = self.answer(Found("M", path.name, read(path), False))
        self._vm.answers[b"build.code"] = lambda name: program if name == path.stem else b""
        self._vm.answers[b"build.source"] = lambda origin: b""
        error = self._vm.python("load", path.stem.encode())
        if error:
            raise ToolchainError(f"{path.name} does not start:\n{error.decode()}")


def make_engine() -> wasmtime.Engine:
    """Returns the engine of every build: not a number is the same bits on every processor."""
    config = wasmtime.Config()
    config.cranelift_nan_canonicalization = True
    config.cranelift_opt_level = "none"
    config.epoch_interruption = True
    return wasmtime.Engine(config)


def export_globals(module: Module) -> None:
    """Exports the mutable globals: they are state, which `write_state` has to read."""
    imported = sum(i.kind == GLOBAL_KIND for i in module.imports())
    exported = [
        Export(f"{boundary.BUILD_GLOBAL}{index}", GLOBAL_KIND, imported + index)
        for index, value in enumerate(module.globals())
        if value.mutable
    ]
    module.put_exports([e for e in module.exports() if not e.name.startswith(boundary.BUILD_GLOBAL)] + exported)


def _constant(kind: int, value: int) -> bytes:
    if kind not in (I32, I64):
        raise ToolchainError(f"the runtime has a mutable global of type {kind:#x}, which a snapshot cannot hold")
    return expression(i32_const(value) if kind == I32 else i64_const(value))


def _segments(memory: bytearray, gaps: Sequence[int] = _GAPS) -> list[tuple[int, bytes]]:
    """Returns the stretches of memory that are not zero, joined over gaps: of these the smallest with which there are few enough."""
    for gap in gaps:
        segments = [*_stretches(memory, gap)]
        if len(segments) <= _MAX_SEGMENTS:
            break
    return segments


def _stretches(memory: bytearray, gap: int) -> Iterator[tuple[int, bytes]]:
    """Yields what lies between stretches of zeros of at least a gap's size, with its address."""
    zeros, something = bytes(gap), re.compile(rb"[^\0]")
    found = something.search(memory)
    while found:
        begin, end = found.start(), memory.find(zeros, found.start())
        if end < 0:
            yield begin, bytes(memory[begin:]).rstrip(b"\0")
            return
        yield begin, bytes(memory[begin:end])
        found = something.search(memory, end)
