"""What the filter does all day, for the build: "Starting fast" in the author's guide says why."""

from collections.abc import Iterator

from proxy_wasm.testing import training


def train(module: bytes) -> Iterator[bytes]:
    vm = training.start(module)
    vm.start(configuration=b'{"header": "x-wasm-header", "value": "demo-wasm"}')
    training.configured(vm)
    training.exchange(vm, {"test": "worst"})
    training.exchange(vm, {":path": "/hello"})
    yield vm.memory
