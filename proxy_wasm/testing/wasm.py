"""A built module on wasmtime: its imports are linked from the ABI table to a Host, its callbacks driven by a Vm."""

from __future__ import annotations

import hashlib
import secrets
import sys
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import wasmtime

from proxy_wasm.testing.abi import CALLBACKS, HOST_CALLS, STATUS, TABLE, VERSION, HostCall, Kind
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.lifecycle import Vm
from proxy_wasm.testing.records import HostStatus

_INFO, _ERROR = 2, 4
_FUEL = 1 << 62  # each instruction takes one of it
_ERRNO_BADF, _ERRNO_NOSYS = 8, 52

Code = bytes | bytearray | str | Path
"""A module, or where it is."""


class ModuleError(Exception):
    """The module is not one that this host, or Envoy, can run."""


class GuestExit(Exception):
    """The module called proc_exit."""


class GuestStuck(Exception):
    """A callback did not end within the time that it was given."""


class _Watch(threading.Thread):
    """Looks every second at the callback that runs: says that it takes long, and in the end interrupts it.

    Seconds are the processor's: what else runs on the machine does not count.
    """

    def __init__(self, engine: wasmtime.Engine, limit_seconds: float) -> None:
        super().__init__(daemon=True)
        self.engine, self.limit_seconds = engine, limit_seconds
        self.running: tuple[str, float] | None = None
        self.ended = False
        self.told: set[str] = set()

    def run(self) -> None:
        """Runs as long as the process does, or until it has ended a callback."""
        while not self.ended:
            time.sleep(min(1.0, self.limit_seconds / 4))
            running = self.running
            if running is None:
                continue
            callback, since = running
            seconds = time.process_time() - since
            if seconds > self.limit_seconds:
                self.ended = True
                self.engine.increment_epoch()
            elif seconds > self.limit_seconds / 6 and callback not in self.told:
                self.told.add(callback)
                print(
                    f"{callback} runs for {seconds:.0f} s; after {self.limit_seconds:.0f} s it is ended",
                    file=sys.stderr,
                )


