"""Makes ten HTTP calls at once while a response waits, and lets it go on when all are answered."""

import proxy_wasm
from proxy_wasm import Action, HttpContext

CALLS = 10


class Request(HttpContext):
    pending = 0

    def on_response_headers(self, header_count: int, end_of_stream: bool) -> Action:
        for _ in range(CALLS):
            proxy_wasm.http_call("services", {":method": "GET", ":path": "/", ":authority": "services"})
            self.pending += 1
        return Action.PAUSE

    def on_http_call_response(self, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
        self.pending -= 1
        print(f"pending dispatched requests: {self.pending}")
        if self.pending == 0:
            self.response_headers.add("total-dispatched", str(CALLS))
            self.continue_response()


class Plugin(proxy_wasm.RootContext):
    http_context = Request


proxy_wasm.register(Plugin)
