"""What the filter does all day, for the build: "Starting fast" in the author's guide says why."""

from collections.abc import Iterator

from proxy_wasm.testing import training
from proxy_wasm.testing.lifecycle import Vm

ANSWERS = {b"sessions": b'{"user": "ann"}', b"accounts": b'{"plan": "gold"}'}


def answer(vm: Vm) -> None:
    for call, made in list(vm.host.http_calls.items()):
        if not made.answered:
            vm.http_call_response(call, [(b":status", b"200")], ANSWERS[made.cluster])


def train(module: bytes) -> Iterator[bytes]:
    vm = training.start(module)
    vm.start()
    training.configured(vm)
    for _ in range(3):
        exchange = vm.exchange()
        exchange.request({"authorization": "Bearer ann"})
        answer(vm)  # who it is
        answer(vm)  # which plan
        exchange.respond(200)
        exchange.close()
    yield vm.memory
