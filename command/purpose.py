"""What a built filter is told by the proxy: of connections, of requests, or of neither."""

from __future__ import annotations

from proxy_wasm.testing.abi import CALLBACKS
from toolchain.wasm.format import FUNC_KIND, Module

TCP, HTTP = "stream", "http"
"""The kinds of contexts, as the ABI's table names them."""

_ATTRIBUTES = {TCP: "stream_context", HTTP: "http_context"}
_SEES = {TCP: "connections", HTTP: "requests"}
_OF_START_AND_END = {"on_context_create", "on_vm_start", "on_configure", "on_done"}
_CONTEXTS = {callback.method: set(callback.contexts) for callback in CALLBACKS.values()}


def heard(module: bytes) -> frozenset[str]:
    """Returns the callbacks of a filter's module, as its contexts name them."""
    exports = {export.name for export in Module(module).exports() if export.kind == FUNC_KIND}
    return frozenset(callback.method for name, callback in CALLBACKS.items() if name in exports)


def idle(callbacks: frozenset[str]) -> list[str]:
    """Returns a sentence if a filter is called at its start and its end alone."""
    if callbacks - _OF_START_AND_END:
        return []
    return [
        "the filter sees no connection and no request: its root has no stream_context, no http_context, and no callback "
        "such as on_tick"
    ]


def unheard(callbacks: frozenset[str], listener: str, http: bool) -> list[str]:
    """Returns a sentence if a listener has what a filter does not look at, while the filter looks at the other kind."""
    given, other = (HTTP, TCP) if http else (TCP, HTTP)
    kinds = {kind for kind in (TCP, HTTP) for name in callbacks if _CONTEXTS[name] == {kind}}
    if given in kinds or other not in kinds:
        return []
    return [
        f"the listener {listener} gives the filter {_SEES[given]}, and it has no {_ATTRIBUTES[given]}: it will see none; "
        f"--{'tcp' if http else 'http'} takes an envoy.yaml with {_SEES[other]}"
    ]
