"""What the filter does all day, for the build: "Starting fast" in the author's guide says why."""

from collections.abc import Iterator

from proxy_wasm.testing import training


def train(module: bytes) -> Iterator[bytes]:
    vm = training.start(module)
    vm.start(configuration=b'{"requiredKeys": ["id", "token"]}')
    training.configured(vm)
    for body in (b'{"id": "abc123", "token": "xyz456"}', b'{"id": "abc123"}', b"no JSON"):
        training.exchange(vm, {}, [body])
    yield vm.memory