class WasmModule(Vm):
    """A VM whose guest is a built core module.

    Raises ModuleError for a module that asks for what a proxy does not have, or lacks what it needs. With a cache
    directory the compiled code is kept there: compiling CPython takes seconds, reading it back a moment. With a limit, a
    callback that takes longer raises GuestStuck, after which the VM is of no use. `counted` is for `instructions`, and makes
    the module slower. So does `quick`, which compiles it in less time: for a VM that lives for a moment.
    """

    def __init__(
        self,
        module: Code,
        host: Host | None = None,
        cache: Path | None = None,
        limit_seconds: float | None = None,
        counted: bool = False,
        quick: bool = False,
    ) -> None:
        super().__init__(host)
        code = Path(module).read_bytes() if isinstance(module, str | Path) else bytes(module)
        interruptible = limit_seconds is not None
        engine = _engine(interruptible, counted, quick)
        # What was compiled for one kind of engine is of no use to another.
        kind = "-".join(["interruptible"] * interruptible + ["counted"] * counted + ["quick"] * quick) or "plain"
        compiled = _compile(engine, code, cache and cache / kind)
        self._store = wasmtime.Store(engine)
        if counted:
            self._store.set_fuel(_FUEL)
        self._watch: _Watch | None = None
        if limit_seconds is not None:
            self._store.set_epoch_deadline(1)
            self._watch = _Watch(engine, limit_seconds)
            self._watch.start()
        linker = wasmtime.Linker(engine)
        for item in compiled.imports:
            linker.define_func(item.module, item.name or "", _function_type(item), self._import(item))
        self._exports = linker.instantiate(self._store, compiled).exports(self._store)
        for required in ("memory", "proxy_on_memory_allocate", TABLE.version_export):
            if required not in self.exports:
                raise ModuleError(f"the module does not export {required}")
        self._memory: wasmtime.Memory = self._exports["memory"]  # type: ignore[assignment]
        self._allocate = self._function("proxy_on_memory_allocate")
        self._callbacks = {name: self._function(name) for name in CALLBACKS if name in self.exports}
        # A C program's constructors, and its main: as Envoy starts a module.
        for initializer in ("_initialize", "main"):
            if initializer in self.exports:
                self._function(initializer)()

    @property
    def exports(self) -> set[str]:
        """The names of what the module exports."""
        return set(self._exports)

    @property
    def memory_pages(self) -> int:
        """The size of the module's memory, in pages of 64 KiB."""
        return self._memory.size(self._store)

    @property
    def memory(self) -> bytes:
        """The module's memory, as it is now."""
        return bytes(self._memory.read(self._store))

    @property
    def instructions(self) -> int:
        """How many WebAssembly instructions ran so far; raises wasmtime.WasmtimeError in a VM that does not count them."""
        return _FUEL - self._store.get_fuel()

    def run_export(self, name: str) -> None:
        """Calls an exported function that is not of the ABI and takes nothing."""
        self._function(name)()

    def _function(self, name: str) -> Callable[..., Any]:
        function, store = self._exports[name], self._store
        if not isinstance(function, wasmtime.Func):
            raise ModuleError(f"the module's export {name} is not a function")
        return lambda *arguments: function(store, *arguments)

    def _call(self, callback: str, *arguments: int) -> int | None:
        function = self._callbacks.get(callback)
        if function is None:
            return None
        result: int | None = function(*arguments) if self._watch is None else self._watched(callback, arguments)
        return result

    def _watched(self, callback: str, arguments: tuple[int, ...]) -> int | None:
        watch = self._watch
        assert watch is not None
        watch.running = callback, time.process_time()
        try:
            result: int | None = self._callbacks[callback](*arguments)
            return result
        except wasmtime.Trap:
            if not watch.ended:
                raise
            raise GuestStuck(f"{callback} did not end within {watch.limit_seconds:.0f} s") from None
        finally:
            watch.running = None

    # ---- imports

    def _import(self, item: wasmtime.ImportType) -> Callable[..., int | None]:
        if item.module == "env" and item.name in HOST_CALLS:
            call = HOST_CALLS[item.name]
            self._check(item, call.wasm)
            return self._host_call(call)
        if item.module == "wasi_snapshot_preview1":
            answer: Callable[..., int | None] | None = getattr(self, "_wasi_" + str(item.name), None)
            return answer or (lambda *_: _ERRNO_NOSYS)
        raise ModuleError(f"the module imports {item.module}.{item.name}, which no Proxy-Wasm {VERSION} host has")

    @staticmethod
    def _check(item: wasmtime.ImportType, expected: list[str]) -> None:
        kind = _function_type(item)
        found = [str(parameter) for parameter in kind.params], [str(result) for result in kind.results]
        if found != (expected, ["i32"]):
            name = f"{item.module}.{item.name}"
            raise ModuleError(f"the module imports {name} as {found[0]} -> {found[1]}, but it is {expected} -> ['i32']")

    def _host_call(self, call: HostCall) -> Callable[..., int]:
        kinds = list(call.parameters.values())
        method = getattr(self.host, call.name, None)
        if method is None:
            return lambda *_: STATUS["UNIMPLEMENTED"]

        def answer(*words: int) -> int:
            try:
                self._answer(kinds, method, words)
            except HostStatus as status:
                return status.status
            return STATUS["OK"]

        return answer

    def _answer(self, kinds: list[Kind], method: Callable[..., Any], words: tuple[int, ...]) -> None:
        inputs: list[int | bytes] = []
        outputs: list[tuple[Kind, tuple[int, ...]]] = []
        at = 0
        for kind in kinds:
            given = words[at : at + len(kind.wasm)]
            at += len(kind.wasm)
            if kind.is_output:
                outputs.append((kind, given))
            elif kind.python == "int":
                # wasmtime's integers have a sign: an unsigned kind is read by its bits.
                inputs.append(given[0] if kind.least else given[0] & kind.most)
            else:
                inputs.append(self.read(*given))
        result = method(*inputs)
        results = result if len(outputs) > 1 else (result,) * len(outputs)
        for (kind, addresses), value in zip(outputs, results, strict=True):
            if kind.python == "int":
                self.write(addresses[0], value.to_bytes(kind.most.bit_length() // 8, "little"))
            else:
                self._write_u32(addresses[0], self.give(value))
                self._write_u32(addresses[1], len(value))

    # ---- memory

    def read(self, address: int, size: int) -> bytes:
        """Returns bytes of the module's memory; raises HostStatus for what lies outside."""
        address, size = address & 0xFFFFFFFF, size & 0xFFFFFFFF
        data = self._memory.read(self._store, address, address + size)
        if len(data) < size:
            raise HostStatus("INVALID_MEMORY_ACCESS")
        return bytes(data)

    def write(self, address: int, data: bytes) -> None:
        """Writes into the module's memory; raises HostStatus for what lies outside."""
        try:
            self._memory.write(self._store, data, address & 0xFFFFFFFF)
        except IndexError as error:
            raise HostStatus("INVALID_MEMORY_ACCESS") from error

    def give(self, data: bytes) -> int:
        """Puts bytes where the module allocates them; returns the address, or 0 for no bytes, as Envoy does."""
        if not data:
            return 0
        address: int = self._allocate(len(data))
        self.write(address, data)
        return address

    def _write_u32(self, address: int, value: int) -> None:
        self.write(address, (value & 0xFFFFFFFF).to_bytes(4, "little"))

    # ---- WASI, as far as Envoy has it

    def _wasi_random_get(self, address: int, size: int) -> int:
        self.write(address, self.host.random(size))
        return 0

    def _wasi_clock_time_get(self, clock: int, precision: int, address: int) -> int:
        self.write(address, self.host.read_clock().to_bytes(8, "little"))
        return 0

    def _wasi_fd_write(self, descriptor: int, vectors: int, count: int, written: int) -> int:
        if descriptor not in (1, 2):
            return _ERRNO_BADF
        text = b""
        for entry in range(vectors, vectors + 8 * count, 8):
            words = self.read(entry, 8)
            text += self.read(int.from_bytes(words[:4], "little"), int.from_bytes(words[4:], "little"))
        self.host.proxy_log(_INFO if descriptor == 1 else _ERROR, text)
        self._write_u32(written, len(text))
        return 0

    def _wasi_environ_sizes_get(self, count: int, size: int) -> int:
        self._write_u32(count, 0)
        self._write_u32(size, 0)
        return 0

    def _wasi_environ_get(self, addresses: int, texts: int) -> int:
        return 0

    def _wasi_args_sizes_get(self, count: int, size: int) -> int:
        return self._wasi_environ_sizes_get(count, size)

    def _wasi_args_get(self, addresses: int, texts: int) -> int:
        return 0

    def _wasi_proc_exit(self, code: int) -> None:
        raise GuestExit(f"the module called proc_exit({code})")


def _engine(interruptible: bool, counted: bool, quick: bool) -> wasmtime.Engine:
    config = wasmtime.Config()
    config.cranelift_opt_level = "none" if quick else "speed"
    config.epoch_interruption = interruptible
    config.consume_fuel = counted
    # CPython's guard against deep recursion counts with V8's stack, of 984 KiB, and with V8's frames, which are smaller.
    config.max_wasm_stack = 2 << 20
    for feature in ("wasm_reference_types", "wasm_function_references", "wasm_gc", "wasm_exceptions"):
        # Older releases of wasmtime do not know every one of them.
        if hasattr(type(config), feature):
            setattr(config, feature, True)
    return wasmtime.Engine(config)


def _compile(engine: wasmtime.Engine, code: bytes, cache: Path | None) -> wasmtime.Module:
    try:
        if cache is None:
            return wasmtime.Module(engine, code)
        kept = cache / f"{hashlib.sha256(code).hexdigest()}-{version('wasmtime')}.cwasm"
        if kept.exists():
            return wasmtime.Module.deserialize_file(engine, str(kept))
        compiled = wasmtime.Module(engine, code)
    except wasmtime.WasmtimeError as error:
        raise ModuleError(f"wasmtime does not take the module: {error}") from error
    cache.mkdir(parents=True, exist_ok=True)
    # Another process may be at it too: whole files only.
    partial = kept.with_suffix(f".{secrets.token_hex(8)}")
    partial.write_bytes(compiled.serialize())
    partial.replace(kept)
    return compiled


def _function_type(item: wasmtime.ImportType) -> wasmtime.FuncType:
    if not isinstance(item.type, wasmtime.FuncType):
        raise ModuleError(f"the module imports {item.module}.{item.name}, which is not a function")
    return item.type
