"""Splits users into two variants, always the same for the same user, and reports how each does, in JSON.

Each VM counts for itself, and adds its counts to the shared ones when the timer ticks.
"""

import hashlib
import json

import proxy_wasm
from proxy_wasm import CasMismatchError, HttpContext

KEY = "ab_report"

Counts = dict[str, dict[str, int]]


def variant_of(user: bytes, percent: int) -> str:
    """Returns "b" for this part of the users, and "a" for the others."""
    number = int.from_bytes(hashlib.sha256(user).digest()[:8], "big")
    return "b" if number % 100 < percent else "a"


class Request(HttpContext):
    root: "Plugin"
    variant = "a"

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        user = self.request_headers.get("x-user") or b""
        self.variant = variant_of(user, self.root.percent)
        self.request_headers["x-variant"] = self.variant

    def on_response_headers(self, header_count: int, end_of_stream: bool) -> None:
        self.response_headers["x-variant"] = self.variant
        counts = self.root.counts[self.variant]
        counts["requests"] += 1
        counts["errors"] += self.response_headers[":status"] >= b"500"


class Plugin(proxy_wasm.RootContext):
    http_context = Request

    def on_configure(self, configuration: bytes) -> bool:
        self.percent: int = json.loads(configuration)["percent"]
        self.counts = no_counts()
        proxy_wasm.set_tick_period(1000)
        return True

    def on_tick(self) -> None:
        if self.counts != no_counts():
            print(json.dumps(share(self.counts)))
            self.counts = no_counts()


def no_counts() -> Counts:
    return {variant: {"requests": 0, "errors": 0} for variant in ("a", "b")}


def share(counts: Counts) -> Counts:
    """Adds counts to those of all VMs, and returns the sums."""
    while True:
        value, cas = proxy_wasm.get_shared_data(KEY) or (b"", 0)
        shared: Counts = json.loads(value) if value else no_counts()
        for variant, numbers in counts.items():
            for name, number in numbers.items():
                shared[variant][name] += number
        try:
            proxy_wasm.set_shared_data(KEY, json.dumps(shared), cas)
        except CasMismatchError:
            continue  # another VM was faster
        return shared


proxy_wasm.register(Plugin)
