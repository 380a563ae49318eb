"""Calls a foreign function of Envoy's, `compress`, each time the timer ticks."""

import proxy_wasm


class Plugin(proxy_wasm.RootContext):
    calls = 0

    def on_configure(self, configuration: bytes) -> bool:
        proxy_wasm.set_tick_period(1000)
        return True

    def on_tick(self) -> None:
        self.calls += 1
        compressed = proxy_wasm.call_foreign_function("compress", b"hello world!")
        print(f"foreign function (compress) called: {self.calls}, result: {compressed.hex()}")


proxy_wasm.register(Plugin)
