"""Greets when the VM starts, and then tells the time and a random number every five seconds."""

import random
from datetime import UTC, datetime

import proxy_wasm


class HelloWorld(proxy_wasm.RootContext):
    def on_vm_start(self, configuration: bytes) -> bool:
        print("Hello, World!")
        proxy_wasm.set_tick_period(5000)
        return True

    def on_tick(self) -> None:
        now = datetime.now(UTC)
        print(f"It's {now:%H:%M:%S} UTC, your lucky number is {random.randrange(38)}.")


proxy_wasm.register(HelloWorld)
