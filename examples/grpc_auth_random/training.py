"""What the filter does all day, for the build: "Starting fast" in the author's guide says why."""

from collections.abc import Iterator

from proxy_wasm.testing import training


def train(module: bytes) -> Iterator[bytes]:
    vm = training.start(module)
    vm.start()
    training.configured(vm)
    for status in (2, 5):
        exchange = vm.exchange()
        exchange.request({"content-type": "application/grpc"})
        vm.grpc_close(list(vm.host.grpc_calls)[-1], status)
        exchange.close()
    training.exchange(vm)
    yield vm.memory
