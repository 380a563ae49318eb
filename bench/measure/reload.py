"""How long a connection waits for a new VM after a trap, which Envoy makes of the compiled module (`FAIL_RELOAD`).

The module is measured with one callback more, which traps: each connection ends the VM that it ran in, after its reply. So each waits
for a VM of its own, from connect to first byte.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench import load
from bench.intervals import Interval, bootstrap, interval
from bench.proxy import binary, configured
from bench.variants import Variant, add_options, chosen
from envoy import configuration, process
from toolchain.wasm import format as wasm
from toolchain.wasm import opcodes

CALLBACK = "proxy_on_downstream_connection_close"
_TYPE = wasm.FunctionType(b"\x7f\x7f", b"")
_BACKOFF_SECONDS = 0.01
"""Envoy's pause between two VMs, which it makes up to half as long again. Of one millisecond Envoy 1.40 ends: it divides by its half."""
_PAUSE_SECONDS = 2 * _BACKOFF_SECONDS
"""Between two connections."""
_WAIT_SECONDS = 30.0


def trapping(module: bytes) -> bytes:
    """Returns a module that traps when a connection is closed; raises ValueError if it has a callback for that."""
    made = wasm.Module(module)
    exports = made.exports()
    if any(export.name == CALLBACK for export in exports):
        raise ValueError(f"the module has {CALLBACK} already")
    types, functions = made.types(), wasm.Reader(made.get(wasm.FUNCTION)).numbers()
    index = len(list(made.function_types()))
    if _TYPE not in types:
        types.append(_TYPE)
        made.put_types(types)
    made.put(wasm.FUNCTION, wasm.vector(map(wasm.leb, [*functions, types.index(_TYPE)])))
    made.put_bodies([*made.bodies(), bytes([0, opcodes.UNREACHABLE, opcodes.END])])
    made.put_exports([*exports, wasm.Export(CALLBACK, wasm.FUNC_KIND, index)])
    return made.encode()


def measure(variant: Variant, routers: load.Routers, repeats: int, work: Path) -> Interval:
    """Returns the median of the seconds from connect to first byte where a VM is made between; raises LoadError without a reply."""
    if variant.module is None:
        raise ValueError(f"{variant.name} is no module")
    module = work / f"{variant.name}.trapping.wasm"
    module.write_bytes(trapping(binary(variant.module, work).read_bytes()))
    made = configured([replace(variant, module=module)], routers.ports, work)
    configuration.plugin(made, variant.name)["reload_config"] = {"backoff": {"base_interval": f"{_BACKOFF_SECONDS}s"}}
    with process.run(made, work, 1, "off") as envoy:
        port = envoy.listeners[variant.name]
        took = [_after_a_pause(port) for _ in range(repeats + 1)][1:]  # the first one has the first VM
        reloads = envoy.counter(f"wasm.{configuration.plugin(made, variant.name)['name']}.vm_reload_success")
    if reloads < repeats:
        raise load.LoadError(f"{variant.name}: {reloads} VMs were made after {repeats} traps")
    drawn = bootstrap(np.array(took)[:, None], lambda column: np.median(column, keepdims=True))
    return interval(float(np.median(took)), drawn)


def _after_a_pause(address: tuple[str, int]) -> float:
    time.sleep(_PAUSE_SECONDS)
    return load.first_byte(address, _WAIT_SECONDS)


def main() -> None:
    """Prints what some modules take: the quick judge while one makes a VM's start quicker."""
    parser = argparse.ArgumentParser(prog="reload", description="How long a connection waits for a new VM.")
    parser.add_argument("--repeats", type=int, default=20, help="traps of each module (default: 20)")
    add_options(parser)
    options = parser.parse_args()
    try:
        variants: Sequence[Variant] = [variant for variant in chosen(options) if variant.module]
    except ValueError as error:
        sys.exit(f"reload: {error}")
    with load.routers() as routers, tempfile.TemporaryDirectory(prefix="bench-reload-") as work:
        for variant in variants:
            print(f"{variant.name:<10} {measure(variant, routers, options.repeats, Path(work))} s", flush=True)


if __name__ == "__main__":
    main()
