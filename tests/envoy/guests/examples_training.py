"""Requests and a connection through two of the examples: the others' own code is interpreted, which a test can wait for."""

from __future__ import annotations

from collections.abc import Iterator

from proxy_wasm.testing import training


def train(module: bytes) -> Iterator[bytes]:
    """Yields the memory of a VM for each example that was run."""
    vm = training.start(module)
    vm.start(configuration=b'{"header": "x-wasm-header", "value": "demo-wasm"}', root_id=b"http_headers")
    training.configured(vm)
    training.exchange(vm, {"test": "worst"}, [b"body"])
    yield vm.memory
    vm = training.start(module)
    vm.start(root_id=b"network")
    training.configured(vm)
    connection = vm.connection()
    connection.new_connection()
    connection.downstream_data(b"ping")
    connection.upstream_data(b"pong")
    connection.close()
    yield vm.memory
