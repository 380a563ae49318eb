"""Lets a request go on or refuses it, as another service answers: the request waits for that meanwhile."""

import proxy_wasm
from proxy_wasm import Action, HttpContext


class Request(HttpContext):
    def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action:
        # The service gets the request's own headers, but not its method, path and body.
        left_out = (b":method", b":path", b":authority", b"content-length")
        own = [(name, value) for name, value in self.request_headers.items() if name not in left_out]
        pseudo = [(b":method", b"GET"), (b":path", b"/bytes/1"), (b":authority", b"httpbin.org")]
        proxy_wasm.http_call("httpbin", pseudo + own, timeout_milliseconds=1000)
        return Action.PAUSE

    def on_http_call_response(self, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
        answer = proxy_wasm.get_http_answer()
        if answer.status == 200 and sum(answer.body) % 2 == 0:
            print("Access granted.")
            self.continue_request()
        else:
            print("Access forbidden.")
            self.send_response(403, {"powered-by": "proxy-wasm"}, "Access forbidden.\n")


class Plugin(proxy_wasm.RootContext):
    http_context = Request
    failure_policy = proxy_wasm.FailurePolicy.CLOSE


proxy_wasm.register(Plugin)
