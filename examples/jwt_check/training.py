"""What the filter does all day, for the build: "Starting fast" in the author's guide says why."""

from collections.abc import Iterator

from proxy_wasm.testing import training

TOKEN = (
    "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiYWxpY2UiLCAiZXhwIjogNDAwMDAwMDAwMH0"
    ".JCriszo73e12RXuo-wkOdE5S1hLjId8NfeEVZ5Q9-h0"
)


def train(module: bytes) -> Iterator[bytes]:
    vm = training.start(module)
    vm.start(configuration=b'{"key": "a key"}')
    training.configured(vm)
    for token in (TOKEN, "no.token"):
        training.exchange(vm, {"authorization": f"Bearer {token}"})
    yield vm.memory
