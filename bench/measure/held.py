"""What a connection that is held takes of a VM's memory: many are opened, none is closed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.proxy import binary
from bench.variants import Variant
from proxy_wasm.testing.wasm import WasmModule

_WARM_UP = 500
_PAGE = 1 << 16
_WARN = 3


def measure(variants: Sequence[Variant], connections: int, work: Path) -> dict[str, float]:
    """Returns by how many bytes the guest's memory grows for each connection, for each variant that is a module.

    Memory grows by pages of 64 KiB, and what was free before is used first: 0 means that all of them found room.
    """
    found = {}
    for variant in variants:
        if variant.module:
            # Counted, as it has been compiled for `instructions`.
            vm = WasmModule(binary(variant.module, work), cache=work, counted=True)
            vm.host.log_level = _WARN
            vm.host.foreign_functions[b"set_envoy_filter_state"] = lambda argument: b""
            assert vm.start(b"", b"standalone")
            _hold(vm, _WARM_UP)
            before = vm.memory_pages
            _hold(vm, connections)
            found[variant.name] = (vm.memory_pages - before) * _PAGE / connections
    return found


def _hold(vm: WasmModule, connections: int) -> None:
    for number in range(connections):
        vm.connection(source=f"127.22.{number >> 8}.{number & 255}:50000").new_connection()
