"""Counts requests in all workers together: each has a VM of its own, and shared data is common to them."""

import proxy_wasm
from proxy_wasm import CasMismatchError, HttpContext

KEY = "requests"


def count() -> int:
    """Adds one to the shared number, and returns it."""
    while True:
        value, cas = proxy_wasm.get_shared_data(KEY) or (b"0", 0)
        number = int(value) + 1
        try:
            proxy_wasm.set_shared_data(KEY, str(number), cas)
        except CasMismatchError:
            continue  # another worker was faster
        return number


class Request(HttpContext):
    def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        print(f"shared value: {count()}")


class Plugin(proxy_wasm.RootContext):
    http_context = Request

    def on_vm_start(self, configuration: bytes) -> bool:
        if proxy_wasm.get_shared_data(KEY) is None:
            proxy_wasm.set_shared_data(KEY, "0")
        return True


proxy_wasm.register(Plugin)
