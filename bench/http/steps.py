"""The WebAssembly instructions of a request, counted by wasmtime: a number that no other program on the machine changes."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.http.client import HEADERS
from bench.http.variants import SMALL, Variant
from bench.proxy import binary
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.wasm import WasmModule

_WARM_UP, _COUNTED = 300, 20
"""Numbers of contexts and calls are beyond 256 then, as in a proxy that has run for a while: CPython has smaller ones ready made."""
_WARN = 3
_SENT = HEADERS | {"user-agent": "h2load", "x-forwarded-proto": "http"}
_REQUESTS = itertools.count()
"""Each request has an id of its own, as Envoy gives it one: what is kept of other requests does not serve for it."""
_ANSWERED = {"content-length": str(SMALL), "content-type": "text/plain", "date": "now", "server": "envoy"}
_BODY = b"a" * SMALL


def serve(vm: WasmModule) -> int:
    """Takes one request through a filter, the answer to its question too; returns the instructions that it took."""
    exchange = vm.exchange()
    before = vm.instructions
    exchange.request({":path": "/path", "x-request-id": f"{next(_REQUESTS):036}"} | _SENT)
    for call, made in list(vm.host.http_calls.items()):
        if not made.answered:
            vm.http_call_response(call, {":status": "200"} | _ANSWERED, _BODY)
        del vm.host.http_calls[call]
    exchange.respond(200, _ANSWERED, _BODY)
    exchange.close()
    return vm.instructions - before


def started(variant: Variant, host: Host, cache: Path) -> WasmModule:
    """Returns a VM of a variant that counts its instructions."""
    assert variant.module
    host.log_level = _WARN
    vm = WasmModule(binary(variant.module, cache).read_bytes(), host, cache=cache, counted=True)
    assert vm.start()
    return vm


def count(variants: Sequence[Variant]) -> dict[str, int]:
    """Returns the instructions of a request, on average, for each variant that is a module."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="bench-steps-") as cache:
        for variant in variants:
            if variant.module:
                vm = started(variant, Host(), Path(cache))
                taken = [serve(vm) for _ in range(_WARM_UP + _COUNTED)]
                found[variant.name] = round(sum(taken[_WARM_UP:]) / _COUNTED)
    return found
